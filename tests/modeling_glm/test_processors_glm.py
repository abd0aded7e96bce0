"""Processors of `generate` see the tokens of the pieces alone, and one end for every piece."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    StoppingCriteria,
    SuppressTokensAtBeginLogitsProcessor,
)

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.processors_glm import (
    BlankLogitsProcessor,
    LastPieceCriteria,
    MaxPieceLengthLogitsProcessor,
    StopStringLogitsProcessor,
    piece_history,
    remaining_blanks,
    running_piece_lengths,
    words_of_text,
)
from tests.support.models import (
    FIRST_WORD,
    TOKEN_IDS,
    ending_model,
    make_model,
    pad_rows,
    prompts,
    read_pieces,
    tiny_config,
    words,
)
from tests.support.naive_processors import (
    at_places,
    bias,
    favour_ends,
    fill_with_rules,
    forbid,
    force,
    no_copied_ngrams,
    no_repeat_ngrams,
    penalise,
)

MASK, GMASK = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "gmask"))
SOP, EOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("sop", "eop", "eos", "cls", "pad"))
ENDS = [EOS, EOP]
WORDS = range(FIRST_WORD, 64)
LIMIT = 6
ALLOWED = [22, 27, 54, EOP]


def texts() -> list[list[int]]:
    """Add a prompt that the model copies from."""
    return [*prompts(), [CLS, *words(2, 5), 54, 54, 22, MASK, 27, 27, 13, 13, MASK, EOS]]


def generated(pieces: list[list[int]], prompt: list[int]) -> set[int]:
    return {token for piece in pieces for token in piece}


def text_words(pieces: list[list[int]], prompt: list[int]) -> set[int]:
    return {token for token in prompt if token in WORDS}


# Settings of `generate`, and the rule for one row that each one stands for.
RULES = {
    "no_repeat_ngram_size=1": ({"no_repeat_ngram_size": 1}, no_repeat_ngrams(1)),
    "no_repeat_ngram_size=2": ({"no_repeat_ngram_size": 2}, no_repeat_ngrams(2)),
    "no_repeat_ngram_size=3": ({"no_repeat_ngram_size": 3}, no_repeat_ngrams(3)),
    "repetition_penalty": ({"repetition_penalty": 2.0}, penalise(2.0, generated)),
    "encoder_repetition_penalty": ({"encoder_repetition_penalty": 3.0}, penalise(1 / 3, text_words)),
    "encoder_no_repeat_ngram_size=1": ({"encoder_no_repeat_ngram_size": 1}, no_copied_ngrams(1, WORDS)),
    "encoder_no_repeat_ngram_size=2": ({"encoder_no_repeat_ngram_size": 2}, no_copied_ngrams(2, WORDS)),
    "sequence_bias": (
        {"sequence_bias": [[[EOP], -2.0], [[EOS], -2.0], [[27], 1.5], [[22, EOP], -9.0], [[54, 54, 54], -9.0]]},
        bias({(EOP,): -2.0, (EOS,): -2.0, (27,): 1.5, (22, EOP): -9.0, (54, 54, 54): -9.0}),
    ),
    "bad_words_ids": ({"bad_words_ids": [[22], [54, 54]]}, bias({(22,): -torch.inf, (54, 54): -torch.inf})),
    "suppress_tokens": ({"suppress_tokens": [*ENDS, 22]}, at_places(lambda place: True, forbid([*ENDS, 22]))),
    "suppress one end": ({"suppress_tokens": [EOS]}, at_places(lambda place: True, forbid([EOS]))),
    "min_new_tokens": ({"min_new_tokens": 3}, at_places(lambda place: place < 3, forbid(ENDS))),
    "begin_suppress_tokens": (
        {"begin_suppress_tokens": [*ENDS, 54]},
        at_places(lambda place: place == 0, forbid([*ENDS, 54])),
    ),
    "forced_bos_token_id": ({"forced_bos_token_id": 33}, at_places(lambda place: place == 0, force(33))),
    "forced first and second": (
        {"forced_bos_token_id": 33, "begin_suppress_tokens": ENDS},
        at_places(
            lambda place: place < 2, lambda scores, place: (forbid(ENDS) if place else force(33))(scores, place)
        ),
    ),
    "exponential_decay_length_penalty": (
        {"exponential_decay_length_penalty": (1, 1.8)},
        at_places(lambda place: place > 1, favour_ends(ENDS, 1, 1.8)),
    ),
    "prefix_allowed_tokens_fn": (
        {"prefix_allowed_tokens_fn": lambda row, ids: ALLOWED},
        at_places(lambda place: True, forbid([i for i in range(64) if i not in ALLOWED])),
    ),
}


@pytest.fixture(scope="module")
def model() -> GLMForConditionalGeneration:
    return ending_model()


def fill_together(model, **how) -> list[list[list[int]]]:
    ids, mask = pad_rows(texts(), "left", PAD), pad_rows([[1] * len(prompt) for prompt in texts()], "left")
    outputs = model.generate(ids, attention_mask=mask, max_new_tokens_per_blank=LIMIT, **how)
    return [read_pieces(row, ids.shape[1]) for row in outputs.tolist()]


@pytest.mark.parametrize("name", RULES)
def test_a_batch_equals_rows_alone_with_their_history_built_by_hand(model, name):
    how, rule = RULES[name]
    expected = [fill_with_rules(model, prompt, LIMIT, [rule]) for prompt in texts()]
    assert fill_together(model, do_sample=False, **how) == expected


def test_the_rules_change_something(model):
    plain = fill_together(model, do_sample=False)
    changed = {name: fill_together(model, do_sample=False, **how) != plain for name, (how, _) in RULES.items()}
    assert [name for name, is_other in changed.items() if not is_other] == []


@settings(max_examples=20)
@given(data=st.data())
def test_settings_combine_for_any_prompt(data, model):
    word = st.integers(FIRST_WORD, 63)
    drawn = data.draw(st.lists(st.lists(st.one_of(word, word, st.just(MASK)), max_size=8), min_size=1, max_size=3))
    rows = [[CLS, *text, MASK, EOS] for text in drawn]
    names = data.draw(st.lists(st.sampled_from(["no_repeat_ngram_size=2", "repetition_penalty", "min_new_tokens"])))
    limit = data.draw(st.integers(2, 5))
    # The order in which the library applies them.
    names = [name for name in ("repetition_penalty", "no_repeat_ngram_size=2", "min_new_tokens") if name in names]
    how = {key: value for name in names for key, value in RULES[name][0].items()}
    ids, mask = pad_rows(rows, "right", PAD), pad_rows([[1] * len(row) for row in rows], "right")
    outputs = model.generate(ids, attention_mask=mask, max_new_tokens_per_blank=limit, do_sample=False, **how)
    found = [read_pieces(row, ids.shape[1]) for row in outputs.tolist()]
    assert found == [fill_with_rules(model, row, limit, [RULES[name][1] for name in names]) for row in rows]


MODES = {
    "static cache": {"cache_implementation": "static", "disable_compile": True},
    "no cache": {"use_cache": False},
    "processors of the caller": {},
}


@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_every_mode_sees_the_same_history(model, how):
    expected = fill_together(model, do_sample=False, no_repeat_ngram_size=2, min_new_tokens=3)
    settings = {"no_repeat_ngram_size": 2, "min_new_tokens": 3}
    if not how:
        length = max(map(len, texts()))
        given = [NoRepeatNGramLogitsProcessor(2), MinNewTokensLengthLogitsProcessor(length, 3, ENDS)]
        settings = {"logits_processor": LogitsProcessorList(given)}
    assert fill_together(model, do_sample=False, **settings, **how) == expected


@pytest.mark.parametrize("row", range(5))
@pytest.mark.parametrize("name", ["no_repeat_ngram_size=2", "repetition_penalty", "min_new_tokens", "suppress_tokens"])
def test_drafts_change_nothing(model, name, row):
    how, ids = RULES[name][0], torch.tensor([texts()[row]])
    expected = model.generate(ids, do_sample=False, max_new_tokens_per_blank=LIMIT, **how)
    assistant = make_model(GLMForConditionalGeneration, seed=4, num_hidden_layers=1)
    for drafts in ({"prompt_lookup_num_tokens": 3}, {"assistant_model": assistant}):
        found = model.generate(ids, do_sample=False, max_new_tokens_per_blank=LIMIT, **how, **drafts)
        assert torch.equal(found, expected)


def test_an_assistant_that_is_the_model_drafts_what_is_taken(model):
    """So the processors of the main model work in the assistant too, where pieces end as well."""
    ids, forwards = torch.tensor([texts()[1]]), []
    handle = model.glm.transformer.layers[0].register_forward_pre_hook(lambda *_: forwards.append(1))
    how = {"do_sample": False, "max_new_tokens_per_blank": LIMIT, "no_repeat_ngram_size": 2}
    try:
        outputs = model.generate(ids, assistant_model=ending_model(), **how)
    finally:
        handle.remove()
    assert torch.equal(outputs, model.generate(ids, **how))
    assert len(forwards) < outputs.shape[1] - ids.shape[1] - 1  # fewer than one for each token


@pytest.mark.parametrize("name", RULES)
def test_beams_of_a_batch_equal_beams_alone(model, name):
    how = {**RULES[name][0], "num_beams": 3, "max_new_tokens_per_blank": 4, "do_sample": False}
    together = fill_together(model, **{key: value for key, value in how.items() if key != "max_new_tokens_per_blank"})
    for prompt, found in zip(texts(), together, strict=True):
        alone = model.generate(torch.tensor([prompt]), **{**how, "max_new_tokens_per_blank": LIMIT})[0].tolist()
        assert read_pieces(alone, len(prompt)) == found


def test_draws_obey_too(model):
    torch.manual_seed(0)
    found = fill_together(model, do_sample=True, top_k=0, no_repeat_ngram_size=1, min_new_tokens=2, num_beams=1)
    for pieces in found:
        tokens = [token for piece in pieces for token in piece]
        assert len(tokens) == len(set(tokens))
        assert min(map(len, pieces)) >= 2


def test_a_processor_of_the_caller_sees_pieces_and_one_end(model):
    seen = []

    class Spy(LogitsProcessor):
        def __call__(self, input_ids, scores):
            seen.append((input_ids.clone(), scores.clone()))
            return scores

    pieces = fill_together(model, do_sample=False, logits_processor=[Spy()])
    width = max(map(len, texts()))
    for step, (ids, scores) in enumerate(seen):
        assert ids.shape == (5, width + 1 + step)
        assert (scores[:, SOP] == -torch.inf).all()
        assert scores[:, ENDS].isfinite().all()
    for row, of_row in enumerate(pieces):
        flat = [token for number, piece in enumerate(of_row) for token in (*([SOP] if number else []), *piece)]
        history = seen[len(flat)][0][row].tolist()
        assert history == [SOP] * (width + 1) + flat


def test_a_processor_that_reads_the_prompt_sees_what_is_fed(model):
    class Copy(LogitsProcessor):
        """Allow the words of the prompt alone."""

        reads_prompt = True

        def __call__(self, input_ids, scores):
            allowed = torch.zeros_like(scores, dtype=torch.bool).scatter(1, input_ids, True)
            allowed[:, EOP] = True
            return scores.masked_fill(~allowed, -torch.inf)

    for prompt, pieces in zip(texts(), fill_together(model, do_sample=False, logits_processor=[Copy()]), strict=True):
        assert generated(pieces, prompt) <= set(prompt)


def test_a_processor_may_force_the_start_of_the_next_piece(model):
    """That is how a processor ends a piece that was written for what is fed."""

    class OneWord(LogitsProcessor):
        reads_prompt = True

        def __call__(self, input_ids, scores):
            ending = input_ids[:, -1] != SOP
            return scores.masked_fill(ending[:, None], -torch.inf).index_fill(1, torch.tensor([SOP]), 0.0)

    outputs = model.generate(torch.tensor([texts()[1]]), logits_processor=[OneWord()], max_new_tokens=5)
    assert [len(piece) for piece in read_pieces(outputs[0].tolist(), len(texts()[1]))][:2] == [1, 1]


def test_given_processors_that_count_from_the_prompt(model):
    """They were built with the length of the caller's prompt, without the start of piece that `generate` adds."""
    prompt = texts()[0]
    given = [SuppressTokensAtBeginLogitsProcessor(ENDS, len(prompt))]
    settings = {"do_sample": False, "max_new_tokens_per_blank": LIMIT}
    for start in ([], [SOP]):
        given[0].set_begin_index(len(prompt) + len(start))
        found = model.generate(torch.tensor([[*prompt, *start]]), logits_processor=given, **settings)
        expected = model.generate(torch.tensor([prompt]), begin_suppress_tokens=ENDS, **settings)
        assert torch.equal(found, expected)


@pytest.mark.parametrize("extra", [0, 4])
def test_min_length_counts_the_prompt(model, extra):
    prompt = texts()[1]
    outputs = model.generate(
        torch.tensor([prompt]), min_length=len(prompt) + 1 + extra, max_new_tokens_per_blank=LIMIT
    )
    assert min(map(len, read_pieces(outputs[0].tolist(), len(prompt)))) >= extra


def test_a_started_piece_counts_as_generated(model):
    prompt = texts()[0]
    first = fill_with_rules(model, prompt, LIMIT, [no_repeat_ngrams(1)])[0]
    outputs = model.generate(
        torch.tensor([[*prompt, SOP, *first[:2]]]), no_repeat_ngram_size=1, max_new_tokens_per_blank=LIMIT
    )
    assert read_pieces(outputs[0].tolist(), len(prompt)) == [first]


def test_no_processor_costs_nothing(model):
    """Without settings nothing but the end is looked at: the scores go through as they are."""
    processor = BlankLogitsProcessor(model.config, ENDS, merge=False)
    ids, scores = torch.tensor([[CLS, MASK, EOS, SOP, 20]]), torch.randn(1, 64)
    expected = scores.clone()
    expected[:, SOP] = -torch.inf
    assert torch.equal(processor(ids, scores), expected)


def test_views_of_the_ids():
    config = tiny_config()
    ids = torch.tensor(
        [[CLS, 11, MASK, 12, MASK, EOS, SOP, 20, 21, SOP, 22], [PAD, PAD, CLS, 13, 14, MASK, SOP, 23, 24, 25, 26]]
    )
    assert remaining_blanks(ids, config).tolist() == [0, 0]
    assert remaining_blanks(ids[:, :8], config).tolist() == [1, 0]
    assert running_piece_lengths(ids, config).tolist() == [1, 4]
    assert piece_history(ids, config).tolist() == [
        [SOP, SOP, SOP, SOP, SOP, SOP, SOP, 20, 21, SOP, 22],
        [SOP, SOP, SOP, SOP, SOP, SOP, SOP, 23, 24, 25, 26],
    ]
    masked = torch.tensor([[1] * 11, [0, 0, 1, 0, 1, 1, 1, 1, 1, 1, 1]])
    assert words_of_text(ids, config, ENDS, masked).tolist() == [
        [SOP, 11, SOP, 12, *[SOP] * 7],
        [SOP, SOP, SOP, SOP, 14, *[SOP] * 6],
    ]


@pytest.mark.parametrize("merge", [False, True])
def test_the_end_becomes_the_start_of_the_next_piece(merge):
    config, scores = tiny_config(), torch.randn(2, 64)
    ids = torch.tensor([[CLS, MASK, MASK, SOP, 20], [CLS, 11, MASK, SOP, 20]])
    end = scores[0, ENDS].logsumexp(0) if merge else scores[0, ENDS].amax()
    found = BlankLogitsProcessor(config, ENDS, merge)(ids, scores)
    torch.testing.assert_close(found[0, SOP], end)
    assert (found[0, ENDS] == -torch.inf).all()
    assert found[1, SOP] == -torch.inf
    assert torch.equal(found[1, ENDS], scores[1, ENDS])
    single = BlankLogitsProcessor(config, ENDS, merge, single_piece=True)(ids, scores)
    assert torch.equal(single[:, ENDS], scores[:, ENDS])
    endless = BlankLogitsProcessor(config, [], merge)(ids, scores)
    assert (endless[:, [SOP, EOP]] == -torch.inf).all()


def test_the_limit_of_length_ends_pieces():
    config = tiny_config()
    ids = torch.tensor([[CLS, MASK, MASK, SOP, 20], [CLS, 11, MASK, SOP, 20]])
    found = MaxPieceLengthLogitsProcessor(config, 1)(ids, torch.randn(2, 64))
    assert found.argmax(-1).tolist() == [SOP, EOP]
    assert found.isfinite().sum(-1).tolist() == [1, 1]
    scores = torch.randn(2, 64)
    assert torch.equal(MaxPieceLengthLogitsProcessor(config, 2)(ids, scores), scores)


class AtWord(StoppingCriteria):
    def __call__(self, input_ids, scores, **kwargs):
        return input_ids[:, -1] == 20


def test_a_stop_string_ends_a_piece_while_blanks_remain():
    config, scores = tiny_config(), torch.randn(3, 64)
    ids = torch.tensor([[CLS, MASK, MASK, SOP, 20], [CLS, 11, MASK, SOP, 20], [CLS, MASK, MASK, SOP, 21]])
    found = StopStringLogitsProcessor(config, [AtWord()])(ids, scores)
    assert found[0].argmax() == SOP
    assert found[0].isfinite().sum() == 1
    assert torch.equal(found[1:], scores[1:])
    assert LastPieceCriteria(config, AtWord())(ids, scores).tolist() == [False, True, False]


def test_words_that_are_specials_of_the_text_are_not_copied():
    """`<eos>` behind the text is an end of pieces: an n-gram that holds it must not forbid the end."""
    model, w = ending_model(), words(3)
    prompt = [CLS, *w, MASK, w[0], EOS]
    rules = [no_copied_ngrams(1, WORDS)]
    outputs = model.generate(torch.tensor([prompt]), encoder_no_repeat_ngram_size=1, max_new_tokens_per_blank=LIMIT)
    assert read_pieces(outputs[0].tolist(), len(prompt)) == fill_with_rules(model, prompt, LIMIT, rules)
