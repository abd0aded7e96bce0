"""pipeline("text-generation") continues prompts that end in [gMASK]; other models keep the built-in pipeline."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, TextGenerationPipeline, pipeline

from modeling_glm import GLMForConditionalGeneration, GLMTextGenerationPipeline
from tests.support.models import make_model

PROMPTS = ["The quick brown fox [gMASK]", "In the year [gMASK]"]


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)


def build(model, tokenizer, **settings):
    return pipeline("text-generation", model=model, tokenizer=tokenizer, do_sample=False, max_new_tokens=6, **settings)


@pytest.fixture(scope="module")
def writer(model, tokenizer):
    return build(model, tokenizer, pipeline_class=GLMTextGenerationPipeline)


@pytest.fixture(scope="module")
def answers(model, tokenizer) -> list[str]:
    inputs = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    return [row[0] for row in tokenizer.decode_blanks(model.generate(**inputs, do_sample=False, max_new_tokens=6))]


def test_the_answer_takes_the_place_of_the_mask(writer, tokenizer, answers):
    assert isinstance(writer, GLMTextGenerationPipeline)
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        (record,) = writer(prompt)
        assert record == {"generated_text": tokenizer.fill(prompt, [answer])}
        assert record["generated_text"].startswith(prompt.removesuffix("[gMASK]").rstrip())
        assert writer(prompt, return_full_text=False) == [{"generated_text": answer}]


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_batch_is_as_one_at_a_time(writer, batch_size):
    assert writer(PROMPTS, batch_size=batch_size) == [writer(prompt) for prompt in PROMPTS]


def test_several_sequences_and_several_blanks(writer):
    text = "The [MASK] fox [gMASK]"
    records = writer(text, do_sample=True, num_return_sequences=3, max_new_tokens=20)
    assert len(records) == 3
    assert all("[MASK]" not in record["generated_text"] for record in records)
    (record,) = writer(text, return_full_text=False, max_new_tokens=20)
    assert len(record["generated_text"].split("\n")) == 2


def test_ids_and_spelt_out_tokens_are_as_in_the_library(writer, tokenizer, model):
    ids = tokenizer(PROMPTS[0], return_tensors="pt").input_ids
    expected = model.generate(ids, do_sample=False, max_new_tokens=6)[0].tolist()
    assert writer(PROMPTS[0], return_tensors=True) == [{"generated_token_ids": expected}]
    (record,) = writer(PROMPTS[0], skip_special_tokens=False)
    assert record["generated_text"].startswith(PROMPTS[0])


def test_a_prompt_without_a_blank_is_refused(writer):
    with pytest.raises(ValueError, match=r"To continue a text, end it with \[gMASK\]"):
        writer("Once upon a time")


def test_a_folder_is_loaded(model, tokenizer, writer, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = build(str(tmp_path), None, pipeline_class=GLMTextGenerationPipeline)
    assert loaded(PROMPTS[0]) == writer(PROMPTS[0])


def test_the_built_in_class_gives_the_same_answers_behind_the_prompt(model, tokenizer, answers):
    built_in = build(model, tokenizer)
    assert type(built_in) is TextGenerationPipeline
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        (record,) = built_in(prompt, return_full_text=False)
        assert record["generated_text"].strip() == answer
        assert built_in(prompt) == [{"generated_text": prompt + record["generated_text"]}]


def test_other_models_keep_the_pipeline_of_the_library(tokenizer):
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    writer = pipeline("text-generation", model=GPT2LMHeadModel(config), tokenizer=tokenizer)
    assert type(writer) is TextGenerationPipeline
    (record,) = writer("Once upon", max_new_tokens=3)
    assert record["generated_text"].startswith("Once upon")
