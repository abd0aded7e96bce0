"""Write the code in model cards, for the class of the model and for its vocabulary."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..configuration_glm import GLMConfig
from ..modeling_glm import (
    AUTO_CLASSES,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from ..tokenization import PatternVerbalizer


@dataclass(frozen=True, kw_only=True)
class SampleTexts:
    """Texts in one language. `{}` stands for a blank."""

    fill: str
    choose: str
    choices: tuple[str, str]
    sentence: str
    beginning: str
    statement: str
    question: str


ENGLISH = SampleTexts(
    fill="Ice is {} and fire is {}.",
    choose="Ice is {}.",
    choices=("cold", "hot"),
    sentence="It rained all night. {} So we stayed at home.",
    beginning="The history of Rome begins {}",
    statement="Angela Merkel was born in Hamburg.",
    question="Where was Angela Merkel born?",
)
CHINESE = SampleTexts(
    fill="中国的首都是{}，法国的首都是{}。",
    choose="中国的首都是{}。",
    choices=("北京", "上海"),
    sentence="昨天夜里下了大雨。{}所以我们待在家里。",
    beginning="罗马的历史{}",
    statement="鲁迅出生在浙江绍兴。",
    question="鲁迅出生在哪里？",
)


def write_snippets(
    config: GLMConfig, tokenizer: PreTrainedTokenizerBase | None, model_class: type[PreTrainedModel], model_id: str
) -> dict[str, str]:
    """
    Write Python code for a model card, by title.

    The blocks run one after the other: the first one loads what the others use.

    Args:
        config: The config of the model.
        tokenizer: Its tokenizer. If it is not a `GLMTokenizer`, the code feeds ids.
        model_class: The class that the weights are for.
        model_id: What the code loads: a repository or a folder.
    """
    if tokenizer is None or not hasattr(tokenizer, "decode_blanks"):
        return {"Feed ids": _feed_ids(config, model_class, model_id)}
    task = read_task(tokenizer, model_class)
    if task is not None:
        return SnippetWriter(config, tokenizer, model_id).ask_task(task)
    return SNIPPETS[model_class](SnippetWriter(config, tokenizer, model_id))


def read_task(
    tokenizer: PreTrainedTokenizerBase | None, model_class: type[PreTrainedModel]
) -> PatternVerbalizer | None:
    """Return the cloze task that a tokenizer carries, if there is one and the model can answer it."""
    carried = getattr(tokenizer, "cloze", None)
    if carried is None or model_class not in (GLMForConditionalGeneration, GLMForMultipleChoice):
        return None
    return PatternVerbalizer.from_dict(carried)


class SnippetWriter:
    """Write the snippets for one model and its vocabulary."""

    def __init__(self, config: GLMConfig, tokenizer: PreTrainedTokenizerBase, model_id: str):
        self.config = config
        self.started = False
        self.quoted_id = _quote(model_id)
        self.masks: dict[str, str] = {
            name: getattr(tokenizer, name, None) or "" for name in ("mask_token", "smask_token", "gmask_token")
        }
        self.samples = CHINESE if _reads_chinese(tokenizer) else ENGLISH
        # If the space before a word is part of its token, a choice must start with it.
        glued = tokenizer.tokenize(" hot") != tokenizer.tokenize("hot")
        self.space = " " if glued and self.samples is ENGLISH else ""

    def fill_blanks(self) -> dict[str, str]:
        """Fill a blank of each kind that the vocabulary has."""
        blocks = {
            "Fill blanks": self._load("AutoModelForSeq2SeqLM", "model") + self._fill(self.samples.fill, "mask_token")
        }
        if self.masks["smask_token"]:
            blocks["Fill in a sentence"] = self._fill(self.samples.sentence, "smask_token")
        if self.masks["gmask_token"]:
            limit = min(64, self.config.max_piece_length - 1)
            blocks["Continue a text"] = self._fill(self.samples.beginning, "gmask_token", f", max_new_tokens={limit}")
        return blocks

    def _fill(self, sample: str, mask: str, options: str = "") -> str:
        text = sample.replace("{}", self.masks[mask])
        return f"""text = {_quote(text)}
inputs = tokenizer(text, return_tensors="pt")
(answers,) = tokenizer.decode_blanks(model.generate(**inputs{options}))
print(tokenizer.fill(text, answers))
"""

    def score_choices(self) -> dict[str, str]:
        """Compare words for a blank, which is how GLM classifies."""
        text = self.samples.choose.replace("{}", self.masks["mask_token"])
        choices = ", ".join(_quote(self.space + choice) for choice in self.samples.choices)
        return {
            "Score choices": self._load("AutoModelForMultipleChoice", "chooser")
            + f"""choices = [{choices}]
inputs = tokenizer([{_quote(text)}], return_tensors="pt")
inputs = tokenizer.build_inputs_for_multiple_choice(inputs, [choices])
probabilities = chooser(**inputs).logits.softmax(-1)
print(dict(zip(choices, probabilities[0].tolist())))
"""
        }

    def decide(self) -> dict[str, str]:
        """Answer typed questions with the pipeline of Transformers."""
        choices = ", ".join(f"{_quote(choice)}: None" for choice in self.samples.choices)
        return {
            "Decide": f"""import modeling_glm
from transformers import pipeline

decide = pipeline("decision", model={self.quoted_id})
question = {{"type": "choice", "instructions": {_quote(self.samples.question)}, "criteria": {{{choices}}}}}
print(decide({{"state": {_quote(self.samples.statement)}, "questions": {{"answer": question}}}}))
"""
        }

    def ask_task(self, task: PatternVerbalizer) -> dict[str, str]:
        """Classify with the task that the tokenizer carries, with the pipeline and in Python."""
        fields = sorted(task.fields)
        example = {
            name: self.samples.statement if name in task.text_fields else list(self.samples.choices) for name in fields
        }
        single = len(fields) == 1 and fields[0] in task.text_fields
        shown = json.dumps(self.samples.statement if single else example, ensure_ascii=False)
        return {
            "Classify with a pipeline": f"""import modeling_glm
from transformers import pipeline

classifier = pipeline("cloze-classification", model={self.quoted_id})
print(classifier({shown})){_one_of(task.labels) if task.labels else ""}
""",
            "Classify in Python": f"""from modeling_glm import ClozeClassifier
from transformers import AutoModelForMultipleChoice, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({self.quoted_id})
model = AutoModelForMultipleChoice.from_pretrained({self.quoted_id})
print(ClozeClassifier(model, tokenizer).predict_proba([{shown}]))
""",
        }

    def classify_texts(self) -> dict[str, str]:
        """Predict one label, several labels or a number, as `config.problem_type` says."""
        labels = list((self.config.id2label or {}).values())
        if self.config.problem_type == "regression" or len(labels) == 1:
            read = "print(model(**inputs).logits[0].tolist())"
        elif self.config.problem_type == "multi_label_classification":
            read = "probabilities = model(**inputs).logits.sigmoid()[0].tolist()\nprint({model.config.id2label[i]: p for i, p in enumerate(probabilities)})"
        else:
            read = "label = model(**inputs).logits.argmax(-1).item()\nprint(model.config.id2label[label])" + _one_of(
                labels
            )
        return {
            "Classify a text": self._load("AutoModelForSequenceClassification", "model")
            + f"""inputs = tokenizer({_quote(self.samples.statement)}, return_tensors="pt")
{read}
"""
        }

    def label_tokens(self) -> dict[str, str]:
        """Predict a label for every token."""
        return {
            "Label tokens": self._load("AutoModelForTokenClassification", "model")
            + f"""inputs = tokenizer({_quote(self.samples.statement)}, return_tensors="pt")
labels = model(**inputs).logits.argmax(-1)
for token, label in zip(inputs["input_ids"][0].tolist(), labels[0].tolist()):
    print(repr(tokenizer.decode([token])), model.config.id2label[label])
"""
        }

    def answer_questions(self) -> dict[str, str]:
        """Find the span of a text that answers a question."""
        question, text = _quote(self.samples.question), _quote(self.samples.statement)
        return {
            "Find an answer in a text": self._load("AutoModelForQuestionAnswering", "model")
            + f"""inputs = tokenizer({question}, {text}, return_tensors="pt")
outputs = model(**inputs)
start = outputs.start_logits[0].argmax()
end = start + outputs.end_logits[0, start:].argmax()
print(tokenizer.decode(inputs["input_ids"][0, start : end + 1]))
"""
        }

    def compute_hidden_states(self) -> dict[str, str]:
        """Compute the last hidden states with the base model."""
        return {
            "Compute hidden states": self._load("AutoModel", "model")
            + f"""inputs = tokenizer({_quote(self.samples.statement)}, return_tensors="pt")
print(model(**inputs).last_hidden_state.shape)  # (batch, seq, hidden)
"""
        }

    def _load(self, auto_class: str, name: str) -> str:
        load = f"{name} = {auto_class}.from_pretrained({self.quoted_id})\n"
        if self.started:
            return f"from transformers import {auto_class}\n\n{load}"
        self.started = True
        return f"""from transformers import {auto_class}, AutoTokenizer
import modeling_glm

tokenizer = AutoTokenizer.from_pretrained({self.quoted_id})
{load}"""


SNIPPETS: dict[type[PreTrainedModel], Callable[[SnippetWriter], dict[str, str]]] = {
    GLMModel: SnippetWriter.compute_hidden_states,
    GLMForConditionalGeneration: lambda writer: {**writer.fill_blanks(), **writer.score_choices()},
    GLMForMultipleChoice: lambda writer: {**writer.score_choices(), **writer.fill_blanks()},
    GLMForSequenceClassification: SnippetWriter.classify_texts,
    GLMForTokenClassification: SnippetWriter.label_tokens,
    GLMForQuestionAnswering: SnippetWriter.answer_questions,
}
if (decider := AUTO_CLASSES.get("AutoModelForDecision")) is not None:
    SNIPPETS[decider] = lambda writer: {**writer.decide(), **writer.fill_blanks()}


def _reads_chinese(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Return whether the vocabulary has Chinese words. Those for English spell them in bytes or in characters."""
    text = CHINESE.choose.replace("{}", "")
    tokens = tokenizer.tokenize(text)
    return tokenizer.unk_token not in tokens and len(tokens) < len(text)


def _feed_ids(config: GLMConfig, model_class: type[PreTrainedModel], model_id: str) -> str:
    auto_class = next(name for name, known in AUTO_CLASSES.items() if known is model_class)
    special = {value for name, value in config.to_dict().items() if name.endswith("_token_id")}
    words = [index for index in range(config.vocab_size) if index not in special][:4]
    text = [config.cls_token_id, *words[:2], config.mask_token_id, *words[2:], config.eos_token_id]
    ids = [index for index in text if isinstance(index, int)]
    fills = None not in (config.mask_token_id, config.sop_token_id)
    call = "model(input_ids)"
    if model_class is GLMForMultipleChoice:
        call = f"model(input_ids, choice_ids=torch.tensor([[[{words[0]}], [{words[1]}]]])).logits.softmax(-1)"
        if not fills:
            call = "model.config"
    elif model_class is GLMForConditionalGeneration and fills:
        call = "model.generate(input_ids)"
    return f"""import torch
from transformers import {auto_class}
import modeling_glm

model = {auto_class}.from_pretrained({_quote(model_id)})
input_ids = torch.tensor([{ids}])
print({call})
"""


def _one_of(labels: list[str]) -> str:
    return f"  # one of: {', '.join(map(str, labels))}" if len(labels) <= 10 else ""


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


__all__ = ["read_task", "write_snippets"]
