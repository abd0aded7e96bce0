"""Tasks whose examples are lines: what is read by default, and errors with file and line."""

import json
from random import Random

import pytest

from modeling_glm.tokenization.seq2seq.readers.line_pairs import (
    read_blanks,
    read_extraction,
    read_summaries,
    read_xsum,
)
from modeling_glm.tokenization.seq2seq.readers.reading import Reading
from modeling_glm.tokenization.seq2seq.word_blanks import blank_words


def reading(folder, *files, task="customization", split="train", **settings):
    """Write files of lines and return what reads them."""
    for name, lines in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Reading(task, split, [folder / name for name, _ in files], **settings)


def pair(folder, sources, targets, **settings):
    return reading(folder, ("train.source", sources), ("train.target", targets), **settings)


def test_summaries(tmp_path):
    rows = read_summaries(pair(tmp_path, ["A <S_SEP> “b”", " c "], ["x <S_SEP> y", "z"]), clean="cnn_dm")
    assert rows == [
        {"source": 'A "b"', "target": "x\ny", "references": ["x\ny"], "id": "train-0"},
        {"source": "c", "target": "z", "references": ["z"], "id": "train-1"},
    ]


@pytest.mark.parametrize(
    ("sources", "targets", "message"),
    [
        (["a", "b"], ["x"], r"train\.source has 2 lines, but .*train\.target has 1: line 2 of .*train\.source has no"),
        (["a"], ["x", "y"], r"train\.source has 1 lines, but .*train\.target has 2: line 2 of .*train\.target has no"),
        (["a", " ", "c"], ["x", "y", "z"], r"train\.source, line 2 is empty: expected a text.*in every file"),
        (["a", "b"], ["x", ""], r"train\.target, line 2 is empty: expected a text"),
    ],
)
def test_lines_without_a_partner_and_empty_lines(tmp_path, sources, targets, message):
    for read in (lambda given: read_summaries(given, clean="none"), read_extraction):
        with pytest.raises(ValueError, match=message):
            read(pair(tmp_path, sources, targets))


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*train\.target"):
        read_summaries(
            Reading("xsum", "train", [pair(tmp_path, ["a"], ["b"]).paths[0], tmp_path / "no" / "train.target"]),
            clean="none",
        )


def test_extraction(tmp_path):
    (row,) = read_extraction(pair(tmp_path, ["[MASK] in [MASK] ."], ["Mira|the hall"]))
    assert row == {
        "source": "[MASK] in [MASK] .",
        "target": ["Mira", "the hall"],
        "references": ["Mira\nthe hall"],
        "id": "train-0",
    }


@pytest.mark.parametrize("answers", ["Mira", "Mira|a|b"])
def test_answers_that_do_not_fit_the_blanks(tmp_path, answers):
    message = (
        rf"train\.source, line 2 has 2 blanks \(\[MASK\]\), but .*train\.target has {answers.count('|') + 1} answers"
    )
    with pytest.raises(ValueError, match=message):
        read_extraction(pair(tmp_path, ["[MASK]", "[MASK] in [MASK]"], ["a", answers]))


def test_blanks_are_drawn_with_the_seed(tmp_path):
    lines = ["one two three four", "five", "six seven eight _UNK"]
    rows = read_blanks(reading(tmp_path, ("train.txt", lines), task="blank", mask_ratio=0.5, seed=3))
    rng = Random(3)
    drawn = [blank_words(line.replace("_UNK", "UNK"), 0.5, rng) for line in lines]
    assert [(row["source"], row["target"]) for row in rows] == [drawn[0], drawn[2]]  # "five" is too short for a blank
    assert [row["id"] for row in rows] == ["train-0", "train-2"]
    assert rows[1]["text"] == "six seven eight UNK"
    assert rows[1]["references"] == ["\n".join(drawn[2][1])]


def test_given_blanks(tmp_path):
    files = [("test.txt", ["a b c d", "e f"]), ("blank/test.blank", ["a <blank> d", "<blank> f"])]
    rows = read_blanks(reading(tmp_path, *files, task="blank", split="test"))
    assert [(row["source"], row["target"]) for row in rows] == [("a [MASK] d", ["b c"]), ("[MASK] f", ["e"])]


@pytest.mark.parametrize(
    ("blanked", "message"),
    [
        (["a <blank> d", "<blank> x"], r"test\.blank, line 2 is not line 2 of .*test\.txt with blanks: '\[MASK\] x'"),
        (["a <blank> d"], r"test\.txt has 2 lines, but .*test\.blank has 1"),
        (["", "<blank> f"], r"test\.blank, line 1 is empty"),
    ],
)
def test_given_blanks_that_do_not_fit(tmp_path, blanked, message):
    with pytest.raises(ValueError, match=message):
        read_blanks(
            reading(tmp_path, ("test.txt", ["a b c d", "e f"]), ("test.blank", blanked), task="blank", split="test")
        )


def write_xsum(folder, ids, **summaries):
    (folder / "split.json").write_text(json.dumps({"train": ids, "validation": ids[:1]}))
    for name, text in summaries.items():
        (folder / f"{name}.summary").write_text(text)
    return Reading("xsum", "train", [folder / "split.json"])


GOOD = "[SN]RESTBODY[SN]\nOne.\n\nTwo.\n[SN]FIRST-SENTENCE[SN]\nAll.\n"


def test_xsum(tmp_path):
    found = write_xsum(tmp_path, ["a1", "a2"], a1=GOOD, a2=GOOD.replace("All", "Both"))
    assert read_xsum(found) == [
        {"source": "One. Two.", "target": "All.", "references": ["All."], "id": "a1"},
        {"source": "One. Two.", "target": "Both.", "references": ["Both."], "id": "a2"},
    ]
    assert [row["id"] for row in read_xsum(Reading("xsum", "dev", found.paths))] == ["a1"]


@pytest.mark.parametrize(
    ("split", "summary", "error", "message"),
    [
        ("test", GOOD, ValueError, r"split\.json has no 'test': there are \['train', 'validation'\]"),
        ("train", None, FileNotFoundError, r"no file .*b\.summary, but .*split\.json lists 'b' under 'train'"),
        ("train", "[SN]RESTBODY[SN]\nOne.\n", ValueError, r"b\.summary has no text under \[SN\]FIRST-SENTENCE\[SN\]"),
        ("train", GOOD.replace("All.", ""), ValueError, r"b\.summary has no text under \[SN\]FIRST-SENTENCE\[SN\]"),
        ("train", "", ValueError, r"b\.summary has no texts"),
    ],
)
def test_xsum_of_another_form(tmp_path, split, summary, error, message):
    found = write_xsum(tmp_path, ["a", "b"], a=GOOD, **({} if summary is None else {"b": summary}))
    with pytest.raises(error, match=message):
        read_xsum(Reading("xsum", split, found.paths))


def test_xsum_without_ids(tmp_path):
    with pytest.raises(ValueError, match=r"split\.json has no ids under 'train'"):
        read_xsum(write_xsum(tmp_path, []))
