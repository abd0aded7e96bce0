"""A typed program that uses the public API. mypy checks it; nothing runs it."""

from typing import assert_type

import torch
from huggingface_hub import CommitInfo
from transformers import BatchEncoding, Seq2SeqTrainingArguments, TrainingArguments

import modeling_glm
from modeling_glm import (
    BlankAnswer,
    BlankConstraint,
    Choice,
    ClozeClassifier,
    Filling,
    GLMConfig,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMModel,
    GLMSeq2SeqTrainer,
    GLMTrainer,
    HubCallback,
    RowError,
    TargetPrediction,
    choose,
    fill_blanks,
    predict_targets,
    score_fillings,
)
from tokenization import (
    BlankText,
    DataCollatorForBlankInfilling,
    DataCollatorForCloze,
    DataCollatorForInfillingSeq2Seq,
    GLMTokenizer,
    PatternVerbalizer,
)  # what is installed as modeling_glm.tokenization


def build(texts: list[str]) -> GLMForConditionalGeneration:
    tokenizer = GLMTokenizer.train_from_iterator(texts, vocab_size=300)
    assert_type(tokenizer, GLMTokenizer)
    assert_type(tokenizer.mask_token_ids, list[int])
    assert_type(tokenizer.special_token_ids, dict[str, int])
    config = GLMConfig.from_preset("glm-base", vocab_size=len(tokenizer))
    assert_type(config, GLMConfig)
    assert_type(config.max_context_length, int)
    assert_type(config.sop_token_id, int | None)
    GLMModel(config)
    return GLMForConditionalGeneration(config)


def fill(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, inputs: BatchEncoding) -> str:
    inputs = tokenizer.build_inputs_for_generation(inputs, max_gen_length=8, targets=["one", "two"], padding=True)
    answers = tokenizer.decode_blanks(torch.zeros(1, 2))
    assert_type(answers, list[list[BlankText]])
    return tokenizer.fill("a [MASK]", answers[0])


def rank(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer) -> float:
    year = BlankConstraint(regex="[0-9]{4}", forbidden_words=["1987"])
    fillings = fill_blanks(model, tokenizer, "In [MASK].", 3, constraints=[year])
    assert_type(fillings, list[Filling])
    assert_type(fill_blanks(model, tokenizer, ["In [MASK]."]), list[list[Filling]])
    assert_type(score_fillings(model, tokenizer, "In [MASK].", ["1987"]), list[Filling])
    for row in fill_blanks(model, tokenizer, (text for text in ["In [MASK].", "None"]), on_error="record"):
        if isinstance(row, RowError):
            assert_type((row.row, row.reason), tuple[int, str])
    answer = fillings[0].answers[0]
    assert_type(answer, BlankAnswer)
    assert_type((answer.start, answer.token_log_probs), tuple[int, tuple[float, ...]])
    assert_type(
        (answer.log_prob, answer.mean_log_prob, answer.probability, answer.score), tuple[float, float, float, float]
    )
    return fillings[0].score


def compare(model: GLMForMultipleChoice, tokenizer: GLMTokenizer) -> float:
    choices = choose(model, tokenizer, "Ice is [MASK].", ["cold", "hot"])
    assert_type(choices, list[Choice])
    assert_type(choose(model, tokenizer, ["Ice is [MASK]."], ["cold", "hot"]), list[list[Choice]])
    return choices[0].probability


def train_and_push(model: GLMForMultipleChoice, tokenizer: GLMTokenizer) -> CommitInfo:
    arguments = TrainingArguments("run", push_to_hub=True)
    GLMTrainer(model, arguments, processing_class=tokenizer, callbacks=[HubCallback()]).train()
    model.save_pretrained("run", push_to_hub=True, repo_id="me/mine", tokenizer=tokenizer)
    assert_type(tokenizer.push_to_hub("me/mine"), CommitInfo)
    return model.push_to_hub("me/mine", tokenizer=tokenizer, license="mit")


def predict(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, rows: list[dict[str, str]]) -> str:
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, max_target_length=8)
    arguments = Seq2SeqTrainingArguments("run", predict_with_generate=True)
    GLMSeq2SeqTrainer(model, arguments, collator, train_dataset=rows).train()
    assert_type(predict_targets(model, collator, rows, num_beams=2), list[TargetPrediction])
    prediction = predict_targets(model, collator, "a source")
    assert_type(prediction, TargetPrediction)
    assert_type((prediction.answers, prediction.log_prob), tuple[tuple[str, ...], float])
    return prediction.text


def score(model: GLMForMultipleChoice, tokenizer: GLMTokenizer, inputs: BatchEncoding) -> torch.Tensor | None:
    batch = tokenizer.build_inputs_for_multiple_choice(inputs, [["yes", "no"]], max_length=4)
    outputs = model.forward(batch["input_ids"], choice_ids=batch["choice_ids"])
    return outputs.logits


def batch(tokenizer: GLMTokenizer) -> dict[str, torch.Tensor]:
    collator = DataCollatorForBlankInfilling(tokenizer, objectives={"token": 0.5, "document": 0.5}, seed=1)
    return collator([{"input_ids": [1, 2, 3]}])


def classify(model: GLMForMultipleChoice, tokenizer: GLMTokenizer) -> list[str]:
    task = PatternVerbalizer("{text|shorten} It was [MASK].", {"good": ["great", "good"], "bad": "bad"}, name="mine")
    assert_type(task.labels, list[str])
    assert_type(task.label_index({"label": "good"}), int | None)
    assert_type(DataCollatorForCloze(tokenizer, task)([{"text": "a"}]), dict[str, torch.Tensor])
    assert_type(modeling_glm.add_soft_tokens(model, tokenizer, task), list[int])
    classifier = ClozeClassifier(model, tokenizer, task, batch_size=8).calibrate("contextual")
    assert_type(classifier.fit_temperature([{"text": "a", "label": "good"}]), float)
    assert_type(classifier.predict(["a"], on_error="record"), list[str | RowError])
    assert_type(classifier.fit_threshold([{"text": "a", "label": "good"}], 0.9), float)
    assert_type(classifier.predict_or_abstain(["a"]), list[str | None])
    assert_type(classifier.predict_sets(["a"]), list[list[str]])
    assert_type(classifier.predict_top(["a"], 2)[0][0].probability, float)
    return classifier.predict([{"text": "a"}])


assert_type(modeling_glm.__version__, str)
