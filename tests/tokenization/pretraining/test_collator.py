"""The collator: restored texts, options, errors."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from tests.support.original_files import write_vocabulary


def lists(sample) -> dict[str, list]:
    return {name: values.tolist() for name, values in sample.items()}


WORDS = st.lists(st.integers(20, 346), min_size=1, max_size=60)


def restore(sample, tokenizer) -> list[int]:
    """The text, from Part A with its blanks filled by the pieces that stand at their positions."""
    pieces, context = {}, []
    ends = {}
    for token, label, row0, row1 in zip(
        sample["input_ids"].tolist(), sample["labels"].tolist(), *sample["position_ids"].tolist(), strict=True
    ):
        if row1 == 0:
            assert label == -100
            context.append(token)
            continue
        if row1 == 1:
            assert token == tokenizer.sop_token_id
            assert row0 not in pieces
            pieces[row0] = []
        else:
            # Labels are the inputs, shifted within the piece; where a document opens nothing is to be predicted.
            assert ends[row0] in (token, -100)
            pieces[row0].append(token)
        ends[row0] = label
    text = []
    for position, token in enumerate(context):
        assert (token in tokenizer.mask_token_ids) == (position in pieces)
        if position in pieces:
            last = [] if ends[position] == tokenizer.eop_token_id else [ends[position]]
            text += pieces[position] + last
        else:
            text.append(token)
    return text


OBJECTIVES = st.sampled_from(["token", "sentence", "document"])
SHORT = st.sampled_from([0.0, 1.0])


@st.composite
def drawn_texts(draw) -> dict:
    """The documents of a text, whether its end is there, and its number."""
    return {
        "docs": draw(st.lists(WORDS, min_size=1, max_size=4)),
        "ends": draw(st.booleans()),
        "sample": draw(st.integers(0, 2**50)),
    }


def corrupted(tokenizer, drawn, objective, short) -> tuple[list[int], list[dict]]:
    """The text that was drawn, and its samples."""
    cls, eos = tokenizer.cls_token_id, tokenizer.eos_token_id
    text = [token for words in drawn["docs"] for token in (cls, *words, eos)]
    text = text if drawn["ends"] else text[:-1]
    collator = DataCollatorForBlankInfilling(
        tokenizer, objectives={objective: 1.0}, short_probability=short, max_length=max(3, len(text)), seed=3
    )
    samples = collator.corrupt([{"input_ids": text, "sample_id": drawn["sample"]}])
    parts = [samples[number] for number in range(len(samples.lengths))]
    assert parts
    return text, parts


@settings(max_examples=120)
@given(drawn=drawn_texts(), objective=OBJECTIVES, short=SHORT)
def test_blanks_restore_a_part_of_the_text(tokenizer, drawn, objective, short):
    """Positions stay in the table."""
    text, parts = corrupted(tokenizer, drawn, objective, short)
    for part in parts:
        restored = restore(part, tokenizer)
        joined = " ".join(map(str, restored[1:]))
        assert restored[0] == tokenizer.cls_token_id
        assert joined in " ".join(map(str, text[1:]))
        assert part["position_ids"].max() <= len(text)
        assert part["position_ids"][0].max() < len(text)


@settings(max_examples=100)
@given(drawn=drawn_texts(), objective=OBJECTIVES)
def test_blanks_restore_all_of_a_text_that_is_not_cut(tokenizer, drawn, objective):
    text, parts = corrupted(tokenizer, drawn, objective, short=0.0)
    assert [restore(part, tokenizer) for part in parts] == [text]


@settings(max_examples=100)
@given(drawn=drawn_texts(), objective=st.sampled_from(["token", "sentence"]), short=SHORT)
def test_no_piece_crosses_a_document(tokenizer, drawn, objective, short):
    _, parts = corrupted(tokenizer, drawn, objective, short)
    for part in parts:
        inputs = part["input_ids"][part["position_ids"][1] > 0]
        assert not np.isin(inputs, [tokenizer.cls_token_id, tokenizer.eos_token_id]).any()


@settings(max_examples=100)
@given(drawn=drawn_texts(), short=SHORT)
def test_blanks_of_tokens_do_not_touch(tokenizer, drawn, short):
    _, parts = corrupted(tokenizer, drawn, "token", short)
    for part in parts:
        masks = np.flatnonzero(np.isin(part["input_ids"], tokenizer.mask_token_ids))
        assert all(np.diff(masks) > 1)


def make(tokenizer, **settings) -> DataCollatorForBlankInfilling:
    return DataCollatorForBlankInfilling(tokenizer, **settings)


@pytest.fixture
def features(tokenizer):
    text = "The quick brown fox jumps over the lazy dog and the lazy cat in the year 1987"
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return [{"input_ids": ids[:size], "sample_id": size} for size in (1, 2, 5, 11, len(ids))]


@pytest.mark.parametrize(
    "objectives",
    [{"token": 1.0}, {"sentence": 1.0}, {"document": 1.0}, {"token": 0.5, "sentence": 0.2, "document": 0.3}],
)
def test_batches(tokenizer, features, objectives):
    batch = make(tokenizer, objectives=objectives, pad_to_multiple_of=8)(features)
    shape = batch["input_ids"].shape
    assert shape == batch["attention_mask"].shape == batch["labels"].shape
    assert shape[1] % 8 == 0
    assert batch["position_ids"].shape == (len(features), 2, shape[1])
    assert (batch["labels"][batch["position_ids"][:, 1] == 0] == -100).all()
    assert (batch["labels"] != -100).any(1).all()
    assert (batch["input_ids"] != tokenizer.eop_token_id).all()


def test_document_objective(tokenizer, features):
    text = features[-1]["input_ids"]
    collator = make(tokenizer, objectives={"document": 1.0})
    seen = set()
    samples = collator.corrupt([{"input_ids": text, "sample_id": number} for number in range(200)])
    whole = [*text, tokenizer.eos_token_id]
    for number in range(200):
        sample = samples[number]
        part_b = sample["labels"][sample["labels"] != -100]
        ends = part_b[-1] == tokenizer.eop_token_id
        size = len(part_b) - ends
        assert (len(text) + 2) // 2 <= size <= len(text)
        assert tokenizer.gmask_token_id in sample["input_ids"]
        assert (tokenizer.eos_token_id in sample["input_ids"]) == ends
        # A piece that is the end of the text has no end of its own.
        assert (whole[-size:] == part_b.tolist()) == (not ends)
        seen.add((bool(ends), int(size)))
    assert {ends for ends, _ in seen} == {True, False}
    assert len({size for _, size in seen}) > 5


def test_what_is_drawn_depends_on_seed_and_sample_alone(tokenizer, features):
    mixture = {"token": 0.4, "sentence": 0.3, "document": 0.3}
    together = make(tokenizer, objectives=mixture, seed=5).corrupt(features)
    other = make(tokenizer, objectives=mixture, seed=5)
    for number, feature in reversed(list(enumerate(features))):
        assert lists(other.corrupt([feature])[0]) == lists(together[number])
    changed = make(tokenizer, objectives=mixture, seed=6).corrupt(features)
    assert changed.input_ids.tolist() != together.input_ids.tolist()


def test_texts_without_a_number_are_counted(tokenizer, features):
    numbered = make(tokenizer, seed=5)
    plain = {"input_ids": features[-1]["input_ids"]}
    first, second = (lists(numbered.corrupt([plain])[0]) for _ in range(2))
    assert first != second
    assert first == lists(make(tokenizer, seed=5).corrupt([{**plain, "sample_id": 0}])[0])


def test_workers_draw_the_same(tokenizer, features):
    """Numbered texts give the same batches with any number of workers."""
    from torch.utils.data import DataLoader

    batches = [
        [
            batch["input_ids"].tolist()
            for batch in DataLoader(features, 2, collate_fn=make(tokenizer), num_workers=workers)
        ]
        for workers in (0, 1, 2)
    ]
    assert batches[0] == batches[1] == batches[2]


def test_an_objective_can_be_asked_for(tokenizer, features):
    collator = make(tokenizer, objectives={"token": 1.0}, single_span_probability=1.0)
    for objective, mask in (("token", "mask"), ("sentence", "smask"), ("document", "gmask")):
        samples = collator.corrupt([{**features[-1], "objective": objective}])
        assert getattr(tokenizer, f"{mask}_token_id") in samples.input_ids


def test_special_tokens_around_a_text_change_nothing(tokenizer):
    bare, whole = (
        tokenizer("the lazy dog and the lazy cat", add_special_tokens=special).input_ids for special in (False, True)
    )
    found, expected = (make(tokenizer).corrupt([{"input_ids": ids, "sample_id": 3}]) for ids in (whole, bare))
    assert found.input_ids.tolist() == expected.input_ids.tolist()


def test_a_text_that_goes_on_has_no_end(tokenizer, features):
    whole = tokenizer("the lazy dog and the lazy cat").input_ids
    samples = make(tokenizer).corrupt([{"input_ids": whole[:-1], "sample_id": 3}])
    assert tokenizer.eos_token_id not in samples.input_ids
    assert make(tokenizer, max_length=8)(features)["position_ids"].max() < 8


def test_block_masks_hide_inputs_and_keep_labels(tokenizer):
    text = list(range(20, 340)) * 10
    plain, hidden = (
        make(tokenizer, objectives={"token": 1.0}, block_mask_probability=p, max_length=4000).corrupt(
            [{"input_ids": text, "sample_id": 1}]
        )
        for p in (1e-12, 0.3)
    )
    assert plain.labels.tolist() == hidden.labels.tolist()
    changed = plain.input_ids != hidden.input_ids
    assert (hidden.input_ids[changed] == tokenizer.dblock_token_id).all()
    in_part_b = plain.position_ids[1] > 0
    assert not changed[~in_part_b].any()
    assert not changed[plain.input_ids == tokenizer.sop_token_id].any()
    assert changed.sum() / (plain.position_ids[1] > 1).sum() == pytest.approx(0.3, abs=0.08)


def test_context_masks_stand_near_the_blanks(tokenizer):
    text = list(range(20, 340))
    collator = make(tokenizer, context_mask_ratio=0.1, context_mask_range=2)
    samples = collator.corrupt([{"input_ids": text, "sample_id": number} for number in range(4)])
    for number in range(4):
        ids, positions = samples[number]["input_ids"], samples[number]["position_ids"]
        hidden = np.flatnonzero(ids == tokenizer.dblock_token_id)
        blanks = np.flatnonzero(ids == tokenizer.mask_token_id)
        assert len(hidden) == int(0.1 * (len(text) + 2))
        assert (positions[1, hidden] == 0).all()
        assert all(np.abs(blanks - position).min() <= 2 for position in hidden)


def test_pieces_in_the_order_of_the_text(tokenizer):
    samples = make(tokenizer, shuffle_spans=False).corrupt([{"input_ids": list(range(20, 340)), "sample_id": 0}])
    opens = samples.position_ids[1] == 1
    assert all(first < second for first, second in itertools.pairwise(samples.position_ids[0][opens].tolist()))


def test_positions_that_begin_anywhere(tokenizer):
    text = list(range(20, 60))
    samples = make(tokenizer, random_positions=True, max_length=64).corrupt(
        [{"input_ids": text, "sample_id": number} for number in range(300)]
    )
    firsts = samples.position_ids[0][samples.offsets[:-1]]
    assert samples.position_ids[0].max() == 63
    assert firsts.min() == 0
    assert len(set(firsts.tolist())) > 20


def test_sentinels(tokenizer):
    pairs = [(330 + k, 320 + k) for k in range(8)]
    collator = make(tokenizer, sentinels=pairs, max_length=50)
    text = list(range(20, 60))
    sample = collator.corrupt([{"input_ids": text, "sample_id": 0}])[0]
    opens = sample["position_ids"][1] == 1
    count = int(opens.sum())
    assert count > 1
    assert sample["input_ids"][opens].tolist() == [sop for _, sop in pairs[:count]]
    assert set(sample["input_ids"][sample["position_ids"][1] == 0]) >= {mask for mask, _ in pairs[:count]}
    assert (sample["position_ids"][0][sample["position_ids"][1] > 0] == 50).all()
    with pytest.raises(ValueError, match="there are 1 sentinels: give more"):
        make(tokenizer, sentinels=pairs[:1]).corrupt([{"input_ids": text, "sample_id": 0}])


def test_masked_language_modelling(tokenizer):
    text = list(range(20, 120))
    sample = make(tokenizer, masked_lm=True).corrupt([{"input_ids": text, "sample_id": 0}])[0]
    hidden = sample["labels"] != -100
    assert (sample["position_ids"][1] == 0).all()
    assert (sample["input_ids"][hidden] == tokenizer.mask_token_id).all()
    filled = np.where(hidden, sample["labels"], sample["input_ids"])
    assert filled[1:-1].tolist() == text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objectives": {"words": 1.0}}, r"\['words'\]: there are \['token', 'sentence', 'document'\]"),
        ({"objectives": {"token": 0.5}}, "must sum to 1"),
        ({"objectives": {"token": 1.5, "document": -0.5}}, "must not be negative"),
        ({"mask_ratio": 1.5}, "mask_ratio=1.5 must lie between 0 and 1"),
        ({"short_probability": -0.1}, "short_probability=-0.1 must lie"),
        ({"max_length": 2}, "max_length=2 must be at least 3"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"pad_to_multiple_of": -8}, "pad_to_multiple_of=-8 must be at least 1"),
        ({"context_mask_range": 0}, "context_mask_range=0 must be at least 1"),
        ({"mean_span_length": 0.0}, "mean_span_length=0.0 must be"),
        ({"masked_lm": True, "random_positions": True, "packed_length": 9}, "cannot be told apart"),
    ],
)
def test_errors(tokenizer, settings, message):
    with pytest.raises(ValueError, match=message):
        make(tokenizer, **settings)


def test_a_vocabulary_without_the_mask(tmp_path):
    tokenizer = GLMTokenizer.from_pretrained(write_vocabulary("bert", tmp_path))
    with pytest.raises(ValueError, match=r"no gmask_token .* task_masks=False"):
        make(tokenizer, objectives={"document": 1.0})
    with pytest.raises(ValueError, match=r"no dblock_token .* block_mask_probability=0"):
        make(tokenizer, block_mask_probability=0.1)
    with pytest.raises(ValueError, match=r"no smask_token .* task_masks=False"):
        make(tokenizer)([{"input_ids": [2000, 2001], "objective": "sentence"}])
    samples = make(tokenizer, objectives={"document": 1.0}, task_masks=False).corrupt([{"input_ids": [2000, 2001]}])
    assert tokenizer.mask_token_id in samples.input_ids


@pytest.mark.parametrize("special", [False, True])
def test_empty_text_is_refused(tokenizer, special):
    ids = [tokenizer.cls_token_id, tokenizer.eos_token_id] if special else []
    with pytest.raises(ValueError, match="without tokens"):
        make(tokenizer)([{"input_ids": ids}])


def test_what_cannot_be_made_is_refused(tokenizer):
    with pytest.raises(ValueError, match="The batch has no texts"):
        make(tokenizer)([])
    with pytest.raises(ValueError, match="asks for the objective 'words': there are"):
        make(tokenizer)([{"input_ids": [20, 21], "objective": "words"}])
    cls, eos = tokenizer.cls_token_id, tokenizer.eos_token_id
    with pytest.raises(ValueError, match=r"without tokens .*cut at max_length=3"):
        make(tokenizer, max_length=3)([{"input_ids": [cls, eos, cls, 20, eos]}])


def encoded_sample(tokenizer) -> dict:
    """`[CLS] 30 [MASK] 31 <sop> 40 41` -> 40 41 <eop>: an example of a task."""
    cls, mask, sop, eop = (
        tokenizer.cls_token_id,
        tokenizer.mask_token_id,
        tokenizer.sop_token_id,
        tokenizer.eop_token_id,
    )
    return {"input_ids": [cls, 30, mask, 31, sop, 40, 41], "labels": [-100] * 4 + [40, 41, eop]}


@pytest.mark.parametrize("packed_length", [None, 200])
def test_encoded_samples_stand_beside_texts(tokenizer, features, packed_length):
    """They are kept as they are, with their positions, and do not change the blanks of the texts."""
    collator = make(tokenizer, mask_ratio=0.3)
    sample = encoded_sample(tokenizer)
    mixed = collator.corrupt([sample, *features, sample])
    alone = collator.corrupt(features)
    assert [lists(mixed[number]) for number in range(len(features))] == [
        lists(alone[number]) for number in range(len(features))
    ]
    expected = {**sample, "position_ids": [[0, 1, 2, 3, 2, 2, 2], [0, 0, 0, 0, 1, 2, 3]]}
    assert [lists(mixed[number]) for number in (len(features), len(features) + 1)] == [expected] * 2
    batch = make(tokenizer, mask_ratio=0.3, packed_length=packed_length)([sample, *features, sample])
    assert (batch["labels"] != -100).sum() == 6 + (alone.labels != -100).sum()
    only = make(tokenizer, packed_length=packed_length)([sample])
    assert only["input_ids"][0, :7].tolist() == sample["input_ids"]
    assert only["position_ids"][0, :, :7].tolist() == expected["position_ids"]


def test_encoded_samples_count_no_texts(tokenizer, features):
    """Blanks of texts without a number depend on their place in the batch, not on the samples between them."""
    texts = [{"input_ids": feature["input_ids"]} for feature in features]
    sample = encoded_sample(tokenizer)
    mixed, plain = (make(tokenizer, evaluation=True) for _ in range(2))
    found = mixed.corrupt([texts[0], sample, *texts[1:]])
    expected = plain.corrupt(texts)
    assert lists(found[0]) == lists(expected[0])


def test_encoded_samples_without_block_positions(tokenizer):
    samples = make(tokenizer, block_positions=False).corrupt([encoded_sample(tokenizer)])
    assert samples.position_ids.tolist() == [[0, 1, 2, 3, 2, 2, 2], [0, 0, 0, 0, 1, 1, 1]]


@pytest.mark.parametrize("settings", [{"masked_lm": True}, {"sentinels": [(5, 6)]}])
def test_baselines_take_no_encoded_samples(tokenizer, settings):
    with pytest.raises(ValueError, match="goes with neither masked_lm nor sentinels"):
        make(tokenizer, **settings)([encoded_sample(tokenizer)])


@pytest.mark.parametrize("side", ["left", "right"])
def test_padded_rows_are_read_without_their_padding(tokenizer, side):
    """Rows of `tokenizer(texts, padding="max_length")`, which a Trainer hands over with their mask."""
    texts = ["The quick brown fox jumps over the lazy dog.", "Rome."]
    alone = [{"input_ids": ids} for ids in tokenizer(texts).input_ids]
    padded = tokenizer(texts, padding="max_length", max_length=40, padding_side=side)
    rows = [{name: padded[name][row] for name in padded} for row in range(len(texts))]
    for objective in ("token", "sentence", "document"):
        make_batch = make(tokenizer, objectives={objective: 1.0}, evaluation=True)
        found, expected = make_batch(rows), make_batch(alone)
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_a_mask_of_another_length_is_refused(tokenizer):
    with pytest.raises(ValueError, match=r"Sample 1 has 3 input_ids and an attention_mask of shape \(2,\)"):
        make(tokenizer)([{"input_ids": [30, 31]}, {"input_ids": [30, 31, 32], "attention_mask": [1, 1]}])


@pytest.mark.parametrize("labels", [[30, 31, 32], 1])
def test_labels_of_other_models_are_refused(tokenizer, labels):
    """Of a causal model, or a class."""
    with pytest.raises(ValueError, match="Sample 1 has labels"):
        make(tokenizer)([{"input_ids": [30, 31]}, {"input_ids": [30, 31, 32], "labels": labels}])
