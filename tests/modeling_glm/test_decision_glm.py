"""`GLMForDecision`: its numbers are those of `choose` and of one option at a time, in every order of the options."""

import copy
import itertools
import json
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForDecision, pipeline
from transformers.decision import DecisionConfig

from modeling_glm import (
    Calibration,
    GLMDecisionConfig,
    GLMForConditionalGeneration,
    GLMForDecision,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    PatternVerbalizer,
    choose,
    fill_blanks,
)
from modeling_glm.decision.answers import decide as decide_many
from modeling_glm.decision_glm import lay_out_row
from modeling_glm.modeling_glm import AUTO_MAP
from modeling_glm.tokenization.blanks import answer_forms
from modeling_glm.utils.rows import RowError
from tests.support.decisions import (
    CHOICE,
    NOUL,
    SCORE,
    STATE,
    ask,
    naive_option_scores,
    shares_of,
    softmax,
)
from tests.support.fake_hub import run_hub
from tests.support.hub_runs import use_without_package
from tests.support.models import make_model

ALL = ask(STATE, kind=CHOICE, where=NOUL, level=SCORE)
OPTIONS = [["quick", "the lazy dog", "a cat"], ["Yes", "No"], SCORE["criteria"]]


def decide(model, tokenizer, request, config=None) -> dict:
    return pipeline("decision", model=model, tokenizer=tokenizer, decision_config=config)(request)


def with_config(**settings) -> GLMDecisionConfig:
    return GLMDecisionConfig(max_length=65, max_option_length=64, **settings)


def check(answers: dict, expected: list[list[float]]):
    for answer, scores in zip(answers.values(), expected, strict=True):
        assert shares_of(answer) == pytest.approx(softmax(scores), abs=1e-5)


def test_all_types_of_questions_in_one_text(decider, tokenizer):
    """One forward pass reads the state once, and every option scores as alone behind that text."""
    passes = []
    handle = decider.glm.register_forward_pre_hook(
        lambda module, args, kwargs: passes.append(kwargs), with_kwargs=True
    )
    answers = decide(decider, tokenizer, ALL)
    handle.remove()
    text = f"{STATE} The fox is [MASK]. Is it Rome? [MASK]. How lazy? [MASK]."
    context = tokenizer(text)["input_ids"]
    assert [row["input_ids"][0, : len(context)].tolist() for row in passes] == [context]
    check(answers, [naive_option_scores(decider, tokenizer, text, *one) for one in enumerate(OPTIONS)])
    assert answers["level"]["legend"] == dict(zip("012", SCORE["criteria"], strict=True))


def test_every_question_alone_gives_the_numbers_of_choose(decider, tokenizer):
    texts = [f"{STATE} The fox is [MASK].", f"{STATE} Is it Rome? [MASK].", f"{STATE} How lazy? [MASK]."]
    expected = [
        [choice.log_prob for choice in sorted(row, key=lambda choice: choice.index)]
        for row in choose(decider, tokenizer, texts, OPTIONS)
    ]
    check(decide(decider, tokenizer, ALL, with_config(share_state=False)), expected)
    for (name, question), scores in zip(ALL["questions"].items(), expected, strict=True):
        check(decide(decider, tokenizer, ask(STATE, **{name: question})), [scores])


@pytest.mark.parametrize("settings", [{}, {"share_state": False}, {"content_free": ["N/A", ""]}], ids=str)
def test_the_order_of_options_changes_nothing(decider, tokenizer, settings):
    """All 24 orders give the same scores, to the last bit; so do descriptions in another order."""
    config = with_config(**settings)
    criteria = {"quick": "It jumps", "the lazy dog": None, "404": "Not found", "of Italy": "A capital"}
    found = set()
    for order in itertools.permutations(criteria):
        question = {**CHOICE, "criteria": {name: criteria[name] for name in order}}
        ((inputs, questions),) = config.prepare_inputs(ask(STATE, kind=question, where=NOUL), tokenizer)
        kind, where = decider.decide(**inputs, decision_questions=questions, decision_config=config)
        found.add((*sorted(zip(order, kind.tolist(), strict=True)), *where.tolist()))
    assert len(found) == 1


def test_contextual_calibration_is_that_of_choose(decider, tokenizer):
    calibration = Calibration("contextual", ("N/A", "fox"), temperature=1.7)
    config = with_config(content_free=["N/A", "fox"], temperature={"choice": 1.7}, pattern="{state} [MASK]")
    criteria = dict.fromkeys(OPTIONS[0])
    answers = decide(decider, tokenizer, ask("Paris is", kind={"type": "choice", "criteria": criteria}), config)
    ranked = choose(decider, tokenizer, "Paris is [MASK]", OPTIONS[0], calibration=calibration)
    by_text = {choice.text: choice.probability for choice in ranked}
    assert answers["kind"]["probabilities"] == pytest.approx(by_text, abs=1e-6)


def test_words_are_added_and_ends_count(decider, tokenizer):
    text = "Paris is [MASK]."
    words = {"fast": ["quick", "a fox"], "slow": ["lazy"]}
    question = {"type": "choice", "criteria": {"slow": None, "fast": None}}
    quick, fox, lazy = naive_option_scores(decider, tokenizer, text, 0, ["quick", "a fox", "lazy"])
    answers = decide(decider, tokenizer, ask("Paris is", q=question), with_config(words=words))
    check(answers, [[lazy, torch.tensor([quick, fox]).logsumexp(0).item()]])
    scores = naive_option_scores(decider, tokenizer, text, 0, ["slow", "fast"], end=True)
    check(decide(decider, tokenizer, ask("Paris is", q=question), with_config(score_ends=True)), [scores])


def test_the_length_penalty_of_the_config_holds(decider, tokenizer):
    penalized = copy.deepcopy(decider)
    penalized.config.choice_length_penalty = 0.5
    ranked = choose(penalized, tokenizer, "Paris is [MASK].", OPTIONS[0])
    question = {"type": "choice", "criteria": dict.fromkeys(OPTIONS[0])}
    found = decide(penalized, tokenizer, ask("Paris is", q=question))["q"]["probabilities"]
    assert found == pytest.approx({choice.text: choice.probability for choice in ranked}, abs=1e-6)


def test_many_rows_take_several_passes(decider, tokenizer, monkeypatch):
    config = with_config(share_state=False)
    expected = decide(decider, tokenizer, ALL, config)
    monkeypatch.setattr("modeling_glm.decision_glm.MOST_ROWS", 1)
    monkeypatch.setattr("modeling_glm.questions_glm.MOST_BRANCH_TOKENS", 3)
    for name, answer in decide(decider, tokenizer, ALL, config).items():
        assert shares_of(answer) == pytest.approx(shares_of(expected[name]), abs=1e-6)


def test_pipeline_and_auto_class_and_folder_give_the_same_numbers(decider, tokenizer, decider_folder):
    expected = decide(decider, tokenizer, ALL)
    loaded = AutoModelForDecision.from_pretrained(decider_folder)
    assert type(loaded) is GLMForDecision
    assert loaded.decision_config == decider.decision_config
    assert decide(loaded, tokenizer, ALL) == expected
    pipe = pipeline("decision", model=str(decider_folder))
    assert pipe(ALL) == pipe(json.dumps(ALL)) == expected
    assert pipe([ALL, ALL]) == [expected] * 2


def test_the_folder_names_every_class_behind_its_auto_class(decider_folder):
    assert json.loads((decider_folder / "config.json").read_text())["auto_map"] == AUTO_MAP


def test_any_checkpoint_that_fills_blanks_will_do(tokenizer, decider, tmp_path):
    model = GLMForConditionalGeneration(decider.config)
    model.load_state_dict(decider.state_dict())
    model.save_pretrained(tmp_path)
    loaded, info = AutoModelForDecision.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"]
    assert decide(loaded, tokenizer, ALL) == decide(decider, tokenizer, ALL)
    own = with_config(pattern="{state}: [MASK]")
    assert AutoModelForDecision.from_pretrained(tmp_path, decision_config=own).decision_config == own


def test_it_fills_blanks_as_well(decider, tokenizer):
    model = GLMForConditionalGeneration(decider.config).eval()
    model.load_state_dict(decider.state_dict())
    text = "Paris is the [MASK] of France."
    assert fill_blanks(decider, tokenizer, text) == fill_blanks(model, tokenizer, text)


class TestUntrainedWeights:
    """No answer comes from random weights."""

    def test_a_new_model_does_not_answer(self, decider, tokenizer):
        new = GLMForDecision(decider.config)
        with pytest.raises(ValueError, match="weights of this GLMForDecision are random"):
            decide(new, tokenizer, ALL)
        with pytest.raises(ValueError, match="random"):
            decide(AutoModelForDecision.from_config(decider.config), tokenizer, ALL)
        weights = dict(decider.state_dict())
        del weights["glm.transformer.final_layernorm.weight"]
        new.load_state_dict(weights, strict=False)
        with pytest.raises(ValueError, match="random"):
            decide(new, tokenizer, ALL)

    @pytest.mark.parametrize("head", [GLMForSequenceClassification, GLMForTokenClassification])
    def test_a_checkpoint_with_another_head_is_refused(self, head, tmp_path):
        make_model(head).save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="a head of another kind"):
            GLMForDecision.from_pretrained(tmp_path)

    def test_missing_weights_are_refused(self, decider_folder, tmp_path):
        tensors = load_file(decider_folder / "model.safetensors")
        config = json.loads((decider_folder / "config.json").read_text())
        for name, settings in (("word_embeddings.weight", {}), ("lm_head.weight", {"tie_word_embeddings": False})):
            target = tmp_path / name
            target.mkdir()
            kept = {key: tensor for key, tensor in tensors.items() if not key.endswith(name)}
            save_file(kept, target / "model.safetensors", metadata={"format": "pt"})
            (target / "config.json").write_text(json.dumps({**config, **settings}))
            with pytest.raises(ValueError, match="drawn at random"):
                GLMForDecision.from_pretrained(target)


def test_what_another_config_prepares_is_refused(decider, tokenizer):
    (inputs, questions), *_ = decider.decision_config.prepare_inputs(ALL, tokenizer)
    with pytest.raises(ValueError, match="The decision config is a DecisionConfig: expected a GLMDecisionConfig"):
        decider.decide(**inputs, decision_questions=questions, decision_config=DecisionConfig())
    with pytest.raises(ValueError, match="The inputs have no rows"):
        decider.decide(inputs["input_ids"], inputs["marks"], questions)


def test_a_classifier_with_a_task_is_not_opened_without_it(tokenizer, decider_folder, tmp_path):
    task = PatternVerbalizer("{text} It was [MASK].", {"good": "quick", "bad": "lazy"})
    shutil.copytree(decider_folder, tmp_path / "model")
    task.attach(tokenizer).save_pretrained(tmp_path / "model")
    GLMForDecision.from_pretrained(tmp_path / "model")  # its decision.json says how
    (tmp_path / "model" / "decision.json").unlink()
    with pytest.raises(ValueError, match=r"has a cloze task \(cloze.json\).*build_decision_model"):
        AutoModelForDecision.from_pretrained(tmp_path / "model")
    GLMForDecision.from_pretrained(tmp_path / "model", decision_config=GLMDecisionConfig())


@pytest.mark.parametrize("block", [False, True])
def test_the_longest_option_and_text_fit_and_longer_ones_are_named(tokenizer, block):
    model = make_model(
        GLMForConditionalGeneration,
        vocab_size=len(tokenizer),
        max_position_embeddings=24,
        block_position_embeddings=block,
        **tokenizer.special_token_ids,
    )
    decider = GLMForDecision(model.config).eval()
    decider.load_state_dict(model.state_dict())

    def encode(state: str, option: str):
        question = {"type": "choice", "criteria": {option: None, "fox": None}}
        return decider.decision_config.encode(ask(state, q=question), tokenizer)[0]

    word = next(word for word in ("lazy", "dog", "the", "fox") if len(answer_forms(tokenizer, word)[0]) == 1)
    longest, room = model.config.max_piece_length, model.config.max_context_length
    (row,) = encode("A", "? " + " ".join([word] * (longest - 2)))
    assert decider.score_rows([row])
    with pytest.raises(ValueError, match=rf"Question 'q': option .* tokens, but the position table holds {longest}"):
        encode("A", "? " + " ".join([word] * (longest + 2)))
    with pytest.raises(ValueError, match=f"tokens, but the position table holds {room}"):
        encode(" ".join([word] * 40), "dog")


def test_another_config_knows_the_position_table_too(decider, tokenizer):
    config = GLMDecisionConfig(max_length=10**6)
    with pytest.raises(RowError, match=r"Request 1: .* tokens, but the position table holds"):
        decide_many(decider, tokenizer, ["A.", "fox " * 1000], questions={"q": NOUL}, decision_config=config)


def test_options_longer_than_the_position_table_are_refused(decider, tokenizer):
    config = GLMDecisionConfig(max_length=1000)
    for request, name in (
        (ask("fox " * 80, q=NOUL), "text"),
        (ask("fox", q={"type": "choice", "criteria": {"fox " * 80: None, "dog": None}}), "option"),
    ):
        rows, _ = config.encode(request, tokenizer)
        with pytest.raises(ValueError, match=f"The {name} has .* tokens, but the position table holds 6"):
            lay_out_row(rows[0], decider.config)


@pytest.mark.slow
def test_remote_code_without_the_package_gives_the_same_numbers(decider, tokenizer, tmp_path):
    decider.save_pretrained(tmp_path / "local")
    tokenizer.save_pretrained(tmp_path / "local")
    (tmp_path / "request.json").write_text(json.dumps(ALL))
    with run_hub() as hub:
        found = use_without_package(tmp_path, hub, "decide_local")
    assert found["installed"] is False
    assert found["module"].startswith("transformers_modules.")
    for name, answer in decide(decider, tokenizer, ALL).items():
        assert shares_of(found["decided"][name]) == pytest.approx(shares_of(answer), abs=1e-6)


@pytest.mark.slow
def test_transformers_without_decisions_is_used_without_a_warning():
    """Before 5.23 the library has no decision models: GLM then has none either."""
    script = """
import sys, warnings
import transformers.pipelines
sys.modules["transformers.decision"] = None
warnings.simplefilter("error")
import modeling_glm
from modeling_glm.modeling_glm import AUTO_MAP
assert "AutoModelForDecision" not in AUTO_MAP and not hasattr(modeling_glm, "GLMForDecision")
assert "GLMForDecision" not in modeling_glm.__all__ and "modeling_glm.decision_glm" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
