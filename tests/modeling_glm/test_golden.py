"""Numbers of the original implementations, from the folders of the originals as they are."""

import json

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice, GLMModel
from tests.support.golden import golden_cases, golden_tensors
from tests.support.paths import GOLDEN_MODELS

# The copy in the repository holds two of the three models.
MODELS = [name for name in ("a_gpt2_block", "b_bert_block_scale8", "c_noblock") if (GOLDEN_MODELS / name).is_dir()]
BLOCK_MODELS = [name for name in MODELS if name != "c_noblock"]
TOLERANCE = {"atol": 1e-4, "rtol": 1e-4}


def load(model_class, name: str, hidden_act: str = "gelu", **kwargs):
    """The hub's code computes with the exact GELU, the training code with the tanh form that is our default."""
    return model_class.from_pretrained(GOLDEN_MODELS / name, hidden_act=hidden_act, **kwargs).eval()


def four_dimensional(mask: torch.Tensor, length: int) -> torch.Tensor:
    """The originals' three kinds of mask as a 4D mask: 4D itself, (batch, seq) padding, (batch,) separators."""
    if mask.ndim == 4:
        return mask
    if mask.ndim == 2:
        return mask[:, None, None, :]
    index = torch.arange(length)
    return ((index[None, :] <= index[:, None]) | (index < mask[:, None, None]))[:, None]


def cases(prefix: str, names=MODELS):
    return [
        pytest.param(name, path.stem, id=f"{name}-{path.stem}")
        for name in names
        for path in sorted((GOLDEN_MODELS / name).glob(f"{prefix}*.safetensors"))
    ]


def inputs_of(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    inputs = {key.removeprefix("in."): value for key, value in tensors.items() if key.startswith("in.")}
    batch, length = inputs["input_ids"].shape
    if "position_ids" not in inputs:
        row0 = torch.arange(length).expand(batch, -1)
        inputs["position_ids"] = torch.stack((row0, torch.zeros_like(row0)), dim=1)
    mask = inputs.get("attention_mask", torch.zeros(1, dtype=torch.long))
    inputs["attention_mask"] = four_dimensional(mask, length)
    return inputs


@pytest.mark.parametrize("attn_implementation", ["eager", "sdpa"])
@pytest.mark.parametrize(("name", "case"), [c for c in cases("fwd_") if "mems" not in c.id])
def test_forward(name, case, attn_implementation):
    tensors = golden_tensors(name, case)
    inputs = inputs_of(tensors)
    model = load(GLMForConditionalGeneration, name, attn_implementation=attn_implementation)
    with torch.inference_mode():
        outputs = model(**inputs, output_hidden_states=True)
    torch.testing.assert_close(outputs.logits, tensors["out.logits"], **TOLERANCE)
    last = len(model.glm.transformer.layers)
    for layer in range(last):
        if f"out.hidden_{layer}" in tensors:
            torch.testing.assert_close(outputs.hidden_states[layer], tensors[f"out.hidden_{layer}"], **TOLERANCE)
    if "out.last_hidden_state" in tensors:
        torch.testing.assert_close(outputs.hidden_states[last], tensors["out.last_hidden_state"], **TOLERANCE)


@pytest.mark.parametrize("name", MODELS)
def test_base_class_loads_the_same_folder(name):
    tensors = golden_tensors(name, "fwd_multi_span")
    with torch.inference_mode():
        outputs = load(GLMModel, name)(**inputs_of(tensors))
    torch.testing.assert_close(outputs.last_hidden_state, tensors["out.last_hidden_state"], **TOLERANCE)


@pytest.mark.parametrize("name", MODELS)
def test_memory_becomes_a_cache(name):
    tensors = golden_tensors(name, "fwd_mems")
    split = golden_cases(name)["cases"]["fwd_mems"]["split"]
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


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "case"), cases("loss_"))
def test_loss_and_gradients(name, case, training):
    tensors = golden_tensors(name, case)
    expected = golden_cases(name)["cases"][case]
    model = load(GLMForConditionalGeneration, name)
    model.config.update({"embedding_dropout": 0.0})
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            module.attention_dropout = 0.0
    model.train(training)
    outputs = model(**inputs_of(tensors))
    torch.testing.assert_close(outputs.loss, tensors["out.loss"].squeeze(), **TOLERANCE)
    assert (outputs.logits is None) == training
    if "grad_norms" not in expected:
        return
    outputs.loss.backward()
    gradients = {key: parameter.grad for key, parameter in model.glm.named_parameters()}
    for key, norm in expected["grad_norms"].items():
        assert gradients[key].norm().item() == pytest.approx(norm, rel=1e-4, abs=1e-6), key
    for key in [key for key in tensors if key.startswith("grad.")]:
        torch.testing.assert_close(gradients[key.removeprefix("grad.")], tensors[key], **TOLERANCE)


@pytest.mark.parametrize("name", MODELS)
def test_training_code_with_tanh_gelu(name):
    stored = golden_tensors(name, "thudm_native_tanh_gelu")
    model = load(GLMForConditionalGeneration, name, hidden_act="gelu_pytorch_tanh")
    for case in ("fwd_multi_span", "fwd_random_mask"):
        inputs = inputs_of(golden_tensors(name, case))
        with torch.inference_mode():
            logits = model(**inputs).logits
        torch.testing.assert_close(logits, stored[f"out.logits.{case}"], **TOLERANCE)
    for case, expected in golden_cases(name)["thudm_native_tanh_gelu"].items():
        if not isinstance(expected, dict) or "loss" not in expected:
            continue
        model.zero_grad()
        loss = model(**inputs_of(golden_tensors(name, case))).loss
        loss.backward()
        assert loss.item() == pytest.approx(expected["loss"], abs=1e-4)
        for key, norm in expected.get("grad_norms", {}).items():
            assert dict(model.glm.named_parameters())[key].grad.norm().item() == pytest.approx(
                norm, rel=1e-4, abs=1e-6
            )


def generation_cases():
    for name in BLOCK_MODELS:
        stored = json.loads((GOLDEN_MODELS / name / "generation.json").read_text(encoding="utf-8"))
        yield from (pytest.param(name, case, id=f"{name}-{case}") for case in stored)


@pytest.mark.parametrize("explicit", [True, False], ids=["positions given", "from the ids"])
@pytest.mark.parametrize(("name", "case"), list(generation_cases()))
def test_generation(name, case, explicit):
    folder = GOLDEN_MODELS / name
    stored = json.loads((folder / "generation.json").read_text(encoding="utf-8"))[case]
    modern = json.loads((folder / "generation_tf523.json").read_text(encoding="utf-8"))["cases"].get(case, {})
    tensors = golden_tensors(name, stored["inputs"])
    inputs = {key.removeprefix("in."): value for key, value in tensors.items()}
    if not explicit:
        if stored["inputs"] == "gen_inputs_2" or "gmask_smask" in case:
            pytest.skip("the hub counts positions from the padding on, and fills the first of several blanks")
        mask = inputs.pop("generation_attention_mask")[:, 0, 0, : inputs["input_ids"].shape[1]]
        mask[:, -1] = 1
        inputs = {"input_ids": inputs["input_ids"], "attention_mask": mask}
    expected = torch.tensor(modern.get("sequences", stored["sequences"]))
    model = load(GLMForConditionalGeneration, name)
    outputs = model.generate(**inputs, **stored["kwargs"], return_dict_in_generate=True, output_scores=True)
    found = outputs.sequences
    if "pad_token_id" not in stored["kwargs"] and found.shape != expected.shape:
        pytest.fail(f"{found.shape} instead of {expected.shape}")
    if "pad_token_id" in stored["kwargs"] or stored["kwargs"]["num_beams"] > 1:
        assert found.tolist() == expected.tolist()
    else:
        # Without a pad id the hub's generate repeats the end; what counts stands before it.
        end = stored["kwargs"]["eos_token_id"]
        prompt = stored["prompt_len"]
        for row, reference in zip(found.tolist(), expected.tolist(), strict=True):
            stop = reference.index(end, prompt) + 1 if end in reference[prompt:] else len(reference)
            assert row[:stop] == reference[:stop]
    if "sequences_scores" in modern:
        torch.testing.assert_close(outputs.sequences_scores, torch.tensor(modern["sequences_scores"]), **TOLERANCE)


@pytest.mark.parametrize("name", BLOCK_MODELS)
def test_scores_of_every_greedy_step(name):
    stored = json.loads((GOLDEN_MODELS / name / "generation.json").read_text(encoding="utf-8"))["greedy_single"]
    inputs = {key.removeprefix("in."): value for key, value in golden_tensors(name, stored["inputs"]).items()}
    model = load(GLMForConditionalGeneration, name)
    outputs = model.generate(**inputs, **stored["kwargs"], return_dict_in_generate=True, output_scores=True)
    expected = golden_tensors(name, "greedy_single_scores")["out.step_scores"]
    torch.testing.assert_close(torch.stack(outputs.scores, dim=1), expected, **TOLERANCE)


@pytest.mark.parametrize("name", BLOCK_MODELS)
def test_several_blanks_as_the_training_code_fills_them(name):
    path = GOLDEN_MODELS / name / "thudm_multiblank_greedy.json"
    if not path.exists():
        pytest.skip("not stored for this model")
    stored = json.loads(path.read_text(encoding="utf-8"))
    models = {}
    for case in stored["cases"]:
        act = "gelu" if case["gelu"] == "erf" else "gelu_pytorch_tanh"
        model = models.setdefault(act, load(GLMForConditionalGeneration, name, hidden_act=act))
        outputs = model.generate(
            torch.tensor([case["context"]]),
            eos_token_id=case["end_tokens"],
            max_new_tokens_per_blank=case["out_seq_length"],
        )
        assert outputs[0, : len(case["full"])].tolist() == case["full"]
        assert outputs.shape[1] <= len(case["full"]) + 1


@pytest.mark.parametrize(("name", "case"), cases("mc_", BLOCK_MODELS))
def test_choice_scores(name, case):
    tensors = golden_tensors(name, case)
    stored = golden_cases(name)["cases"][case]
    start = stored["choice_indices"][0][0][0]
    width = max(map(len, stored["choice_ids"]))
    length = max(len(ids) for row in stored["choice_ids"] for ids in row)
    choice_ids = torch.full((len(stored["choice_ids"]), width, length), -100)
    for row, choices in enumerate(stored["choice_ids"]):
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
        if "rightpad" in case:  # the hub counts padding on the left as positions
            del inputs["position_ids"]
            torch.testing.assert_close(
                model(**inputs, choice_ids=choice_ids).logits, tensors["out.logits"], **TOLERANCE
            )
    torch.testing.assert_close(outputs.logits, tensors["out.logits"], **TOLERANCE)
    torch.testing.assert_close(outputs.loss, tensors["out.loss"].squeeze(), **TOLERANCE)
