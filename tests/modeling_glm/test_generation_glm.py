"""`generate` fills all blanks of every row, in every mode of the library, as a naive loop would."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BatchEncoding, GenerationConfig, LogitsProcessor, StoppingCriteria
from transformers.generation.streamers import BaseStreamer

from modeling_glm import GLMForConditionalGeneration
from modeling_glm.layout_glm import compute_position_ids
from tests.support.models import (
    FIRST_WORD,
    TOKEN_IDS,
    ending_model,
    make_model,
    pad_rows,
    prompts,
    read_pieces,
    words,
)
from tests.support.naive_filling import fill_naively

MASK, SMASK, GMASK = (TOKEN_IDS[f"{name}_token_id"] for name in ("mask", "smask", "gmask"))
SOP, EOP, EOS, CLS, PAD = (TOKEN_IDS[f"{name}_token_id"] for name in ("sop", "eop", "eos", "cls", "pad"))
ENDS = {EOP, EOS}
LIMIT = 6


@pytest.fixture(scope="module")
def model() -> GLMForConditionalGeneration:
    return ending_model()


@pytest.fixture(scope="module")
def expected(model) -> list[list[list[int]]]:
    pieces = [fill_naively(model, prompt, LIMIT) for prompt in prompts()]
    lengths = {len(piece) for row in pieces for piece in row}
    assert LIMIT in lengths
    assert len(lengths) > 2
    return pieces


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("cache", ["dynamic", "static", "none"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_greedy_equals_a_naive_loop(expected, side, cache, implementation):
    model = ending_model(attn_implementation=implementation)
    ids = pad_rows(prompts(), side, PAD)
    mask = pad_rows([[1] * len(prompt) for prompt in prompts()], side)
    how = {"use_cache": False} if cache == "none" else {"cache_implementation": cache}
    outputs = model.generate(
        ids, attention_mask=mask, max_new_tokens_per_blank=LIMIT, do_sample=False, disable_compile=True, **how
    )
    assert [read_pieces(row, ids.shape[1]) for row in outputs.tolist()] == expected


@settings(max_examples=15)
@given(data=st.data())
def test_any_prompt_equals_a_naive_loop(data, model):
    word = st.integers(FIRST_WORD, 63)
    prompt = [
        CLS,
        *data.draw(st.lists(st.one_of(word, word, st.sampled_from([MASK, SMASK, GMASK])), max_size=12)),
        EOS,
    ]
    blanks = sum(token in (MASK, SMASK, GMASK) for token in prompt)
    limit = data.draw(st.integers(1, 5))
    if blanks == 0:
        with pytest.raises(ValueError, match="no blank"):
            model.generate(torch.tensor([prompt]))
        return
    outputs = model.generate(torch.tensor([prompt]), max_new_tokens_per_blank=limit)
    assert read_pieces(outputs[0].tolist(), len(prompt)) == fill_naively(model, prompt, limit)


def test_end_of_piece_is_never_fed(model):
    outputs = model.generate(torch.tensor([prompts()[1]]), max_new_tokens_per_blank=LIMIT)[0].tolist()
    assert EOP not in outputs[:-1]
    assert outputs.count(SOP) == 3


def test_started_prompts_go_on_beside_fresh_ones(model, expected):
    prompt = prompts()[1]
    started = [*prompt, SOP, *expected[1][0], SOP, *expected[1][1][:2]]
    ids = pad_rows([started, prompts()[0]], "right", PAD)
    mask = pad_rows([[1] * len(started), [1] * len(prompts()[0])], "right")
    outputs = model.generate(ids, attention_mask=mask, max_new_tokens_per_blank=LIMIT).tolist()
    found = [row[row.index(CLS) :] for row in outputs]
    assert read_pieces(found[0], len(prompt)) == expected[1]
    assert (
        read_pieces(list(found[1][: len(prompts()[0])]) + found[1][found[1].index(SOP) :], len(prompts()[0]))
        == expected[0]
    )


def test_gold_pieces_of_a_training_batch_are_cut_off(model, expected):
    gold = [[*prompts()[0], SOP, *words(5, 9)], [*prompts()[1], SOP, *words(2, 9), SOP, SOP]]
    ids = pad_rows(gold, "right", PAD)
    outputs = model.generate(
        input_ids=ids,
        attention_mask=pad_rows([[1] * len(row) for row in gold], "right"),
        labels=torch.full_like(ids, -100),
        max_new_tokens_per_blank=LIMIT,
    )
    assert [read_pieces(row, ids.shape[1]) for row in outputs.tolist()] == expected[:2]


def test_one_beam_is_greedy_and_more_beams_score_no_worse(model):
    ids = torch.tensor([prompts()[3]])
    how = {
        "max_new_tokens_per_blank": 4,
        "return_dict_in_generate": True,
        "output_scores": True,
        "length_penalty": 0.0,
    }
    greedy = model.generate(ids, num_beams=1, do_sample=False, **how)
    beams = model.generate(ids, num_beams=4, num_return_sequences=4, do_sample=False, **how)
    score = sum(
        scores.log_softmax(-1)[0, token].item()
        for scores, token in zip(greedy.logits or greedy.scores, greedy.sequences[0, ids.shape[1] + 1 :], strict=True)
        if scores.isfinite().sum() > 1
    )
    assert beams.sequences_scores[0] >= score - 0.2
    assert (beams.sequences_scores.diff() <= 0).all()
    assert len({tuple(row) for row in beams.sequences.tolist()}) == 4
    for row in beams.sequences.tolist():
        assert row.count(SOP) == 2


def test_beams_of_a_batch_equal_beams_alone(model):
    ids = pad_rows(prompts(), "left", PAD)
    mask = pad_rows([[1] * len(prompt) for prompt in prompts()], "left")
    how = {"num_beams": 3, "max_new_tokens_per_blank": 4, "do_sample": False}
    together = [read_pieces(row, ids.shape[1]) for row in model.generate(ids, attention_mask=mask, **how).tolist()]
    for prompt, found in zip(prompts(), together, strict=True):
        alone = model.generate(torch.tensor([prompt]), **how)[0].tolist()
        assert read_pieces(alone, len(prompt)) == found


def test_sampling_follows_the_distribution(model):
    """The first token of a piece is drawn many times and compared with its probabilities. Both ends count as one."""
    prompt = torch.tensor([[*prompts()[3], SOP]])
    with torch.no_grad():
        probabilities = model(prompt).logits[0, -1].index_fill(0, torch.tensor([SOP]), -torch.inf).softmax(-1)
    probabilities[SOP] = probabilities[[EOP, EOS]].sum()
    probabilities[[EOP, EOS]] = 0
    torch.manual_seed(0)
    count = 1500
    drawn = model.generate(prompt, do_sample=True, top_k=0, num_return_sequences=count, max_new_tokens=1)[:, -1]
    frequencies = torch.bincount(drawn, minlength=64) / count
    deviation = (probabilities * (1 - probabilities) / count).sqrt()
    assert ((frequencies - probabilities).abs() < 5 * deviation + 1e-3).all()


def test_sampling_is_reproducible_and_returns_several(model):
    ids = torch.tensor([prompts()[1]])
    how = {
        "do_sample": True,
        "num_return_sequences": 3,
        "max_new_tokens_per_blank": 5,
        "top_p": 0.9,
        "temperature": 1.3,
    }
    torch.manual_seed(1)
    first = model.generate(ids, **how)
    torch.manual_seed(1)
    assert torch.equal(first, model.generate(ids, **how))
    assert len({tuple(row) for row in first.tolist()}) > 1
    assert all(row.count(SOP) == 3 for row in first.tolist())


@pytest.mark.parametrize("row", range(4))
def test_prompt_lookup_and_assistants_change_nothing(model, expected, row):
    ids = torch.tensor([prompts()[row]])
    how = {"do_sample": False, "max_new_tokens_per_blank": LIMIT}
    lookup = model.generate(ids, prompt_lookup_num_tokens=3, **how)
    assistant = make_model(GLMForConditionalGeneration, seed=4, num_hidden_layers=1)
    assisted = model.generate(ids, assistant_model=assistant, **how)
    for outputs in (lookup, assisted):
        assert read_pieces(outputs[0].tolist(), ids.shape[1]) == expected[row]


def test_streamer_sees_every_token(model):
    class Collector(BaseStreamer):
        def __init__(self):
            self.tokens, self.ended = [], False

        def put(self, value):
            self.tokens += value.flatten().tolist()

        def end(self):
            self.ended = True

    collector = Collector()
    outputs = model.generate(torch.tensor([prompts()[1]]), streamer=collector, max_new_tokens_per_blank=LIMIT)
    assert collector.ended
    assert collector.tokens == outputs[0].tolist()


def test_library_settings_combine(model):
    ids = torch.tensor([prompts()[0]])
    config = GenerationConfig(max_new_tokens=9, do_sample=False)
    assert torch.equal(model.generate(ids, config), model.generate(ids, max_new_tokens=9))
    longest = model.generate(ids, min_new_tokens=12, max_new_tokens=12)
    assert longest.shape[1] == ids.shape[1] + 1 + 12
    allowed = [20, 21, EOP]
    outputs = model.generate(ids, prefix_allowed_tokens_fn=lambda batch, ids: allowed, max_new_tokens_per_blank=5)
    assert set(outputs[0, ids.shape[1] + 1 :].tolist()) <= set(allowed)
    config = GenerationConfig(max_new_tokens_per_blank=2)
    assert model.generate(ids, config).shape[1] <= ids.shape[1] + 1 + 3


def test_pieces_that_are_not_to_end(model):
    ids = torch.tensor([prompts()[0]])
    outputs = model.generate(ids, eos_token_id=-1, max_new_tokens=8)
    assert outputs.shape[1] == ids.shape[1] + 1 + 8
    assert not ENDS - {EOS} & set(outputs[0, ids.shape[1] :].tolist())


def test_setting_travels_with_the_model(model, tmp_path):
    model = ending_model()
    model.generation_config.max_new_tokens_per_blank = 2
    model.save_pretrained(tmp_path)
    loaded = GLMForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.generation_config.max_new_tokens_per_blank == 2
    ids = torch.tensor([prompts()[1]])
    assert max(map(len, read_pieces(loaded.generate(ids)[0].tolist(), ids.shape[1]))) <= 2


def test_default_length_is_bounded(model):
    never_ending = make_model(GLMForConditionalGeneration, seed=4)
    words, norm = never_ending.get_input_embeddings().weight, never_ending.glm.transformer.final_layernorm
    with torch.no_grad():
        norm.bias -= 99 * (words[EOP] / words[EOP].norm() ** 2 + words[EOS] / words[EOS].norm() ** 2)
    ids = torch.tensor([prompts()[0]])
    pieces = read_pieces(never_ending.generate(ids)[0].tolist(), ids.shape[1])
    assert [len(piece) for piece in pieces] == [47]  # the position table: 48 positions, one for the start


@pytest.mark.slow
def test_compiled_decoding_equals_eager(model, expected):
    ids = pad_rows(prompts(), "left", PAD)
    mask = pad_rows([[1] * len(prompt) for prompt in prompts()], "left")
    compiled = ending_model()
    compiled.forward = torch.compile(compiled.forward, fullgraph=True)
    outputs = compiled.generate(
        ids, attention_mask=mask, max_new_tokens_per_blank=LIMIT, cache_implementation="static", do_sample=False
    )
    assert [read_pieces(row, ids.shape[1]) for row in outputs.tolist()] == expected


@pytest.mark.parametrize(
    ("ids", "kwargs", "error", "message"),
    [
        ([[CLS, 11, 12, EOS]], {}, ValueError, r"Row 0 .*no blank.*\[gMASK\]"),
        ([[CLS, MASK, EOS, SOP, 12, SOP]], {}, ValueError, "1 blanks, but 2 pieces"),
        ([[CLS, MASK, 64]], {}, ValueError, r"64.*0 \.\.\. 63"),
        ([[CLS, MASK, -3]], {}, ValueError, "-3"),
        ([[CLS, MASK, *[11] * 60]], {}, ValueError, "62 tokens, but 49 are the limit"),
        ([[CLS, MASK]], {"position_ids": torch.zeros(1, 2, 2, dtype=torch.long)}, ValueError, "start of piece"),
        ([[CLS, MASK]], {"max_new_tokens_per_blank": 48}, ValueError, "between 1 and 47"),
        ([[CLS, MASK]], {"max_new_tokens_per_blank": 0}, ValueError, "between 1 and 47"),
        ([[CLS, MASK]], {"prefill_chunk_size": 2}, NotImplementedError, "prefill_chunk_size"),
        ([[CLS, MASK]], {"cache_implementation": "paged"}, NotImplementedError, "continuous batching"),
    ],
)
def test_errors(model, ids, kwargs, error, message):
    with pytest.raises(error, match=message):
        model.generate(torch.tensor(ids), **kwargs)


def test_settings_of_the_caller_are_not_changed(model):
    config, kwargs = GenerationConfig(num_beams=1), {"max_new_tokens_per_blank": 2}
    before = config.to_dict()
    model.generate(torch.tensor([prompts()[0]]), config, **kwargs)
    assert config.to_dict() == before
    assert kwargs == {"max_new_tokens_per_blank": 2}


def test_padding_id_is_that_of_the_vocabulary_or_the_end_of_a_piece(model):
    assert model.padding_id == PAD
    assert make_model(GLMForConditionalGeneration, pad_token_id=None).padding_id == EOP


class Observer(LogitsProcessor):
    """Keep the scores of every step."""

    def __init__(self):
        self.seen = []

    def __call__(self, input_ids, scores):
        self.seen.append(scores.clone())
        return scores


@pytest.mark.parametrize("explicit", [False, True], ids=["from the ids", "positions given"])
def test_score_observers_see_the_scores_of_the_model(model, explicit):
    prompt = torch.tensor([[*prompts()[1], SOP]])
    positions = {"position_ids": compute_position_ids(prompt, model.config)} if explicit else {}
    observer = Observer()
    outputs = model.generate(
        prompt,
        score_observers=[observer],
        max_new_tokens=4,
        repetition_penalty=1.5,
        suppress_tokens=[FIRST_WORD],
        return_dict_in_generate=True,
        output_logits=True,
        **positions,
    )
    assert len(observer.seen) == len(outputs.logits)
    for seen, logits in zip(observer.seen, outputs.logits, strict=True):
        torch.testing.assert_close(seen, logits)


def test_errors_without_ids(model):
    with pytest.raises(ValueError, match="input_ids"):
        model.generate(inputs_embeds=torch.zeros(1, 3, 32))
    with pytest.raises(ValueError, match=r"eop_token_id.*special_token_ids"):
        make_model(GLMForConditionalGeneration, eop_token_id=None).generate(torch.tensor([prompts()[0]]))
    with pytest.raises(NotImplementedError, match="causal prompt"):
        model.generate_batch([prompts()[0]])


def test_unmasked_padding_is_warned_of(model, caplog):
    import transformers

    transformers.utils.logging.enable_propagation()
    try:
        model.generate(torch.tensor([[*prompts()[0], PAD, PAD]]), max_new_tokens=1)
    finally:
        transformers.utils.logging.disable_propagation()
    assert "attention_mask" in caplog.text


@pytest.mark.parametrize("settings", [{}, {"num_beams": 3}, {"do_sample": True}], ids=["greedy", "beams", "sampling"])
def test_blank_that_is_the_end_of_a_piece_as_well(settings):
    """GLM-10B-Chinese as trained has one token for both. It fills like a model with two tokens of one embedding."""
    shared = make_model(GLMForConditionalGeneration, gmask_token_id=TOKEN_IDS["eop_token_id"])
    apart = make_model(GLMForConditionalGeneration)
    end, blank = TOKEN_IDS["eop_token_id"], TOKEN_IDS["gmask_token_id"]
    with torch.no_grad():
        apart.glm.word_embeddings.weight[blank] = apart.glm.word_embeddings.weight[end]
    first, second = words(2)
    found = []
    for model, mask in ((shared, end), (apart, blank)):
        torch.manual_seed(0)
        input_ids = torch.tensor([[2, first, second, mask], [2, first, mask, second]])
        sequences = model.generate(input_ids, attention_mask=torch.ones_like(input_ids), max_new_tokens=12, **settings)
        found.append(sequences[:, 4:].tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("options", [{}, {"num_beams": 3}, {"do_sample": True}])
def test_one_token_may_be_a_blank_and_the_end_of_a_piece(options):
    """GLM-10B-Chinese as trained has one token for both. The result is that of two tokens with one embedding."""
    shared, model = ending_model(gmask_token_id=EOP), ending_model()
    with torch.no_grad():
        model.get_input_embeddings().weight[GMASK] = model.get_input_embeddings().weight[EOP]
    separate = pad_rows([[CLS, *words(3, 1), MASK, *words(2, 2), GMASK], [CLS, *words(5, 3), GMASK]], "left")
    merged = separate.masked_fill(separate == GMASK, EOP)
    options = {"max_new_tokens_per_blank": LIMIT, "max_new_tokens": 3 * LIMIT, "suppress_tokens": [GMASK], **options}
    results = []
    for filler, ids in ((shared, merged), (model, separate)):
        torch.manual_seed(0)
        results.append(filler.generate(ids, attention_mask=(ids != PAD).long(), **options))
    assert torch.equal(results[0][:, separate.shape[1] :], results[1][:, separate.shape[1] :])
    assert (results[0][:, separate.shape[1] :] == EOP).any()


def test_rows_that_have_ended_wait_for_longer_ones():
    """Together the pieces of one row are longer than the position table; the other row waits with padding meanwhile."""
    model = ending_model(max_position_embeddings=16)
    w = words(12, 1)
    rows = [[CLS, w[0], MASK, EOS], [CLS, *[MASK] * 12, w[1], EOS]]
    ids, mask = pad_rows(rows, "left", PAD), pad_rows([[1] * len(row) for row in rows], "left")
    outputs = model.generate(ids, attention_mask=mask, max_new_tokens_per_blank=LIMIT)
    assert outputs.shape[1] > ids.shape[1] + 16
    found = [read_pieces(row, ids.shape[1]) for row in outputs.tolist()]
    assert found == [fill_naively(model, row, LIMIT) for row in rows]


def test_a_prompt_comes_in_any_form(model):
    prompt = prompts()[1]
    expected = model.generate(torch.tensor([prompt]), max_new_tokens_per_blank=LIMIT)
    forms = [
        BatchEncoding(
            {"input_ids": torch.tensor([prompt]), "attention_mask": torch.ones(1, len(prompt), dtype=torch.long)}
        ),
        {"input_ids": prompt, "attention_mask": [1] * len(prompt)},
        BatchEncoding({"input_ids": [prompt]}),
        torch.tensor(prompt),
        prompt,
        [prompt],
    ]
    for form in forms:
        assert torch.equal(model.generate(form, max_new_tokens_per_blank=LIMIT), expected)
    row, mask = torch.tensor([PAD, *prompt]), torch.tensor([0] + [1] * len(prompt))
    found = model.generate(input_ids=row, attention_mask=mask, max_new_tokens_per_blank=LIMIT)
    assert torch.equal(found[:, 1:], expected)


@pytest.mark.parametrize(
    ("inputs", "mask", "message"),
    [
        ([[CLS, MASK], [CLS, MASK, EOS]], None, "padding=True, return_tensors='pt'"),
        ("The [MASK].", None, "str .*expected a tensor"),
        (torch.zeros(1, 2, 3, dtype=torch.long), None, r"shape \(1, 2, 3\)"),
        (torch.zeros(1, 2), None, "dtype torch.float32"),
        (torch.tensor([[CLS, MASK]]), torch.ones(1, 3, dtype=torch.long), r"\(1, 3\), but input_ids has \(1, 2\)"),
    ],
)
def test_a_prompt_of_another_form_is_refused(model, inputs, mask, message):
    with pytest.raises(ValueError, match=message):
        model.generate(inputs, attention_mask=mask)


def test_masks_that_the_vocabulary_lacks_are_not_suggested():
    model = make_model(GLMForConditionalGeneration, smask_token_id=None, gmask_token_id=None)
    message = r"no blank to fill: put \[MASK\] \(ids \[3\]\) where text is wanted. To continue a text, end it with \[MASK\]\."
    with pytest.raises(ValueError, match=message):
        model.generate(torch.tensor([[CLS, 11, 12, EOS]]))


def test_blanks_behind_a_start_of_piece_are_told_apart_from_none():
    """As of a text of a user that holds the token."""
    model = make_model(GLMForConditionalGeneration)
    with pytest.raises(ValueError, match=r"Row 1 of input_ids has its blanks behind a start of piece \(id \d+\)"):
        model.generate(torch.tensor([[CLS, 11, MASK, 12, SOP], [CLS, 11, SOP, 12, MASK]]))


class Seen:
    """Keep what every forward pass reads: positions, and the mask."""

    def __init__(self, model):
        self.positions, self.masks, self._model, self._forward = [], [], model, model.glm.forward

    def __enter__(self):
        def forward(*args, **kwargs):
            self.positions.append(kwargs["position_ids"].clone())
            self.masks.append(None if kwargs["attention_mask"] is None else kwargs["attention_mask"].clone())
            return self._forward(*args, **kwargs)

        self._model.glm.forward = forward
        return self

    def __exit__(self, *args):
        del self._model.glm.forward


MODES = {
    "greedy": {},
    "sampling": {"do_sample": True},
    "beams": {"num_beams": 3},
    "beam sampling": {"num_beams": 3, "do_sample": True},
    "static cache": {"cache_implementation": "static", "disable_compile": True},
    "no cache": {"use_cache": False},
    "guidance": {"guidance_scale": 1.5},
    "length penalty": {"exponential_decay_length_penalty": (1, 1e12)},
    "n-grams": {"no_repeat_ngram_size": 2, "repetition_penalty": 1.2},
    "other padding": {"pad_token_id": 33},
}


@pytest.fixture(scope="module")
def waiting() -> tuple[GLMForConditionalGeneration, torch.Tensor, torch.Tensor]:
    """Make a small table, and a prompt of one blank beside one whose pieces are longer together than the table."""
    w = words(12, 1)
    rows = [[CLS, w[0], MASK, EOS], [CLS, *[MASK] * 7, w[1], EOS]]
    model = ending_model(max_position_embeddings=12)
    return model, pad_rows(rows, "left", PAD), pad_rows([[1] * len(row) for row in rows], "left")


@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_a_row_that_has_ended_never_matters(waiting, how):
    model, ids, mask = waiting
    limit = {"min_new_tokens": 2, "max_new_tokens_per_blank": 4}
    torch.manual_seed(0)
    with Seen(model) as seen:
        outputs = model.generate(ids, attention_mask=mask, **limit, **how)
    assert outputs.shape[1] > ids.shape[1] + 2 + model.config.max_piece_length
    assert max(int(positions[:, 1].max()) for positions in seen.positions) <= model.config.max_piece_length
    if not how.get("do_sample"):
        found = [read_pieces(row, ids.shape[1]) for row in outputs.tolist()]
        for row, real, pieces in zip(ids, mask, found, strict=True):
            alone = model.generate(row[real != 0][None], **limit, **how)
            assert pieces == read_pieces(alone[0].tolist(), int(real.sum()))


@pytest.mark.parametrize("how", [{}, {"do_sample": True}, MODES["static cache"]], ids=["greedy", "sampling", "static"])
def test_what_stands_behind_the_end_is_masked(waiting, how):
    """The first row ends its piece, and then all that follows is hidden from it."""
    model, ids, mask = waiting
    torch.manual_seed(0)
    with Seen(model) as seen:
        outputs = model.generate(ids, attention_mask=mask, max_new_tokens_per_blank=LIMIT, **how)
    row = outputs[0].tolist()
    end = next(place for place in range(ids.shape[1], len(row)) if row[place] in ENDS)
    last = seen.masks[-1]
    visible = last[0] if last.ndim == 2 else last[0, 0, -1, : outputs.shape[1] - 1]
    assert visible[: end + 1].tolist() == [*mask[0].tolist(), *[1] * (end + 1 - ids.shape[1])]
    assert not visible[end + 1 :].any()
    other = last[1] if last.ndim == 2 else last[1, 0, -1, : outputs.shape[1] - 1]
    assert other[-1]


def test_a_row_that_a_criterion_stops_may_wait(waiting):
    """It has no end, and its padding is a word."""

    class StopsTheFirstRow(StoppingCriteria):
        def __call__(self, input_ids, scores, **kwargs):
            return torch.arange(len(input_ids)) == 0

    model, ids, mask = waiting
    outputs = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens_per_blank=LIMIT,
        stopping_criteria=[StopsTheFirstRow()],
        pad_token_id=33,
        exponential_decay_length_penalty=(1, 1e12),
        no_repeat_ngram_size=2,
    )
    assert outputs[0, ids.shape[1] + 2 :].tolist() == [33] * (outputs.shape[1] - ids.shape[1] - 2)
    how = {"exponential_decay_length_penalty": (1, 1e12), "no_repeat_ngram_size": 2}
    alone = model.generate(ids[1:], max_new_tokens_per_blank=LIMIT, **how)
    assert read_pieces(outputs[1].tolist(), ids.shape[1]) == read_pieces(alone[0].tolist(), ids.shape[1])


@pytest.mark.parametrize("how", [MODES[name] for name in ("greedy", "beams", "static cache", "no cache", "n-grams")])
@pytest.mark.parametrize("given", [0, 3], ids=["positions of the prompt", "positions of tokens to come"])
@pytest.mark.parametrize("masked", [False, True], ids=["", "4D mask"])
def test_given_positions_end_with_the_table(how, given, masked):
    """One row ends early. The other never ends: its piece ends where the table does."""
    model = ending_model(max_position_embeddings=16)
    ends = {"eos_token_id": [EOP, EOS]}
    rows = [[CLS, *words(3, 1), MASK, EOS, SOP], [CLS, *words(5, 3), MASK, EOS, SOP]]
    ids, mask = pad_rows(rows, "left", PAD), pad_rows([[1] * len(row) for row in rows], "left")
    longer = torch.nn.functional.pad(ids, (0, given), value=11), torch.nn.functional.pad(mask, (0, given), value=1)
    how = {**how, **ends, "max_new_tokens": 40, "sequence_bias": {(EOP,): -3.0, (EOS,): -3.0}}

    def fill(row):
        inputs = {"position_ids": compute_position_ids(longer[0][row], model.config, longer[1][row])}
        if masked:
            length = longer[0].shape[1]
            part_a = (inputs["position_ids"][:, 1] == 0)[:, None, None]
            causal = torch.ones(length, length, dtype=torch.bool).tril()
            inputs["generation_attention_mask"] = (part_a | causal) & (longer[1][row] != 0)[:, None, None]
        return model.generate(ids[row], attention_mask=mask[row], **inputs, **how)[:, ids.shape[1] :].tolist()

    together = fill(slice(0, 2))
    assert len(together[0]) <= 16
    for number in range(2):
        (alone,) = fill(slice(number, number + 1))
        end = next(place for place, token in enumerate(alone) if token in ENDS)
        assert together[number][: end + 1] == alone[: end + 1]
        assert len(alone) <= 16


def test_filled_prompts_are_left_as_they_are(model, expected):
    """What `generate` returned goes in again, beside a prompt that is not filled."""
    ids = pad_rows(prompts()[:3], "left", PAD)
    mask = pad_rows([[1] * len(prompt) for prompt in prompts()[:3]], "left")
    filled = model.generate(ids, attention_mask=mask, max_new_tokens_per_blank=LIMIT)
    longer = torch.nn.functional.pad(mask, (0, filled.shape[1] - mask.shape[1]), value=1)
    for how in ({}, {"num_beams": 2}, {"do_sample": True}):
        again = model.generate(filled, attention_mask=longer, max_new_tokens=8, **how)
        assert again.shape[1] == filled.shape[1] + 1
        assert [read_pieces(row, ids.shape[1]) for row in again.tolist()] == expected[:3]
    # A piece with its end before the last blank: the next blank is filled.
    prompt = prompts()[3]
    ended = model.generate(torch.tensor([[*prompt, SOP, 11, EOP]]), max_new_tokens_per_blank=LIMIT)[0].tolist()
    assert ended[: len(prompt) + 4] == [*prompt, SOP, 11, EOP, SOP]


HIDDEN = [MASK, SOP, GMASK, EOP, EOS, CLS, 40, SOP, SMASK]


def with_hidden(rows: list[list[int]], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Put hidden tokens everywhere into rows: ids and mask."""
    draw = random.Random(seed)
    mixed, masks = [], []
    width = max(map(len, rows)) + 6
    for row in rows:
        places = sorted(draw.sample(range(width), len(row)))
        ids, mask = [draw.choice(HIDDEN) for _ in range(width)], [0] * width
        for place, token in zip(places, row, strict=True):
            ids[place], mask[place] = token, 1
        mixed.append(ids)
        masks.append(mask)
    return torch.tensor(mixed), torch.tensor(masks)


@pytest.mark.parametrize("how", MODES.values(), ids=MODES)
def test_hidden_tokens_are_as_removed(model, how):
    seed = len(how)
    rows = [
        prompts()[0],
        [*prompts()[1], SOP, *words(3, 1), SOP, *words(2, 4)],
        [*prompts()[3], SOP, *words(4, 5)],
        prompts()[2],
    ]
    limit = {"max_new_tokens_per_blank": LIMIT, "encoder_no_repeat_ngram_size": 1, "min_new_tokens": 2}
    clean, clean_mask = pad_rows(rows, "left", PAD), pad_rows([[1] * len(row) for row in rows], "left")
    ids, mask = with_hidden(rows, seed)
    torch.manual_seed(seed)
    expected = model.generate(clean, attention_mask=clean_mask, **limit, **how)
    torch.manual_seed(seed)
    found = model.generate(ids, attention_mask=mask, **limit, **how)
    assert torch.equal(found[:, ids.shape[1] :], expected[:, clean.shape[1] :])
    for row, other in zip(found.tolist(), expected.tolist(), strict=True):
        assert [token for token in row if token != PAD] == [token for token in other if token != PAD]
    embeds = model.get_input_embeddings()(ids).detach()
    torch.manual_seed(seed)
    assert torch.equal(model.generate(inputs_embeds=embeds, attention_mask=mask, **limit, **how), found)


@pytest.mark.parametrize("seed", [0, 1])
def test_drafts_and_given_positions_do_not_read_hidden_tokens(model, expected, seed):
    ids, mask = with_hidden([prompts()[1]], seed)
    how = {"attention_mask": mask, "max_new_tokens_per_blank": LIMIT}
    assistant = make_model(GLMForConditionalGeneration, seed=4, num_hidden_layers=1)
    for draft in ({"prompt_lookup_num_tokens": 3}, {"assistant_model": assistant}):
        found = model.generate(ids, **how, **draft)
        assert read_pieces(found[0].tolist(), ids.shape[1]) == expected[1]
    rows = [[*prompts()[0], SOP, *words(3, 7)], [*prompts()[2], SOP]]
    ids, mask = with_hidden(rows, seed)
    ids, mask = torch.cat((ids, torch.tensor([[8], [9]])), dim=1), torch.cat((mask, torch.ones(2, 1).long()), dim=1)
    clean = pad_rows([[*rows[0], 8], [*rows[1], 9]], "left", PAD)
    clean_mask = (clean != PAD).long()
    found = []
    for tokens, real in ((clean, clean_mask), (ids, mask)):
        positions = compute_position_ids(tokens, model.config, real)
        how = {"max_new_tokens": 5, "no_repeat_ngram_size": 2, "min_new_tokens": 5}
        found.append(model.generate(tokens, attention_mask=real, position_ids=positions, **how)[:, -5:])
    assert torch.equal(*found)


def test_processors_see_no_hidden_tokens(model):
    """Those that read the prompt, too."""

    class Reader(Observer):
        reads_prompt = True

        def __call__(self, input_ids, scores):
            self.seen.append(input_ids.tolist())
            return scores

    rows = [prompts()[0], [*prompts()[3], SOP, *words(2, 5)]]
    ids, mask = with_hidden(rows, 3)
    reader, allowed = Reader(), []

    def allow(batch, tokens):
        allowed.append(tokens.tolist())
        return list(range(64))

    model.generate(
        ids, attention_mask=mask, logits_processor=[reader], prefix_allowed_tokens_fn=allow, max_new_tokens=2
    )
    for seen in (reader.seen[0], allowed[:2]):
        assert [[token for token in row if token != PAD] for row in seen] == [[*rows[0], SOP], rows[1]]


def test_negative_prompts_do_not_read_hidden_tokens(model):
    ids = torch.tensor([prompts()[0]])
    negative, mask = with_hidden([[CLS, 20, 21, MASK, EOS]], 2)
    how = {"guidance_scale": 3.0, "max_new_tokens_per_blank": LIMIT}
    expected = model.generate(ids, negative_prompt_ids=[CLS, 20, 21, MASK, EOS], **how)
    found = model.generate(ids, negative_prompt_ids=negative, negative_prompt_attention_mask=mask, **how)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("limit", [None, 1, 3, LIMIT])
def test_the_limit_of_an_answer_holds_with_given_positions(model, limit):
    """As without them: an answer of `limit` tokens and its end."""
    ids = torch.tensor([[CLS, 11, MASK, 12, EOS, SOP]])
    limits = {} if limit is None else {"max_new_tokens_per_blank": limit}
    expected = model.generate(ids, do_sample=False, **limits)
    position_ids = compute_position_ids(ids, model.config)
    assert torch.equal(model.generate(ids, position_ids=position_ids, do_sample=False, **limits), expected)
    if limit is not None:
        found = model.generate(ids, position_ids=position_ids, do_sample=False, max_new_tokens=40, **limits)
        assert torch.equal(found, expected)
    with pytest.raises(ValueError, match="max_new_tokens_per_blank=48 must be between 1 and 47"):
        model.generate(ids, position_ids=position_ids, max_new_tokens_per_blank=48)


def test_a_model_drafts_with_its_first_layers(expected):
    model = ending_model(num_hidden_layers=3)
    for prompt in prompts():
        ids = torch.tensor([prompt])
        plain = model.generate(ids, do_sample=False, max_new_tokens_per_blank=LIMIT)
        drafted = model.generate(ids, do_sample=False, max_new_tokens_per_blank=LIMIT, assistant_early_exit=2)
        assert torch.equal(drafted, plain)
    assert model.config.num_hidden_layers == 3
