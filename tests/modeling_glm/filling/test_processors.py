"""Processors of `generate`: constraints, draws that do not depend on batching, and recorded scores."""

from types import SimpleNamespace

import pytest
import torch
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from modeling_glm import BlankConstraint, GLMForConditionalGeneration
from modeling_glm.constraints.factory import Automata
from modeling_glm.constraints.rules import BlankRules
from modeling_glm.filling.processors import (
    BeamScoreRecorder,
    BlankConstraintLogitsProcessor,
    SampleByRowLogitsProcessor,
    ScoreRecorder,
    sampling_warpers,
)
from tests.support.models import TOKEN_IDS, make_model, tiny_config, words

CLS, EOS, MASK, SOP, EOP = (TOKEN_IDS[f"{name}_token_id"] for name in ("cls", "eos", "mask", "sop", "eop"))
PROMPT = [CLS, *words(3, seed=1), MASK, *words(2, seed=2), MASK, EOS]


class FavourOneToken(LogitsProcessor):
    """Gives almost all probability to one token."""

    def __call__(self, input_ids, scores):
        scores = scores.clone()
        scores[:, 30] += 50
        return scores


def test_recorded_scores_are_the_models_own():
    """Other processors change what is taken, not what is recorded: observers come first in the list."""
    model = make_model(GLMForConditionalGeneration)
    recorder = ScoreRecorder(SOP, [EOP, EOS])
    sequences = model.generate(
        torch.tensor([PROMPT]),
        score_observers=[recorder],
        logits_processor=LogitsProcessorList([FavourOneToken()]),
        max_new_tokens=6,
        max_new_tokens_per_blank=3,
        do_sample=False,
    )
    recorded = recorder.read(sequences)[0]
    new = sequences[0, len(PROMPT) + 1 :].tolist()
    assert new == [30, 30, 30, SOP, 30, 30]
    log_probs = model(sequences).logits[0, len(PROMPT) : -1].log_softmax(-1)
    # The end of the first piece is recorded where the start of the second one is fed. What follows an answer that was
    # cut off does not see its last token, so only the first piece is compared.
    for place in range(3):
        assert recorded[place] == pytest.approx(log_probs[place, 30].item(), abs=1e-5)
    assert recorded[3] == pytest.approx(log_probs[3, [EOP, EOS]].logsumexp(-1).item(), abs=1e-5)


def test_beams_are_found_by_their_ids():
    """Two beams of one text change places, a third one drops out. Worked by hand."""
    recorder = BeamScoreRecorder(SOP, [EOP, EOS], num_beams=3)
    prompt = [CLS, MASK, EOS, SOP]
    steps = [torch.randn(3, 64, generator=torch.Generator().manual_seed(n)).log_softmax(-1) for n in range(3)]
    recorder(torch.tensor([prompt] * 3), steps[0].clone())
    recorder(torch.tensor([[*prompt, 20], [*prompt, 21], [*prompt, 22]]), steps[1].clone())
    recorder(torch.tensor([[*prompt, 21, 30], [*prompt, 20, SOP], [*prompt, 21, 31]]), steps[2].clone())
    sequences = torch.tensor(
        [[*prompt, 20, SOP, EOS], [*prompt, 21, 31, EOP], [*prompt, 22, EOP, 0], [*prompt, 20, 40, 0]]
    )
    beam_indices = torch.tensor([[0, 0, 1], [0, 1, 2], [0, 2, -1], [0, 0, -1]])
    found = recorder.read(SimpleNamespace(sequences=sequences, beam_indices=beam_indices))

    def end(step, row):
        return steps[step][row, [EOP, EOS]].logsumexp(-1)

    expected = [
        [steps[0][0, 20], end(1, 0), end(2, 1)],
        [steps[0][0, 21], steps[1][1, 31], end(2, 2)],
        [steps[0][0, 22], end(1, 2)],
        [steps[0][0, 20]],  # stopped without an end: its last token has no score
    ]
    assert found == [pytest.approx([float(value) for value in row], abs=1e-6) for row in expected]
    assert recorder.read(SimpleNamespace(sequences=sequences)) is None  # a search that does not tell


def test_scores_of_drafts_are_not_recorded():
    recorder = ScoreRecorder(SOP, [EOP, EOS])
    ids, scores = torch.tensor([[CLS, MASK, EOS, SOP]]), torch.randn(1, 64)
    recorder(ids, scores)
    recorder(torch.cat((ids, torch.tensor([[20, 21]])), 1), scores)  # two tokens at once
    assert recorder.read(torch.cat((ids, torch.tensor([[20, 21, 22]])), 1)) is None


def test_draws_depend_on_the_row_and_not_on_the_batch():
    rows = [(text, sample) for text in range(3) for sample in range(2)]
    scores, ids = torch.randn(1, 64).expand(6, -1), torch.zeros(6, 1)
    together = SampleByRowLogitsProcessor(5, rows)
    alone = [SampleByRowLogitsProcessor(5, [row]) for row in rows]
    drawn = [together(ids, scores).argmax(-1) for _ in range(8)]
    for step in drawn:
        assert step.tolist() == [processor(ids[:1], scores[:1]).argmax().item() for processor in alone]
    assert len({tuple(step[row].item() for step in drawn) for row in range(6)}) == 6  # rows differ
    # Rows that stay after others left go on with their own numbers.
    together.select([4, 1])
    expected = [alone[row](ids[:1], scores[:1]).argmax().item() for row in (4, 1)]
    assert together(ids[:2], scores[:2]).argmax(-1).tolist() == expected


def test_draws_follow_the_softmax():
    scores = torch.tensor([2.0, 1.0, 0.0, -torch.inf])
    rows = [(number, 0) for number in range(4000)]
    processed = SampleByRowLogitsProcessor(0, rows)(torch.zeros(4000, 1), scores.expand(4000, -1))
    assert ((processed == 0).sum(-1) == 1).all()  # one token is left
    shares = torch.bincount(processed.argmax(-1), minlength=4) / 4000
    expected = scores.softmax(-1)
    bounds = 4 * (expected * (1 - expected) / 4000).sqrt()
    assert ((shares - expected).abs() <= bounds).all()


def test_rules_are_those_of_the_running_blank(tokenizer):
    config = tiny_config(vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    automata = Automata(tokenizer, len(tokenizer))
    text = "The [MASK] and the [MASK]."
    rules = [BlankRules(BlankConstraint(choices=[choice]), automata, 9) for choice in (" fox", "dog")]
    sop, ends = tokenizer.sop_token_id, sorted(tokenizer.end_token_ids)
    processor = BlankConstraintLogitsProcessor(config, ends, [rules])
    context = tokenizer(text)["input_ids"]
    fox, dog = (tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in ("fox", "dog"))

    def allowed(ids: list[int]) -> list[int]:
        scores = processor(torch.tensor([ids]), torch.zeros(1, len(tokenizer)))
        return (scores[0] == 0).nonzero().flatten().tolist()

    assert allowed([*context, sop]) == [fox[0]]
    assert allowed([*context, sop, *fox]) == ends  # `generate` feeds the start of the next piece in their place
    bare = tokenizer("dog", add_special_tokens=False)["input_ids"]
    assert allowed([*context, sop, *fox, sop]) == sorted([dog[0], bare[0]])  # behind a space or glued
    assert allowed([*context, sop, *fox, sop, bare[0]]) == [bare[1]]
    assert allowed([*context, sop, *fox, sop, *dog]) == ends
    assert len(allowed([*context, sop, *fox, sop, *dog, ends[0]])) == len(tokenizer)  # padding follows


def test_warpers_have_the_order_of_the_library():
    found = sampling_warpers(temperature=0.5, top_k=None, top_p=0.9, min_p=None)
    assert [type(warper) for warper in found] == [TemperatureLogitsWarper, TopPLogitsWarper]
    assert sampling_warpers(temperature=1.0, top_k=None, top_p=None, min_p=None) == []
    with pytest.raises(ValueError, match="temperature"):
        sampling_warpers(temperature=-1.0, top_k=None, top_p=None, min_p=None)
