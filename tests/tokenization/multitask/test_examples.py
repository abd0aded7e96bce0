"""Examples of tasks as samples, against those of the originals (golden cloze/multitask.json), and what is refused."""

import json

import pytest

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMTokenizer, PatternVerbalizer
from modeling_glm.tokenization.cloze.originals import read_original
from modeling_glm.tokenization.multitask.examples import ClozeExamples, Seq2SeqExamples
from modeling_glm.tokenization.pretraining.encoded import join_encoded
from tests.support.original_files import read_golden, write_vocabulary

GOLDEN = json.loads(read_golden("cloze/multitask.json"))
FILES = json.loads(read_golden("cloze/tasks.json"))
TASK = PatternVerbalizer(
    ["{a|shorten} [MASK].", "[MASK]: {a|shorten}"], {"x": "Yes", "y": ["No", "Never"]}, name="toy"
)
EXAMPLES = [{"a": "It rains", "label": "x"}, {"a": "It snows", "label": "y"}, {"a": "Fog", "label": 0}]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> GLMTokenizer:
    return GLMTokenizer.from_pretrained(write_vocabulary("gpt2", tmp_path_factory.mktemp("gpt2")))


@pytest.fixture(scope="module")
def original_tasks(tokenizer, tmp_path_factory) -> dict[str, ClozeExamples]:
    found = {}
    for name in {wrapped["task"] for wrapped in GOLDEN["wrapped"]}:
        folder = tmp_path_factory.mktemp(name)
        for path, text in FILES[name]["file"].items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        ours = name.replace("-", "_")
        task = PatternVerbalizer.from_task(ours, original_spaces=True)
        found[name] = ClozeExamples(task=task, examples=read_original(ours, folder, "train"), tokenizer=tokenizer)
    return found


@pytest.mark.parametrize("number", range(len(GOLDEN["wrapped"])))
def test_samples_of_the_originals(number, original_tasks, tokenizer):
    """The context, the right answer as target, and the positions; a word of one token has no end there."""
    wrapped = GOLDEN["wrapped"][number]
    task, sample = original_tasks[wrapped["task"]], wrapped["sample"]
    assert len(task) == wrapped["dataset_length"]
    encoded = task.encode(wrapped["index"])
    joined = join_encoded([encoded], tokenizer.mask_token_ids, tokenizer.sop_token_id)
    size = len(encoded["input_ids"])
    assert sample["text"][:size] == encoded["input_ids"]
    assert set(sample["text"][size:]) <= {tokenizer.pad_token_id}
    assert [row[:size] for row in sample["position_id"]] == joined.position_ids.tolist()
    assert sample["attention_mask"] == joined.context_lengths[0]
    labels = [label if on else -100 for label, on in zip(sample["target"], sample["loss_mask"], strict=True)]
    assert labels == encoded["labels"] + [-100] * (len(labels) - size)


class TestClozeExamples:
    def test_every_example_under_every_pattern(self, tokenizer):
        examples = ClozeExamples(task=TASK, examples=EXAMPLES, tokenizer=tokenizer)
        assert (len(examples), examples.name) == (6, "toy")
        texts = [tokenizer.decode(examples.encode(number)["input_ids"]) for number in range(6)]
        end, sop = tokenizer.eos_token, tokenizer.sop_token
        cls = tokenizer.cls_token
        assert texts == [
            *(f"{cls}{text}[MASK].{end}{sop}" for text in ("It rains", "It snows", "Fog")),
            *(f"{cls}[MASK]: {text}{end}{sop}" for text in ("It rains", "It snows", "Fog")),
        ]
        labels = [tokenizer.decode(examples.encode(number)["labels"][-1]) for number in range(6)]
        assert labels == [" Yes", " No", " Yes", "Yes", "No", "Yes"]

    def test_words_of_several_tokens_end(self, tokenizer):
        task = PatternVerbalizer("{a} [MASK]", choices="{options}", end_of_piece=True)
        example = {"a": "It", "options": ["does", "rains cats and dogs"], "label": 1}
        encoded = ClozeExamples(task=task, examples=[example], tokenizer=tokenizer, name="b").encode(0)
        answer = tokenizer(" rains cats and dogs", add_special_tokens=False)["input_ids"]
        assert encoded["input_ids"][-len(answer) - 1 :] == [tokenizer.sop_token_id, *answer]
        assert [label for label in encoded["labels"] if label != -100] == [*answer, tokenizer.eop_token_id]
        assert len(encoded["labels"]) == len(encoded["input_ids"])

    @pytest.mark.parametrize("length", [8, 12, 40])
    def test_long_examples_fit(self, tokenizer, length):
        example = {"a": "rain " * 100, "label": "x"}
        examples = ClozeExamples(task=TASK, examples=[example], tokenizer=tokenizer, max_length=length)
        assert [len(examples.encode(number)["input_ids"]) for number in range(2)] == [length] * 2

    def test_errors_name_task_and_row(self, tokenizer):
        with pytest.raises(ValueError, match="The task 'toy' has no examples"):
            ClozeExamples(task=TASK, examples=[], tokenizer=tokenizer)
        examples = ClozeExamples(task=TASK, examples=[*EXAMPLES, {"a": "b"}, {"c": 1}], tokenizer=tokenizer, name="n")
        with pytest.raises(ValueError, match="Task 'n', example 3, pattern 1: The example has no label"):
            examples.encode(8)
        with pytest.raises(ValueError, match="Task 'n', example 4, pattern 0: The pattern asks for a field 'a'"):
            examples.encode(4)


class TestSeq2SeqExamples:
    def test_samples_are_those_of_the_collator(self, tokenizer):
        collator = DataCollatorForInfillingSeq2Seq(tokenizer, "{text|shorten} In short: [sMASK]", target="title")
        rows = [{"text": "It rained all day.", "title": "Rain"}, {"text": "a", "title": ["first", "second"]}]
        examples = Seq2SeqExamples(name="titles", rows=rows, encode_row=collator.encode_references)
        assert len(examples) == 2
        encoded = collator.encode(rows[0])
        assert examples.encode(0) == {name: encoded[name] for name in ("input_ids", "labels")}
        assert tokenizer.decode_blanks([examples.encode(1)["input_ids"]]) == [["first"]]

    def test_errors_name_task_and_row(self, tokenizer):
        with pytest.raises(ValueError, match="The task 'titles' has no rows"):
            Seq2SeqExamples(name="titles", rows=[], encode_row=list)
        collator = DataCollatorForInfillingSeq2Seq(tokenizer, "{text} [MASK]")
        examples = Seq2SeqExamples(name="t", rows=[{"text": "a"}], encode_row=collator.encode_references)
        with pytest.raises(ValueError, match=r"Task 't', row 0: .*'target'"):
            examples.encode(0)
