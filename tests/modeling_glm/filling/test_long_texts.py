"""Texts that are longer than the position table: cut around their blanks if the caller says so, everywhere alike."""

import logging

import pytest
import torch
from transformers import (
    FeatureExtractionPipeline,
    TextClassificationPipeline,
    TextGenerationPipeline,
    TokenClassificationPipeline,
)

from modeling_glm import (
    BlankConstraint,
    BlankInfillingPipeline,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
    GLMTextGenerationPipeline,
    GLMTokenizer,
    choose,
    fill_blanks,
    score_fillings,
)
from tests.support.models import make_model

LIMIT = 65
WORDS = "the quick brown fox jumps over the lazy dog and the lazy cat in the year 1987 " * 4
LONG = f"{WORDS}the [MASK] fox and the [MASK] cat. {WORDS}"
CHOICE = f"{WORDS}the [MASK] fox. {WORDS}"
TEXTS = [LONG, f"{WORDS} [gMASK]", f"[MASK] {WORDS}", f"[MASK] {WORDS} {WORDS} [MASK]"]
SETTINGS = [
    {},
    {"num_answers": 2},
    {"order": "confident-first"},
    {"constraints": BlankConstraint(choices=["fox", "dog"])},
]


@pytest.fixture(scope="module")
def limited(tokenizer) -> GLMTokenizer:
    return GLMTokenizer(tokenizer_object=tokenizer.backend_tokenizer, model_max_length=LIMIT - 1)


@pytest.fixture(scope="module")
def ids(tokenizer) -> dict[str, int]:
    return {"vocab_size": len(tokenizer), "max_position_embeddings": LIMIT - 1, **tokenizer.special_token_ids}


@pytest.fixture(scope="module")
def writer(ids) -> GLMForConditionalGeneration:
    return make_model(GLMForConditionalGeneration, **ids)


def shorten(tokenizer, text: str) -> str:
    """Write the text that the model reads of a longer one."""
    kept = tokenizer(
        text, truncation=True, max_length=LIMIT, return_offsets_mapping=True, return_special_tokens_mask=True
    )
    inside = [span for span, special in zip(kept.offset_mapping, kept.special_tokens_mask, strict=True) if not special]
    return "".join(text[start:stop] for start, stop in inside)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("text", TEXTS, ids=["two", "end", "start", "far"])
def test_fill_blanks(writer, tokenizer, settings, text):
    settings = {"max_new_tokens_per_blank": 4, **settings}
    with pytest.raises(ValueError, match=r"Text 0 has \d+ tokens, but the position table holds 65.*truncation=True"):
        fill_blanks(writer, tokenizer, text, **settings)
    found = fill_blanks(writer, tokenizer, text, truncation=True, **settings)
    expected = fill_blanks(writer, tokenizer, shorten(tokenizer, text), **settings)
    assert len(found) == len(expected) > 0
    for filling, same in zip(found, expected, strict=True):
        assert [answer.text for answer in filling.answers] == [answer.text for answer in same.answers]
        assert filling.log_prob == pytest.approx(same.log_prob, abs=1e-4)
        assert filling.text == tokenizer.fill(text, [answer.text for answer in filling.answers])


@pytest.mark.parametrize("text", TEXTS, ids=["two", "end", "start", "far"])
def test_what_was_found_is_scored_alike(writer, tokenizer, text):
    for filling in fill_blanks(writer, tokenizer, text, 2, truncation=True, max_new_tokens_per_blank=4):
        answers = [answer.text for answer in filling.answers]
        (scored,) = score_fillings(writer, tokenizer, text, [answers], truncation=True)
        assert scored.text == filling.text
        assert scored.log_prob == pytest.approx(filling.log_prob, abs=1e-4)


def test_the_pipeline_and_a_mixed_batch(writer, tokenizer):
    texts = ["the [MASK] dog", *TEXTS]
    settings = {"truncation": True, "max_new_tokens_per_blank": 4}
    expected = [fill_blanks(writer, tokenizer, text, **settings)[0].text for text in texts]
    assert [row[0].text for row in fill_blanks(writer, tokenizer, texts, **settings)] == expected
    filler = BlankInfillingPipeline(model=writer, tokenizer=tokenizer)
    assert [row[0]["text"] for row in filler(texts, **settings)] == expected
    recorded = filler(texts, max_new_tokens_per_blank=4, on_error="record")
    assert [row.get("row") if isinstance(row, dict) else None for row in recorded] == [None, 1, 2, 3, 4]


@pytest.mark.parametrize("text", [CHOICE, f"{WORDS} [gMASK]", f"[MASK] {WORDS}"], ids=["middle", "end", "start"])
def test_choose_and_score_fillings(ids, writer, tokenizer, text):
    names = ["lazy", "quick brown", "dog"]
    chooser = make_model(GLMForMultipleChoice, **ids)
    for model in (chooser, writer):
        with pytest.raises(ValueError, match=r"Text 0 has .*truncation=True"):
            choose(model, tokenizer, text, names)
        found = choose(model, tokenizer, text, names, truncation=True)
        expected = choose(model, tokenizer, shorten(tokenizer, text), names)
        assert [choice.text for choice in found] == [choice.text for choice in expected]
        assert [c.log_prob for c in found] == pytest.approx([c.log_prob for c in expected], abs=1e-4)
    with pytest.raises(ValueError, match=r"The text has .*truncation=True"):
        score_fillings(writer, tokenizer, text, names)
    scored = score_fillings(writer, tokenizer, text, names, truncation=True)
    expected = score_fillings(writer, tokenizer, shorten(tokenizer, text), names)
    assert [filling.log_prob for filling in scored] == pytest.approx([f.log_prob for f in expected], abs=1e-4)
    assert len(scored[0].text) > len(WORDS)


def test_too_many_blanks_are_not_lost(writer, tokenizer, limited):
    texts = ["the [MASK] dog", "[MASK] and " * 64]
    with pytest.raises(ValueError, match=r"Text 1 has 64 blanks, but cutting it leaves room for 63 tokens"):
        fill_blanks(writer, tokenizer, texts, truncation=True)
    with pytest.raises(ValueError, match="Text 1 has 64 blanks, but cutting it"):
        limited(texts, truncation=True)


@pytest.mark.parametrize("pipeline_class", [TextGenerationPipeline, GLMTextGenerationPipeline])
@pytest.mark.parametrize("text", TEXTS, ids=["two", "end", "start", "far"])
def test_text_generation(writer, limited, pipeline_class, text):
    pipe = pipeline_class(model=writer, tokenizer=limited)
    settings = {"max_new_tokens": 6, "do_sample": False}
    with pytest.raises(ValueError, match="position table"):
        pipe(text, **settings)
    (record,) = pipe(text, truncation=True, **settings)
    inputs = limited(text, truncation=True, return_tensors="pt")
    answers = limited.decode_blanks(writer.generate(**inputs, **settings))[0]
    assert record["generated_text"] == limited.fill(text, answers)


@pytest.mark.parametrize(
    ("pipeline_class", "model_class", "settings"),
    [
        (TextClassificationPipeline, GLMForSequenceClassification, {"truncation": True}),
        (TextClassificationPipeline, GLMForSequenceClassification, {"truncation": True, "max_length": 20}),
        (FeatureExtractionPipeline, GLMModel, {"truncation": True}),
        (FeatureExtractionPipeline, GLMModel, {"tokenize_kwargs": {"truncation": True, "max_length": 9}}),
        (TokenClassificationPipeline, GLMForTokenClassification, {"stride": 9, "aggregation_strategy": "simple"}),
        (TokenClassificationPipeline, GLMForTokenClassification, {}),
    ],
    ids=str,
)
def test_pipelines_of_the_library(ids, limited, pipeline_class, model_class, settings, caplog):
    model = make_model(model_class, **ids)
    construct = {name: settings[name] for name in settings if pipeline_class is TokenClassificationPipeline}
    pipe = pipeline_class(model=model, tokenizer=limited, **construct)
    with caplog.at_level(logging.WARNING, logger="transformers"):
        found = pipe(WORDS, **{name: value for name, value in settings.items() if name not in construct})
    assert found
    assert not [message for message in caplog.messages if "maximum sequence length" in message]


def test_a_cut_prompt_is_generated_from(writer, limited):
    batch = limited(TEXTS, truncation=True, padding=True, return_tensors="pt")
    assert batch.input_ids.shape == (4, LIMIT - 1)
    answers = limited.decode_blanks(writer.generate(**batch, max_new_tokens_per_blank=3, do_sample=False))
    assert [len(row) for row in answers] == [2, 1, 1, 2]
    assert torch.isin(batch.input_ids, torch.tensor(limited.mask_token_ids)).sum(-1).tolist() == [2, 1, 1, 2]


def test_no_false_warning(writer, limited, caplog):
    with caplog.at_level(logging.WARNING, logger="transformers"):
        fill_blanks(writer, limited, TEXTS, truncation=True, max_new_tokens_per_blank=2)
        choose(writer, limited, CHOICE, ["dog"], truncation=True)
        batch = limited(TEXTS, truncation=True, padding=True, return_tensors="pt")
        writer.generate(**batch, max_new_tokens_per_blank=9, min_new_tokens=9)
    assert not [message for message in caplog.messages if "maximum" in message]
