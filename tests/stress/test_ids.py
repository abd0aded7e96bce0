"""Random ids, masks, positions and labels: valid ones work, and wrong ones are refused in words, never by a crash."""

import random
import warnings
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from transformers import DynamicCache, StaticCache

from modeling_glm import BlankText
from tests.support.random_inputs import (
    HEADS,
    VARIANTS,
    draw_choices,
    draw_inputs,
    draw_words,
    random_model,
    spoil,
    with_positions,
)
from tests.support.stress import why_unclear

CALLS_OF_A_CASE = 10  # a case costs a little more than a call
# What an error may speak of in place of the argument that is wrong.
OUR_WORDS = (
    "Part A",
    "Part B",
    "blank",
    "piece",
    "choice",
    "label",
    "generate",
    "embeddings",
    "cache",
    "token",
    "prompt",
)


def describe(arguments: Mapping[str, Any]) -> str:
    """Write arguments so that a failure can be read."""
    return "\n".join(f"  {name} = {shown(value)}" for name, value in arguments.items())


def shown(value: Any) -> str:
    if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_meta:
        return f"{value.dtype} {tuple(value.shape)} {value.tolist()}"[:600]
    return repr(value)[:600]


def assert_finite(outputs: Mapping[str, Any]):
    for name in ("last_hidden_state", "logits", "start_logits", "end_logits"):
        if (values := outputs.get(name)) is not None:
            assert not values.isnan().any(), name
            assert not values.isposinf().any(), name


def draw_call(draw: random.Random, name: str, config: Any) -> dict[str, Any]:
    """Draw valid arguments of `forward`."""
    if name == "GLMForMultipleChoice":
        inputs = draw_choices(draw, draw_inputs(draw, config, pieces=False))
    else:
        inputs = draw_inputs(draw, config, pieces=name != "GLMForSequenceClassification" or draw.random() < 0.5)
        labels = inputs.pop("labels", None)
        batch, length = inputs["input_ids"].shape
        real = inputs.get("attention_mask", torch.ones(batch, length)) != 0
        if name == "GLMForConditionalGeneration":
            inputs["labels"] = labels
        elif name == "GLMForSequenceClassification":
            inputs["labels"] = torch.tensor([draw.choice([0, 1, 2, -100]) for _ in range(batch)])
        elif name == "GLMForTokenClassification":
            inputs["labels"] = torch.tensor([[draw.choice([0, 1, 2, -100]) for _ in range(length)] for _ in real])
            inputs["labels"].masked_fill_(~real, -100)
        elif name == "GLMForQuestionAnswering":
            for key in ("start_positions", "end_positions"):
                places = [draw.choice([-100, *row.nonzero().flatten().tolist()]) for row in real]
                inputs[key] = torch.tensor(places)
    if draw.random() < 0.5:
        for key in ("labels", "start_positions"):
            inputs.pop(key, None)
    if draw.random() < 0.2:
        inputs = with_positions(inputs, config)
    if name == "GLMForConditionalGeneration" and draw.random() < 0.2:
        inputs["logits_to_keep"] = draw.choice([0, 1, 2, torch.tensor([0])])
    if name in ("GLMModel", "GLMForConditionalGeneration") and draw.random() < 0.3:
        inputs["use_cache"] = draw.choice([True, False])
    return inputs


def draw_generate(draw: random.Random, model: Any, side: str | None = None) -> dict[str, Any]:
    """Draw valid arguments of `generate`."""
    side = side or draw.choice(["left", "right"])
    inputs = draw_inputs(draw, model.config, pieces=draw.random() < 0.3, side=side)
    if "labels" in inputs:  # they say that the pieces are gold
        draw.random() < 0.5 and inputs.pop("labels")
    modes: list[dict[str, Any]] = [
        {"do_sample": False},
        {"do_sample": True, "temperature": draw.choice([0.5, 1.0, 3.0]), "top_k": draw.choice([0, 1, 5])},
        {"do_sample": True, "top_p": 0.8, "num_return_sequences": 2},
        {"num_beams": 3, "num_return_sequences": draw.choice([1, 3]), "do_sample": False},
        {"num_beams": 2, "do_sample": True},
        {"do_sample": False, "cache_implementation": "static"},
        {"do_sample": False, "use_cache": False},
        {"do_sample": False, "guidance_scale": 1.5},
        {"do_sample": False, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2},
        {"do_sample": False, "min_new_tokens": 2},
        {"do_sample": False, "return_dict_in_generate": True, "output_scores": True},
        {"do_sample": False, "past_key_values": DynamicCache(config=model.config)},
    ]
    if len(inputs["input_ids"]) == 1 and inputs.get("attention_mask") is None:
        modes.append({"do_sample": False, "prompt_lookup_num_tokens": 2})
    inputs |= draw.choice(modes)
    limit = draw.choice(
        [{}, {"max_new_tokens_per_blank": draw.randint(1, 8)}, {"max_new_tokens": draw.randint(1, 12)}]
    )
    return {**inputs, **limit}


def sequences_of(found: Any) -> torch.Tensor:
    return found if isinstance(found, torch.Tensor) else found.sequences


def assert_sequences(found: Any, model: Any):
    ids = sequences_of(found)
    assert ids.dtype == torch.int64
    assert ids.ndim == 2
    assert 0 <= int(ids.min()) <= int(ids.max()) < model.config.vocab_size


@pytest.mark.parametrize("name", HEADS)
def test_valid_inputs_of_every_head(stress, name):
    for case in stress.cases(80):
        with case, torch.no_grad():
            for _ in range(CALLS_OF_A_CASE):
                model = random_model(name, case.random.choice(list(VARIANTS)))
                inputs = draw_call(case.random, name, model.config)
                try:
                    outputs = model(**inputs)
                except Exception as error:
                    raise AssertionError(f"refused:\n{describe(inputs)}") from error
                assert_finite(outputs)


def test_valid_prompts_in_every_mode(stress):
    for case in stress.cases(60):
        with case:
            model = random_model("GLMForConditionalGeneration", case.random.choice(list(VARIANTS)))
            inputs = draw_generate(case.random, model)
            try:
                found = model.generate(**inputs)
            except Exception as error:
                raise AssertionError(f"refused:\n{describe(inputs)}") from error
            assert_sequences(found, model)


def test_a_row_is_filled_as_it_is_alone(stress):
    """In float64 no two scores are equal by rounding."""
    for case in stress.cases(50):
        with case:
            variant = case.random.choice(list(VARIANTS))
            model = random_model("GLMForConditionalGeneration", variant, torch.float64)
            inputs = draw_inputs(case.random, model.config, pieces=case.random.random() < 0.3)
            inputs.pop("labels", None)
            limit = {"max_new_tokens_per_blank": case.random.choice([1, 3, 22 if variant == "one table" else 23])}
            beams = {"num_beams": case.random.choice([1, 1, 3]), "do_sample": False, "cache_implementation": None}
            if case.random.random() < 0.3:
                beams["cache_implementation"] = "static"
            together = model.generate(**inputs, **limit, **beams).tolist()
            mask = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"])) != 0
            width = mask.shape[1] + bool(
                ((inputs["input_ids"] == model.config.sop_token_id) & mask).sum(-1).eq(0).any()
            )
            for row, (ids, real) in enumerate(zip(inputs["input_ids"], mask, strict=True)):
                alone = model.generate(ids[real][None], **limit, **beams).tolist()[0]
                own = int(real.sum()) + (model.config.sop_token_id not in ids[real].tolist())
                found, expected = written(together[row][width:], model), written(alone[own:], model)
                assert found == expected, f"row {row}, {limit}, {beams}\n{describe(inputs)}"


def written(ids: list[int], model: Any) -> list[int]:
    """Cut off the end of a row and what stands behind it."""
    config = model.config
    while ids and ids[-1] in (config.pad_token_id, config.eos_token_id, config.eop_token_id):
        ids = ids[:-1]
    return ids


@pytest.mark.parametrize("name", HEADS)
def test_wrong_inputs_of_every_head(stress, name):
    for case in stress.cases(80):
        with case, torch.no_grad():
            for _ in range(CALLS_OF_A_CASE):
                model = random_model(name, case.random.choice(list(VARIANTS)))
                inputs = draw_call(case.random, name, model.config)
                if name != "GLMForMultipleChoice" and case.random.random() < 0.15:
                    inputs["inputs_embeds"] = model.get_input_embeddings()(inputs["input_ids"])
                    if case.random.random() < 0.8:
                        del inputs["input_ids"]
                check_spoilt(case.random, inputs, model)


def check_spoilt(draw: random.Random, inputs: dict[str, Any], call: Any):
    """Spoil one to three arguments. The call must answer, or refuse them in words."""
    for _ in range(draw.choice([1, 1, 2, 3])):
        name = draw.choice(list(inputs))
        inputs[name] = spoil(draw, inputs[name])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            call(**inputs)
        except Exception as error:
            reason = why_unclear(error, *inputs, *OUR_WORDS)
            if reason:
                raise AssertionError(f"{reason}\n{describe(inputs)}") from error


def test_wrong_prompts_in_every_mode(stress):
    for case in stress.cases(150):
        with case:
            for _ in range(3):
                model = random_model("GLMForConditionalGeneration", case.random.choice(list(VARIANTS)))
                inputs = draw_generate(case.random, model)
                kept = {name: value for name, value in inputs.items() if not isinstance(value, torch.Tensor)}
                inputs = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
                kept.pop("past_key_values", None)
                kept.setdefault("max_new_tokens", 5)
                if case.random.random() < 0.2:
                    inputs["max_new_tokens_per_blank"] = kept.pop("max_new_tokens_per_blank", 4)
                if case.random.random() < 0.2:
                    inputs = with_positions(inputs, model.config)
                if case.random.random() < 0.1:
                    inputs["negative_prompt_ids"] = inputs["input_ids"].clone()
                    kept["guidance_scale"] = 1.5
                if case.random.random() < 0.1:
                    inputs["inputs_embeds"] = model.get_input_embeddings()(inputs["input_ids"]).detach()
                    del inputs["input_ids"]
                check_spoilt(
                    case.random, inputs, lambda model=model, kept=kept, **spoilt: model.generate(**spoilt, **kept)
                )


def test_caches_that_do_not_fit(stress):
    """A cache of another text, of another batch, or of another length."""
    for case in stress.cases(60):
        with case, torch.no_grad():
            model = random_model("GLMForConditionalGeneration", "plain")
            first = draw_inputs(case.random, model.config, pieces=False)
            cache: Any = DynamicCache(config=model.config)
            if case.random.random() < 0.3:
                cache = StaticCache(config=model.config, max_cache_len=case.random.choice([4, 64]))
            inputs = draw_inputs(case.random, model.config, pieces=True)
            if case.random.random() < 0.5:
                inputs = with_positions(inputs, model.config)

            def call(model=model, first=first, cache=cache, **given):
                model(**first, past_key_values=cache, use_cache=True)
                model(**given, past_key_values=cache)

            check_spoilt(case.random, inputs, call)


@pytest.mark.parametrize("family", ["own", "bert", "roberta", "gpt2", "chinese"])
def test_ids_are_decoded(stress, of_family, family):
    tokenizer = of_family(family)
    count = len(tokenizer)
    special = [*tokenizer.all_special_ids]
    for case in stress.cases(60):
        with case:
            draw = case.random
            for _ in range(CALLS_OF_A_CASE):
                rows = [
                    [
                        draw.choice([draw.randrange(count), draw.choice(special)])
                        for _ in range(draw.choice([0, 1, 5, 40]))
                    ]
                    for _ in range(draw.randint(1, 3))
                ]
                for row in rows:
                    assert isinstance(tokenizer.decode(row), str)
                    assert isinstance(tokenizer.decode(row, skip_special_tokens=True), str)
                answers = tokenizer.decode_blanks(rows)
                assert [type(answer) for row in answers for answer in row] == [BlankText] * sum(map(len, answers))
                for row, found in zip(rows, answers, strict=True):
                    start = row.index(tokenizer.sop_token_id) if tokenizer.sop_token_id in row else len(row)
                    blanks = sum(token_id in tokenizer.mask_token_ids for token_id in row[:start])
                    assert len(found) >= blanks
                    for answer in found:
                        answer.encode("utf-8")


@pytest.mark.parametrize("family", ["own", "bert", "roberta", "gpt2", "chinese"])
def test_ids_that_cannot_be_decoded_are_refused(stress, of_family, family):
    tokenizer = of_family(family)
    for case in stress.cases(60):
        with case:
            draw = case.random
            rows = torch.tensor([[draw.randrange(len(tokenizer)) for _ in range(5)] for _ in range(2)])
            words = torch.tensor([draw_words(draw, 4, least=4)])
            for name, values, call in [
                ("sequences", rows, tokenizer.decode_blanks),
                ("inputs", words, lambda ids: tokenizer.build_inputs_for_generation({"input_ids": ids})),
            ]:
                spoilt = spoil(draw, values)
                try:
                    call(spoilt)
                except Exception as error:
                    reason = why_unclear(error, name, "Text", *OUR_WORDS, "ids")
                    if reason:
                        raise AssertionError(f"{reason}\n{shown(spoilt)}") from error
