"""Numbers of the original implementations, from the folders of the originals as they are."""

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice, GLMModel
from tests.support.golden import (
    MODELS,
    NATIVE,
    golden_cases,
    golden_inputs,
    golden_tensors,
    has_block_positions,
    list_cases,
    read_json,
)
from tests.support.paths import GOLDEN_MODELS

BLOCK_MODELS = [name for name in MODELS if has_block_positions(name)]
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


def load(model_class, name: str, hidden_act: str = "gelu", **kwargs):
    """Load a model. The hub's code uses the exact GELU, the training code the tanh form that is our default."""
    return model_class.from_pretrained(GOLDEN_MODELS / name, hidden_act=hidden_act, **kwargs).eval()


def four_dimensional(mask: torch.Tensor, length: int) -> torch.Tensor:
    """Turn the originals' three kinds of mask into a 4D one: 4D itself, (batch, seq) padding, (batch,) separators."""
    if mask.ndim == 4:
        return mask
    if mask.ndim == 2:
        return mask[:, None, None, :]
    index = torch.arange(length)
    return ((index[None, :] <= index[:, None]) | (index < mask[:, None, None]))[:, None]


def inputs_of(name: str, case: str) -> dict[str, torch.Tensor]:
    """Complete the inputs of a case by the originals' defaults: positions 0, 1, 2, ... and a causal mask."""
    inputs = golden_inputs(name, case)
    batch, length = inputs["input_ids"].shape
    if "position_ids" not in inputs:
        row0 = torch.arange(length).expand(batch, -1)
        inputs["position_ids"] = torch.stack((row0, torch.zeros_like(row0)), dim=1)
    mask = inputs.get("attention_mask", torch.zeros(1, dtype=torch.long))
    inputs["attention_mask"] = four_dimensional(mask, length)
    return inputs


def stored(name: str, case: str) -> dict:
    return golden_cases(name)["cases"][case]


def params(cases: list[tuple[str, str]]) -> list:
    assert cases, "the golden data has no such case"
    return [pytest.param(name, case, id=f"{name}-{case}") for name, case in cases]


@pytest.mark.parametrize("attn_implementation", ["eager", "sdpa"])
@pytest.mark.parametrize(
    ("name", "case"),
    params(list_cases(lambda name, case: "out.logits" in golden_tensors(name, case) and case.startswith("fwd_"))),
)
def test_forward(name, case, attn_implementation):
    tensors = golden_tensors(name, case)
    model = load(GLMForConditionalGeneration, name, attn_implementation=attn_implementation)
    with torch.inference_mode():
        outputs = model(**inputs_of(name, case), output_hidden_states=True)
    torch.testing.assert_close(outputs.logits, tensors["out.logits"], **TOLERANCE)
    last = len(model.glm.transformer.layers)
    for layer in range(last):
        if f"out.hidden_{layer}" in tensors:
            torch.testing.assert_close(outputs.hidden_states[layer], tensors[f"out.hidden_{layer}"], **TOLERANCE)
    if "out.last_hidden_state" in tensors:
        torch.testing.assert_close(outputs.hidden_states[last], tensors["out.last_hidden_state"], **TOLERANCE)


@pytest.mark.parametrize(
    ("name", "case"), params(list_cases(lambda name, case: "out.last_hidden_state" in golden_tensors(name, case)))
)
def test_base_class_loads_the_same_folder(name, case):
    with torch.inference_mode():
        outputs = load(GLMModel, name)(**inputs_of(name, case))
    torch.testing.assert_close(
        outputs.last_hidden_state, golden_tensors(name, case)["out.last_hidden_state"], **TOLERANCE
    )


@pytest.mark.parametrize(("name", "case"), params(list_cases(lambda name, case: "split" in stored(name, case))))
def test_memory_becomes_a_cache(name, case):
    """The originals keep hidden states of the first part; the split is where the second begins."""
    tensors = golden_tensors(name, case)
    split = stored(name, case)["split"]
    ids, positions, mask = (tensors[f"in.{key}"] for key in ("input_ids", "position_ids", "attention_mask_full"))
    model = load(GLMForConditionalGeneration, name)
    with torch.inference_mode():
        first = model(
            ids[:, :split],
            attention_mask=mask[:, :, :split, :split],
            position_ids=positions[..., :split],
            use_cache=True,
        )
        second = model(
            ids[:, split:],
            attention_mask=mask[:, :, split:],
            position_ids=positions[..., split:],
            past_key_values=first.past_key_values,
        )
    torch.testing.assert_close(second.logits, tensors["out.logits_chunk2"], **TOLERANCE)


def without_dropout(model):
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    return model


def assert_gradients(model, norms: dict[str, float], gradients: dict[str, torch.Tensor]):
    found = {key: parameter.grad for key, parameter in model.glm.named_parameters()}
    for key, norm in norms.items():
        assert found[key].norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-6), key
    for key, gradient in gradients.items():
        torch.testing.assert_close(found[key], gradient, **TOLERANCE)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "case"), params(list_cases(lambda name, case: "loss" in stored(name, case))))
def test_loss_and_gradients(name, case, training):
    tensors = golden_tensors(name, case)
    model = without_dropout(load(GLMForConditionalGeneration, name)).train(training)
    outputs = model(**inputs_of(name, case))
    torch.testing.assert_close(outputs.loss, tensors["out.loss"].squeeze(), **TOLERANCE)
    assert (outputs.logits is None) == training
    outputs.loss.backward()
    stored_gradients = {key.removeprefix("grad."): value for key, value in tensors.items() if key.startswith("grad.")}
    assert_gradients(model, stored(name, case).get("grad_norms", {}), stored_gradients)


@pytest.mark.parametrize("name", MODELS)
def test_logits_of_the_training_code(name):
    model = load(GLMForConditionalGeneration, name, hidden_act="gelu_pytorch_tanh")
    for key, expected in golden_tensors(name, NATIVE).items():
        with torch.inference_mode():
            logits = model(**inputs_of(name, key.removeprefix("out.logits."))).logits
        torch.testing.assert_close(logits, expected, **TOLERANCE)


@pytest.mark.parametrize("name", MODELS)
def test_loss_and_gradients_of_the_training_code(name):
    native = golden_cases(name)[NATIVE]
    model = without_dropout(load(GLMForConditionalGeneration, name, hidden_act="gelu_pytorch_tanh"))
    loss = model(**inputs_of(name, native["loss_case"])).loss
    loss.backward()
    assert loss.item() == pytest.approx(native["loss"], abs=1e-4)
    assert native["grad_norms"]
    assert_gradients(model, native["grad_norms"], {})


def generation_cases() -> list[tuple[str, str]]:
    return [(name, case) for name in BLOCK_MODELS for case in read_json(name, "generation.json")]


def fills_otherwise(name: str, inputs: str) -> bool:
    """Tell prompts for which the hub's code is wrong: it counts padding as positions, and fills one blank of several."""
    special = golden_cases(name)["special_token_ids"]
    masks = torch.tensor([special[key] for key in ("mask", "smask", "gmask") if key in special])
    blanks = torch.isin(golden_inputs(name, inputs)["input_ids"], masks).sum(-1)
    return stored(name, inputs)["padding_side"] == "left" or bool((blanks > 1).any())


def compared_tokens(sequences: torch.Tensor, expected: dict) -> torch.Tensor:
    """
    Tell which tokens of the hub's sequences ours must equal: all with a pad id or with beams.

    Else the hub's generate repeats the end of a piece, and the tokens up to the first end are compared.
    """
    settings = expected["kwargs"]
    if "pad_token_id" in settings or settings["num_beams"] > 1:
        return torch.ones_like(sequences, dtype=torch.bool)
    ends = sequences == settings["eos_token_id"]
    ends[:, : expected["prompt_len"]] = False
    return ends.long().cumsum(-1) - ends.long() == 0


@pytest.mark.parametrize("explicit", [True, False], ids=["positions given", "from the ids"])
@pytest.mark.parametrize(("name", "case"), params(generation_cases()))
def test_generation(name, case, explicit):
    expected = read_json(name, "generation.json")[case]
    modern = read_json(name, "generation_tf523.json")["cases"].get(case, {})
    inputs = golden_inputs(name, expected["inputs"])
    if not explicit:
        if fills_otherwise(name, expected["inputs"]):
            pytest.skip("the hub counts positions from the padding on, and fills the first of several blanks")
        mask = inputs.pop("generation_attention_mask")[:, 0, 0, : inputs["input_ids"].shape[1]]
        mask[:, -1] = 1
        inputs = {"input_ids": inputs["input_ids"], "attention_mask": mask}
    sequences = torch.tensor(modern.get("sequences", expected["sequences"]))
    model = load(GLMForConditionalGeneration, name)
    outputs = model.generate(**inputs, **expected["kwargs"], return_dict_in_generate=True, output_scores=True)
    assert outputs.sequences.shape == sequences.shape
    same = compared_tokens(sequences, expected)
    assert outputs.sequences[same].tolist() == sequences[same].tolist()
    if "sequences_scores" in modern:
        torch.testing.assert_close(outputs.sequences_scores, torch.tensor(modern["sequences_scores"]), **TOLERANCE)


@pytest.mark.parametrize(
    ("name", "case"), params(list_cases(lambda name, case: "out.step_scores" in golden_tensors(name, case)))
)
def test_scores_of_every_greedy_step(name, case):
    expected = read_json(name, "generation.json")[case.removesuffix("_scores")]
    model = load(GLMForConditionalGeneration, name)
    outputs = model.generate(
        **golden_inputs(name, expected["inputs"]),
        **expected["kwargs"],
        return_dict_in_generate=True,
        output_scores=True,
    )
    torch.testing.assert_close(
        torch.stack(outputs.scores, dim=1), golden_tensors(name, case)["out.step_scores"], **TOLERANCE
    )


@pytest.mark.parametrize("name", [name for name in BLOCK_MODELS if read_json(name, "thudm_multiblank_greedy.json")])
def test_several_blanks_as_the_training_code_fills_them(name):
    models = {}
    for case in read_json(name, "thudm_multiblank_greedy.json")["cases"]:
        act = "gelu" if case["gelu"] == "erf" else "gelu_pytorch_tanh"
        model = models.setdefault(act, load(GLMForConditionalGeneration, name, hidden_act=act))
        outputs = model.generate(
            torch.tensor([case["context"]]),
            eos_token_id=case["end_tokens"],
            max_new_tokens_per_blank=case["out_seq_length"],
        )
        assert outputs[0, : len(case["full"])].tolist() == case["full"]
        assert outputs.shape[1] <= len(case["full"]) + 1


@pytest.mark.parametrize(("name", "case"), params(list_cases(lambda name, case: "choice_ids" in stored(name, case))))
def test_choice_scores(name, case):
    tensors, known = golden_tensors(name, case), stored(name, case)
    start = known["choice_indices"][0][0][0]
    width = max(map(len, known["choice_ids"]))
    length = max(len(ids) for row in known["choice_ids"] for ids in row)
    choice_ids = torch.full((len(known["choice_ids"]), width, length), -100)
    for row, choices in enumerate(known["choice_ids"]):
        for column, ids in enumerate(choices):
            choice_ids[row, column, : len(ids)] = torch.tensor(ids)
    inputs = {
        "input_ids": tensors["in.input_ids"][:, :start],
        "attention_mask": tensors["in.attention_mask"][:, 0, 0, :start],
        "position_ids": tensors["in.position_ids"][:, :, :start],
    }
    model = load(GLMForMultipleChoice, name)
    with torch.inference_mode():
        outputs = model(**inputs, choice_ids=choice_ids, labels=tensors["in.labels"])
        if known["padding_side"] == "right":  # the hub counts padding on the left as positions
            del inputs["position_ids"]
            torch.testing.assert_close(
                model(**inputs, choice_ids=choice_ids).logits, tensors["out.logits"], **TOLERANCE
            )
    torch.testing.assert_close(outputs.logits, tensors["out.logits"], **TOLERANCE)
    torch.testing.assert_close(outputs.loss, tensors["out.loss"].squeeze(), **TOLERANCE)
