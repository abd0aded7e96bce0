"""
The distributions of the corruption against those of the original code, on the same corpora with the same settings: 20,000
samples of the original in each run, whose random numbers are not ours. A check fails at odds of about 1 in 10,000; that
the checks can fail is shown with a Poisson mean of 2.5 instead of 3.
"""

import json
from unittest import mock

import numpy as np
import pytest
from safetensors.numpy import load
from scipy.stats import chi2_contingency, norm

from modeling_glm import DataCollatorForBlankInfilling, GLMTokenizer
from modeling_glm.tokenization.pretraining import collator as collator_module
from tests.support.original_files import read_golden, write_vocabulary

TEXTS = 5000
LEAST_P = 1e-4
STATS = json.loads(read_golden("data_building/stats.json"))["runs"]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return GLMTokenizer.from_pretrained(write_vocabulary("gpt2", tmp_path_factory.mktemp("gpt2")))


@pytest.fixture(scope="module")
def corpora():
    return load(read_golden("data_building/corpus.safetensors"))


def shares_of(run: dict) -> dict[str, float]:
    token, sentence = run["settings"]["bert_prob"], run["settings"].get("gap_sentence_prob") or 0.0
    return {"token": token, "sentence": sentence, "document": max(0.0, 1 - token - sentence)}


class Observed:
    """Measure the batches of a run, per sample and per span."""

    def __init__(self, run: dict, tokenizer, corpora, mean_span_length: float = 3.0, objective: str | None = None):
        settings = run["settings"]
        rows = corpora[f"{run['corpus']}.text"].astype(np.int64)
        # In these corpora the original finds the end of a sentence in full stops only. We find new lines and more.
        full_stop = tokenizer.convert_tokens_to_ids(".")
        with mock.patch.object(collator_module, "SentenceEnds", return_value=lambda ids: ids == full_stop):
            collator = DataCollatorForBlankInfilling(
                tokenizer,
                objectives=shares_of(run),
                mean_span_length=mean_span_length,
                mask_ratio=0.15,
                sentence_ratio=settings["gap_sentence_ratio"],
                min_document_ratio=settings["gpt_min_ratio"],
                suffix_probability=settings["gpt_infill_prob"],
                single_span_probability=settings["single_span_prob"],
                short_probability=settings["short_seq_prob"],
                block_mask_probability=settings["block_mask_prob"],
                seed=1,
            )
            parts = [
                collator.corrupt([{"input_ids": rows[i % len(rows)], "sample_id": i} for i in range(k, k + 100)])
                for k in range(0, TEXTS, 100)
            ]
        self.samples = sum(len(part.lengths) for part in parts)
        ids = np.concatenate([part.input_ids for part in parts])
        row0, row1 = np.concatenate([part.position_ids for part in parts], axis=1)
        labels = np.concatenate([part.labels for part in parts])
        sample = np.repeat(np.arange(self.samples), np.concatenate([part.lengths for part in parts]))
        self.part_a = np.concatenate([part.context_lengths for part in parts])
        opens = np.flatnonzero(row1 == 1)
        piece_of = np.cumsum(row1 == 1) - 1
        self.span_len = np.bincount(piece_of[row1 > 1], minlength=len(opens))
        self.num_spans = np.bincount(sample[opens], minlength=self.samples)
        self.part_b = np.bincount(sample[row1 > 0], minlength=self.samples)
        masked = self.part_b - self.num_spans
        self.text_len = self.part_a - self.num_spans + masked
        self.masked_fraction = masked / self.text_len
        self.loss_tokens = np.bincount(sample[labels != -100], minlength=self.samples)
        self.masks = {
            name: int((ids == getattr(tokenizer, f"{prefix}mask_token_id")).sum())
            for name, prefix in (("MASK", ""), ("sMASK", "s"), ("gMASK", "g"))
        }
        self.hidden = float((ids[row1 > 1] == tokenizer.dblock_token_id).mean())
        kind = np.array([tokenizer.mask_token_id, tokenizer.smask_token_id, tokenizer.gmask_token_id])
        first_mask = np.flatnonzero(np.isin(ids, kind) & (row1 == 0))
        _, firsts = np.unique(sample[first_mask], return_index=True)
        self.modes = np.bincount(np.searchsorted(np.sort(kind), ids[first_mask[firsts]]), minlength=3)
        self.modes = self.modes[np.argsort(np.argsort(kind))]
        is_mask = np.isin(ids, kind) & (row1 == 0)
        adjacent = is_mask[1:] & is_mask[:-1] & (sample[1:] == sample[:-1])
        self.adjacent = np.bincount(sample[1:][adjacent], minlength=self.samples) > 0
        places = row0[opens]
        falls = (places[1:] < places[:-1]) & (sample[opens][1:] == sample[opens][:-1])
        self.in_order = np.bincount(sample[opens][1:][falls], minlength=self.samples) == 0
        in_pieces = ids[row1 > 1]
        self.boundaries = int(np.isin(in_pieces, [tokenizer.cls_token_id, tokenizer.eos_token_id]).sum())


def same_mean(name: str, values: np.ndarray, mean: float, variance: float, count: int, own: int):
    """A two-sample z-test."""
    if values.var() == variance == 0:
        assert values.mean() == mean
        return
    error = (values.var() / own + variance / count) ** 0.5
    z = (values.mean() - mean) / error
    p = 2 * norm.sf(abs(z))
    assert p > LEAST_P, f"{name}: {values.mean():.4f} here, {mean:.4f} in the original, z = {z:.1f}"


def same_share(name: str, share: float, own: int, expected: float, count: int):
    values = np.array([share * own, (1 - share) * own]), np.array([expected * count, (1 - expected) * count])
    table = np.round(np.stack(values))
    if (table.sum(0) == 0).any():
        return
    p = chi2_contingency(table).pvalue
    assert p > LEAST_P, f"{name}: {share:.4f} here, {expected:.4f} in the original, p = {p:.1e}"


def same_histogram(name: str, values: np.ndarray, histogram: dict[str, int]):
    """A chi-square test; bins with few counts are added up."""
    longest = max(int(values.max()), *map(int, histogram))
    ours = np.bincount(values, minlength=longest + 1)
    theirs = np.array([histogram.get(str(value), 0) for value in range(longest + 1)])
    bins = np.cumsum(ours + theirs) // 60
    table = np.stack([np.bincount(bins, weights=ours), np.bincount(bins, weights=theirs)])
    table = table[:, table.sum(0) > 0]
    p = chi2_contingency(table).pvalue
    assert p > LEAST_P, f"{name}: p = {p:.1e}"


def check(run: dict, observed: Observed):
    short = run["settings"]["short_seq_prob"] > 0 or run["settings"]["single_span_prob"] > 0
    document = "gpt" in run["mode_batches"]
    # The original draws objectives, short lengths and lengths of documents once for a whole batch.
    count = run["batches"] if short or document or len(run["mode_batches"]) > 1 else run["samples"]
    own = TEXTS if short else observed.samples
    same_share("samples", TEXTS / observed.samples, TEXTS, run["input_samples"] / run["samples"], run["batches"])
    for name in ("num_spans", "masked_fraction", "text_len", "loss_tokens"):
        same_mean(name, getattr(observed, name), run[name]["mean"], run[name]["var"], count, own)
    same_mean("part_b", observed.part_b, run["partB_len"]["mean"], run["partB_len"]["var"], count, own)
    same_mean("part_a", observed.part_a, run["partA_len"]["mean"], run["partA_len"]["var"], count, own)
    if list(run["mode_batches"]) == ["bert"]:
        same_histogram("lengths of spans", observed.span_len, run["span_len"]["hist"])
        same_share("dBLOCK", observed.hidden, int(observed.span_len.sum()), 0.1, 10**6)
        assert not observed.adjacent.any()
    if not short and len(run["mode_batches"]) == 1 and not document:
        same_histogram("number of spans", observed.num_spans, run["num_spans"]["hist"])
        expected = run["fraction_multi_span_samples_in_text_order"]
        same_share("in order", observed.in_order.mean(), observed.samples, expected, run["samples"])
        expected = run["fraction_samples_with_adjacent_masks"]
        same_share("adjacent masks", observed.adjacent.mean(), observed.samples, expected, run["samples"])
    if len(run["mode_batches"]) > 1:
        modes = [run["mode_batches"][name] for name in ("bert", "sentence", "gpt")]
        p = chi2_contingency(np.array([observed.modes, modes])).pvalue
        assert p > LEAST_P, f"objectives {observed.modes} here, {modes} in the original"
    masks = {name for name, number in observed.masks.items() if number}
    assert masks == {name for name, number in run["mask_token_counts"].items() if number}


def swallows(run: dict) -> bool:
    """Where the original swallows the [CLS] of the next document into the spans of sentences, we end before it."""
    return list(run["mode_batches"]) == ["sentence"] and run["fraction_spans_containing_ENC"] > 0.1


@pytest.mark.parametrize("name", [name for name, run in STATS.items() if not swallows(run)])
def test_distributions_of_the_original(name, vocabulary, corpora):
    run = STATS[name]
    observed = Observed(run, vocabulary, corpora)
    check(run, observed)
    # Documents alone cross boundaries, where a text has several.
    crosses = "gpt" in run["mode_batches"] and run["fraction_spans_containing_ENC"] > 0
    assert (observed.boundaries > 0) == crosses


@pytest.mark.parametrize("name", [name for name, run in STATS.items() if swallows(run)])
def test_sentences_end_before_the_next_document(name, vocabulary, corpora):
    run = STATS[name]
    observed = Observed(run, vocabulary, corpora)
    assert observed.boundaries == 0
    # Sentences are shorter by those tokens, and a little more of them is needed to cover the share.
    expected = run["span_len"]["mean"] - run["fraction_spans_containing_ENC"]
    same_mean("span_len", observed.span_len, expected, run["span_len"]["var"], run["samples"], TEXTS)
    expected = run["loss_tokens"]["mean"]
    same_mean("loss_tokens", observed.loss_tokens, expected, run["loss_tokens"]["var"], run["samples"], TEXTS)


def runs_of(objective: str) -> list[str]:
    """Runs of this objective alone, of full length and with as many spans as the share asks for."""
    return [
        name
        for name, run in STATS.items()
        if list(run["mode_batches"]) == [objective]
        and run["settings"]["short_seq_prob"] == run["settings"]["single_span_prob"] == 0
        and not swallows(run)
    ]


@pytest.mark.parametrize("name", runs_of("bert"))
def test_another_mean_is_noticed(name, vocabulary, corpora):
    observed = Observed(STATS[name], vocabulary, corpora, mean_span_length=2.5)
    with pytest.raises(AssertionError, match="lengths of spans"):
        same_histogram("lengths of spans", observed.span_len, STATS[name]["span_len"]["hist"])
    with pytest.raises(AssertionError, match="num_spans"):
        check(STATS[name], observed)


@pytest.mark.parametrize(
    ("objective", "changed", "message"),
    [
        ("sentence", {"gap_sentence_ratio": 0.16}, "num_spans"),
        ("gpt", {"gpt_min_ratio": 0.35}, "masked_fraction"),
    ],
)
def test_another_ratio_is_noticed(objective, changed, message, vocabulary, corpora):
    run = STATS[runs_of(objective)[0]]
    with pytest.raises(AssertionError, match=message):
        check(run, Observed({**run, "settings": {**run["settings"], **changed}}, vocabulary, corpora))
