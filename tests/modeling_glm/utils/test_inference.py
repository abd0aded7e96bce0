"""Use a model without changing it."""

import copy
import os
import signal
import threading

import pytest
import torch
from peft import (
    LoraConfig,
    PeftConfig,
    PrefixTuningConfig,
    PromptEncoderConfig,
    PromptTuningConfig,
    get_peft_model,
)

from modeling_glm import GLMForConditionalGeneration, fill_blanks
from modeling_glm.layout_glm import compute_position_ids
from modeling_glm.utils.inference import (
    answer_blanks,
    compute_hidden_states,
    evaluation_mode,
    fill_rows,
    is_a,
    unwrap,
)
from modeling_glm.utils.rows import RowError
from tests.support.concurrency import find_differences
from tests.support.containers import CONTAINERS
from tests.support.models import make_model, pad_rows

TEXTS = [
    "A [MASK].",
    "The [MASK] is a much longer text than the others, with [MASK] blanks.",
    "Two [MASK] and [MASK].",
]


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)


def test_modes_come_back():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.Dropout())).train()
    model[1].eval()
    with evaluation_mode(model):
        assert not any(module.training for module in model.modules())
        assert torch.is_inference_mode_enabled()
    assert model.training
    assert model[0].training
    assert not model[1].training


def test_the_last_of_several_calls_turns_dropout_on_again():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.Dropout())).train()
    with evaluation_mode(model[1]):  # a part, as the model inside a wrapper
        with evaluation_mode(model):
            assert not any(module.training for module in model.modules())
        assert [module.training for module in model.modules()] == [True, True, False, False]
    assert all(module.training for module in model.modules())


def test_a_model_in_evaluation_mode_is_not_touched(monkeypatch):
    model = torch.nn.Sequential(torch.nn.Dropout()).eval()
    monkeypatch.setattr(torch.nn.Module, "__setattr__", lambda *_: pytest.fail("a module was changed"))
    monkeypatch.setattr(torch.nn.Module, "train", lambda *_: pytest.fail("the mode was changed"))
    with evaluation_mode(model):
        pass


def test_errors_and_threads_leave_the_mode_as_it_was():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Sequential(torch.nn.Dropout())).train()
    model[1].eval()

    def call(part: torch.nn.Module) -> bool:
        try:
            with evaluation_mode(part):
                same = torch.equal(part(ones), ones)
                raise KeyError
        except KeyError:
            return same

    ones = torch.ones(50)
    calls = {"whole": lambda: call(model), "part": lambda: call(model[0])}
    assert find_differences(calls, calls_of_thread=200) == []
    assert [module.training for module in model.modules()] == [True, True, False, False]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_keeps_only_its_own_calls():
    model, other = torch.nn.Dropout().train(), torch.nn.Dropout().train()
    inside, done = threading.Event(), threading.Event()

    def hold():
        with evaluation_mode(torch.nn.Sequential(model, other)):
            inside.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(60)
    with evaluation_mode(model):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            os._exit(10 * model.training + other.training)  # its own call goes on
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done.set()
    thread.join()
    assert code == 1
    assert model.training
    assert other.training


def test_wrappers_of_peft_are_looked_through(model):
    wrapped = get_peft_model(make_model(GLMForConditionalGeneration), LoraConfig(target_modules=["dense"]))
    assert unwrap(model) is model
    assert type(unwrap(wrapped)) is GLMForConditionalGeneration
    assert is_a(wrapped, "GLMForConditionalGeneration")


def test_names_of_base_classes_count(model):
    assert is_a(model, "GLMForConditionalGeneration")
    assert is_a(model, "PreTrainedModel")
    assert not is_a(model, "GLMForMultipleChoice")


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_answers_are_those_of_generate(model, tokenizer, batch_size):
    model.train()
    answers = answer_blanks(model, tokenizer, TEXTS, batch_size=batch_size, max_new_tokens_per_blank=4)
    assert model.training
    model.eval()
    for text, row in zip(TEXTS, answers, strict=True):
        alone = model.generate(**tokenizer(text, return_tensors="pt"), do_sample=False, max_new_tokens_per_blank=4)
        assert row == tokenizer.decode_blanks(alone)[0]
        assert len(row) == text.count("[MASK]")


def test_any_form_of_texts(model, tokenizer):
    expected = answer_blanks(model, tokenizer, TEXTS, max_new_tokens_per_blank=2)
    for name, make in CONTAINERS.items():
        assert answer_blanks(model, tokenizer, make(TEXTS), max_new_tokens_per_blank=2) == expected, name
    with pytest.raises(RowError, match="Text 1 is None"):
        answer_blanks(model, tokenizer, [TEXTS[0], None])
    text = "<|startofpiece|> the fox [MASK] <|endoftext|>."
    (alone,) = fill_blanks(model, tokenizer, text, max_new_tokens_per_blank=2)
    answers = answer_blanks(model, tokenizer, [TEXTS[0], text], max_new_tokens_per_blank=2)
    assert answers[1] == [answer.text for answer in alone.answers]


SOFT = {
    "prompt tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "P-tuning": PromptEncoderConfig(task_type="CAUSAL_LM", num_virtual_tokens=3, encoder_hidden_size=16),
    "prefix tuning": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3),
    "P-tuning of an encoder-decoder": PromptEncoderConfig(
        task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3, encoder_hidden_size=16
    ),
    "prefix tuning of an encoder-decoder": PrefixTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3),
    "LoRA": LoraConfig(task_type="CAUSAL_LM", target_modules=["dense"], init_lora_weights=False),
}


def wrap(config: PeftConfig) -> torch.nn.Module:
    """Wrap a model. Its prompt is drawn wide, so that it changes what the model says."""
    torch.manual_seed(0)
    model = get_peft_model(make_model(GLMForConditionalGeneration), copy.deepcopy(config))
    with torch.no_grad():
        for parameter in getattr(model, "prompt_encoder", torch.nn.Module()).parameters():
            parameter.normal_(std=0.5)
    return model.eval()


@pytest.mark.parametrize("config", SOFT.values(), ids=SOFT)
@pytest.mark.parametrize("side", ["left", "right"])
def test_hidden_states_are_those_behind_the_soft_prompt(config, side):
    model = wrap(config)
    rows = [[2, 11, 3, 12, 3, 1, 6, 13, 6, 14, 15], [2, 3, 16, 1, 6, 17]]
    ids, mask = pad_rows(rows, side), pad_rows([[1] * len(row) for row in rows], side)
    positions = compute_position_ids(ids, model.config, mask)
    with torch.no_grad():
        states = compute_hidden_states(model, ids, mask, positions, torch.zeros_like(ids))
        expected = model(input_ids=ids, attention_mask=mask).logits[:, -ids.shape[1] :]
        unprompted = model.get_base_model()(input_ids=ids, attention_mask=mask).logits
    real = mask != 0
    torch.testing.assert_close(model.vocabulary_logits(states)[real], expected[real], atol=1e-5, rtol=1e-4)
    assert (expected - unprompted)[real].abs().max() > 0.01 or config.peft_type == "LORA"


def test_branches_see_the_soft_prompt():
    """Two branches side by side are as each alone."""
    context, branches = [2, 11, 3, 12, 1, 6], [[13, 14], [15]]
    for config in SOFT.values():
        model = wrap(config)
        ids = torch.tensor([[*context, *branches[0], *branches[1]]])
        positions = compute_position_ids(ids, model.config)
        positions[0, 1, -1] = 2
        branch = torch.tensor([[0] * len(context) + [1, 1, 2]])
        with torch.no_grad():
            states = compute_hidden_states(model, ids, torch.ones_like(ids), positions, branch)
            together = model.vocabulary_logits(states)[0, len(context) :]
            alone = [
                model(input_ids=row, attention_mask=torch.ones_like(row)).logits[0, -len(added) :]
                for added in branches
                for row in [torch.tensor([[*context, *added]])]
            ]
        torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["prompt tuning", "prefix tuning", "LoRA"])
def test_a_disabled_adapter_is_not_read(kind):
    model, ids = wrap(SOFT[kind]), torch.tensor([[2, 11, 3, 1, 6, 12]])
    inputs = (ids, torch.ones_like(ids), compute_position_ids(ids, model.config), torch.zeros_like(ids))
    base = make_model(GLMForConditionalGeneration)
    with torch.no_grad():
        with model.disable_adapter():
            disabled = compute_hidden_states(model, *inputs)
            filled = fill_rows(model, ids, max_new_tokens=3)
        torch.testing.assert_close(disabled, compute_hidden_states(base, *inputs))
        assert not torch.allclose(disabled, compute_hidden_states(model, *inputs))
    assert filled.tolist() == base.generate(ids, max_new_tokens=3).tolist()


REFUSED = "P-tuning of an encoder-decoder"  # PEFT puts its virtual tokens into the prompt


@pytest.mark.parametrize("kind", [kind for kind in SOFT if kind != REFUSED])
def test_rows_that_are_filled_begin_with_their_prompt(kind):
    ids = torch.tensor([[2, 11, 3, 1]])
    filled = fill_rows(wrap(SOFT[kind]), ids, attention_mask=torch.ones_like(ids), max_new_tokens=3)
    assert filled[:, :4].tolist() == ids.tolist()


def test_rows_that_would_not_are_refused():
    with pytest.raises(ValueError, match=r"soft prompt of PEFT \(P_TUNING\).*task_type='CAUSAL_LM'"):
        fill_rows(wrap(SOFT[REFUSED]), torch.tensor([[2, 11, 3, 1]]))
