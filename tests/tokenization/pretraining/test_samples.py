"""The layout of samples: by hand, and all examples of the original code."""

import json

import numpy as np
import pytest

from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from modeling_glm.tokenization.pretraining.samples import blank_out, mask_in_place
from modeling_glm.tokenization.pretraining.spans import SpanPlaces, Spans
from modeling_glm.tokenization.pretraining.texts import Texts
from tests.support.original_files import write_vocabulary
from tests.support.paths import FIXTURES, GOLDEN

MASK, SOP, EOP = 3, 6, 7


def as_spans(spans, order, masks=None, sops=None, open_end=False) -> Spans:
    """Put spans of one text, given in the order of the text, into the order of Part B."""
    arranged = [spans[index] for index in order]
    start, stop = np.array(arranged, dtype=np.int64).reshape(-1, 2).T
    count = len(arranged)
    places = SpanPlaces(
        text=np.zeros(count, dtype=np.int64), start=start, stop=stop, open_end=np.full(count, open_end)
    )
    return Spans(
        places=places,
        mask_ids=np.array(masks or [MASK] * count, dtype=np.int64),
        sop_ids=np.array(sops or [SOP] * count, dtype=np.int64),
    )


def lists(sample) -> dict[str, list]:
    return {name: values.tolist() for name, values in sample.items()}


def test_layout_by_hand():
    """Two spans, the second first."""
    samples = blank_out(Texts.join([np.arange(10, 18)]), as_spans([(1, 3), (5, 6)], [1, 0]), EOP)
    assert lists(samples[0]) == {
        "input_ids": [10, 3, 13, 14, 3, 16, 17, 6, 15, 6, 11, 12],
        "labels": [-100] * 7 + [15, 7, 11, 12, 7],
        "position_ids": [[0, 1, 2, 3, 4, 5, 6, 4, 4, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 3]],
    }


def test_origins_by_hand():
    """The place of every input in the text; -1 for masks and starts of pieces."""
    texts, spans = Texts.join([np.arange(10, 18)]), as_spans([(1, 3), (5, 6)], [1, 0])
    assert blank_out(texts, spans, EOP).origins.tolist() == [0, -1, 3, 4, -1, 6, 7, -1, 5, -1, 1, 2]
    assert mask_in_place(texts, spans).origins.tolist() == [0, -1, -1, 3, 4, -1, 6, 7]


def test_a_piece_with_an_open_end_has_no_end_of_piece():
    samples = blank_out(Texts.join([np.arange(10, 14)]), as_spans([(2, 4)], [0], open_end=True), EOP)
    assert lists(samples[0]) == {
        "input_ids": [10, 11, 3, 6, 12],
        "labels": [-100, -100, -100, 12, 13],
        "position_ids": [[0, 1, 2, 2, 2], [0, 0, 0, 1, 2]],
    }


def test_masking_in_place_by_hand():
    samples = mask_in_place(Texts.join([np.arange(10, 15)]), as_spans([(1, 3)], [0]))
    assert lists(samples[0]) == {
        "input_ids": [10, 3, 3, 13, 14],
        "labels": [-100, 11, 12, -100, -100],
        "position_ids": [[0, 1, 2, 3, 4], [0, 0, 0, 0, 0]],
    }


def original_layouts() -> tuple[dict, list[dict]]:
    folder = GOLDEN if (GOLDEN / "data_building" / "make_block_data.json").exists() else FIXTURES
    data = json.loads((folder / "data_building" / "make_block_data.json").read_text(encoding="utf-8"))
    return data["command_ids"], data["cases"]


def is_in_place(case: dict) -> bool:
    """Masked language modelling has one row of positions, and no Part B."""
    return np.ndim(case["output"]["position_ids"]) == 1


def original_spans(case: dict) -> tuple[dict[str, int], Texts, Spans]:
    """The ids of special tokens, the text, and its spans in the order of the original."""
    given = case["input"]
    options = given["settings"]
    ids = original_layouts()[0][given["tokenizer"]]
    texts = Texts.join([np.array(given["tokens"])])
    in_order = sorted(map(tuple, given["spans"]))
    order = range(len(in_order))
    if options["shuffle_blocks"] and given["shuffle_perm"]:
        order = [in_order.index(tuple(given["spans"][index])) for index in given["shuffle_perm"]]
    name = {"bert": "MASK", "gap_sentence": "sMASK", "generation": "gMASK"}[given["task"]]
    masks = [ids[name if options["task_mask"] else "MASK"]] * len(in_order)
    sops = [ids["sop"]] * len(in_order)
    if options.get("sentinel_token"):
        masks = [ids["MASK"], *(ids[f"MASK{k}"] for k in range(1, len(in_order)))]
        sops = [ids["sop"], *(ids[f"sop{k}"] for k in range(1, len(in_order)))]
    return ids, texts, as_spans(in_order, order, masks, sops)


def original_labels(case: dict) -> list[int]:
    output = case["output"]
    return [t if keep else -100 for t, keep in zip(output["targets"], output["loss_mask"], strict=True)]


@pytest.mark.parametrize(
    "case", [case for case in original_layouts()[1] if is_in_place(case)], ids=lambda case: case["name"]
)
def test_masking_in_place_of_the_original(case):
    """All examples of the original code that mask in place."""
    _, texts, spans = original_spans(case)
    samples, expected = mask_in_place(texts, spans), case["output"]
    assert samples.input_ids.tolist() == expected["tokens"]
    assert samples.labels.tolist() == original_labels(case)
    assert samples.position_ids[0].tolist() == expected["position_ids"]


@pytest.mark.parametrize(
    "case", [case for case in original_layouts()[1] if not is_in_place(case)], ids=lambda case: case["name"]
)
def test_layouts_of_the_original(case, tmp_path):
    """All examples of the original code with a Part B, with its spans and orders, through the collator's own steps."""
    given, expected = case["input"], case["output"]
    options = given["settings"]
    ids, texts, spans = original_spans(case)
    samples = blank_out(texts, spans, ids["eop"])
    vocabulary = "bert" if "bert" in given["tokenizer"] else "gpt2"
    collator = DataCollatorForBlankInfilling(
        GLMTokenizer.from_pretrained(write_vocabulary(vocabulary, tmp_path)),
        max_length=given["max_seq_length"],
        block_positions=options["block_position_encoding"],
        sentinels=list(zip(spans.mask_ids.tolist(), spans.sop_ids.tolist(), strict=True))
        if options.get("sentinel_token")
        else None,
        random_positions=options.get("random_position", False),
        block_mask_probability=options.get("block_mask_prob", 0.0),
    )
    draws = OriginalDraws(
        shift=given.get("randrange_returns", 0), room=given.get("randrange_called_with", [[0, 1]])[0][1]
    )
    hidden = [
        sample
        for sample, (found, target) in enumerate(zip(expected["tokens"], samples.input_ids.tolist(), strict=True))
        if found == ids.get("dBLOCK") and target != found
    ]
    draws.hidden = samples.origins[hidden]
    collator.hide_inputs(samples, texts, np.array([given["task"] == "bert"]), draws)
    collator.change_positions(samples, draws)
    assert samples.position_ids.tolist() == expected["position_ids"]
    assert ("dBLOCK" in ids and ids["dBLOCK"] in samples.input_ids.tolist()) == bool(hidden)
    assert samples.input_ids.tolist() == expected["tokens"]
    assert samples.labels.tolist() == original_labels(case)
    # The original tells the length of Part A only where it makes no mask; it has a loss in Part B alone.
    context_length = expected["loss_mask"].count(0)
    assert samples.context_lengths.tolist() == [context_length]
    assert expected.get("source_length", context_length) == context_length


class OriginalDraws:
    """The draws of the original: the shift of the positions out of the room for it, and the tokens that are hidden."""

    def __init__(self, shift: int, room: int):
        self.hidden = np.array([], dtype=np.int64)
        self.shift, self.room = shift, room

    def head(self, index):
        return np.array([(self.shift + 0.5) / self.room])

    def stream(self, stream, text, index):
        return np.where(np.isin(index, self.hidden), 0.0, 1.0)
