"""Guidance equals two forward passes, one of them without the words of the text."""

import pytest
import torch

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.layout_glm import compute_position_ids
from tests.support.models import FIRST_WORD, TOKEN_IDS, ending_model, pad_rows, prompts, read_pieces, words

MASK, SMASK, GMASK = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "smask", "gmask"))
SOP, EOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("sop", "eop", "eos", "cls", "pad"))
ENDS = {EOP, EOS}
LIMIT = 6


@pytest.fixture(scope="module")
def model() -> GLMForConditionalGeneration:
    return ending_model()


def guide_naively(model, prompt, negative, scale: float) -> list[list[int]]:
    """Guide with two forward passes of whole inputs for every token, one with the prompt and one with the other text."""
    pieces: list[list[int]] = []
    for _ in range(sum(token in (MASK, SMASK, GMASK) for token in prompt)):
        pieces.append([])
        while len(pieces[-1]) < LIMIT:
            tail = [token for piece in pieces for token in (SOP, *piece)]
            log_probs = []
            for text in (prompt, negative):
                ids = torch.tensor([[*text, *tail]])
                seen = torch.ones_like(ids)
                place = len(text)
                for piece in pieces[:-1]:
                    place += 1 + len(piece)
                    seen[0, place - 1] = len(piece) < LIMIT  # what the limit cuts off is not read
                positions = compute_position_ids(ids, model.config)
                with torch.no_grad():
                    logits = model(ids, attention_mask=seen, position_ids=positions).logits[0, -1]
                log_probs.append(logits.log_softmax(-1))
            scores = scale * (log_probs[0] - log_probs[1]) + log_probs[1]
            scores[SOP] = -torch.inf
            token = int(scores.argmax())
            if token in ENDS:
                break
            pieces[-1].append(token)
    return pieces


@pytest.mark.parametrize("negative", [False, True], ids=["without the words", "negative prompt"])
@pytest.mark.parametrize("scale", [1.5, 3.0, 0.5])
def test_guidance_equals_two_forward_passes(model, scale, negative):
    rows = prompts()
    others = [
        [CLS, *words(3, row), *[t for t in prompt if t in (MASK, SMASK, GMASK)], EOS]
        for row, prompt in enumerate(rows)
    ]
    frames = [[t for t in prompt if t < FIRST_WORD] for prompt in rows]
    expected = [
        guide_naively(model, prompt, other, scale)
        for prompt, other in zip(rows, others if negative else frames, strict=True)
    ]
    ids, mask = pad_rows(rows, "left", PAD), pad_rows([[1] * len(row) for row in rows], "left")
    how = {}
    if negative:
        how["negative_prompt_ids"] = pad_rows(others, "right", PAD)
        how["negative_prompt_attention_mask"] = pad_rows([[1] * len(row) for row in others], "right")
    outputs = model.generate(
        ids, attention_mask=mask, guidance_scale=scale, max_new_tokens_per_blank=LIMIT, do_sample=False, **how
    )
    assert [read_pieces(row, ids.shape[1]) for row in outputs.tolist()] == expected


def test_guidance_with_beams_drafts_and_other_settings(model):
    prompt = torch.tensor([prompts()[1]])
    how = {"guidance_scale": 2.0, "max_new_tokens_per_blank": 4, "do_sample": False, "no_repeat_ngram_size": 1}
    greedy = model.generate(prompt, **how)
    assert torch.equal(model.generate(prompt, prompt_lookup_num_tokens=2, **how), greedy)
    assert torch.equal(
        model.generate(prompt, **{**how, "guidance_scale": 1.0}),
        model.generate(prompt, **{**how, "guidance_scale": None}),
    )
    assert not torch.equal(model.generate(prompt, **{**how, "guidance_scale": None}), greedy)
    both = pad_rows([prompts()[1], prompts()[0]], "left", PAD)
    mask = pad_rows([[1] * len(row) for row in (prompts()[1], prompts()[0])], "left")
    alone = model.generate(prompt, num_beams=3, **how)[0].tolist()
    together = model.generate(both, attention_mask=mask, num_beams=3, **how)[0].tolist()
    assert read_pieces(together, both.shape[1]) == read_pieces(alone, prompt.shape[1])


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        (
            {"negative_prompt_ids": torch.tensor([[CLS, MASK, EOS]])},
            ValueError,
            "row 0 has 1 blanks, but its prompt has 3",
        ),
        ({"negative_prompt_ids": torch.tensor([[CLS, 64]])}, ValueError, "64"),
        ({"negative_prompt_ids": torch.ones(2, 3, dtype=torch.long)}, ValueError, "2 negative prompts for 1 rows"),
        ({"position_ids": True}, NotImplementedError, "leave position_ids out"),
    ],
)
def test_guidance_that_does_not_fit_is_refused(model, how, error, message):
    prompt = torch.tensor([[*prompts()[1], SOP]])
    if "position_ids" in how:
        how = {"position_ids": compute_position_ids(prompt, model.config)}
    with pytest.raises(error, match=message):
        model.generate(prompt, guidance_scale=2.0, max_new_tokens=3, **how)


def test_guidance_and_virtual_tokens_are_refused_together(model):
    embeds = model.get_input_embeddings()(torch.tensor([prompts()[0]]))
    assert model.generate(inputs_embeds=embeds, guidance_scale=2.0, max_new_tokens=2).shape[0] == 1  # all are tokens
    virtual = torch.cat((torch.ones(1, 2, embeds.shape[-1]), embeds), dim=1)
    with pytest.raises(NotImplementedError, match="virtual tokens"):
        model.generate(inputs_embeds=virtual, guidance_scale=2.0, max_new_tokens=2)
