"""Corpora are tokenized into a cache, and documents are held out."""

import json
import multiprocessing
import os
import pickle
import select
import signal
import time
from pathlib import Path

import datasets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

import modeling_glm.pretraining.corpora as corpora_module
from modeling_glm import GLMTokenizer
from modeling_glm.pretraining.corpora import Corpus, RowMaker, count_tokens, hold_out, tokenize_corpus

TEXTS = ["The quick brown fox.", "  Paris, the capital\nof France\n", "caf\u00e9 \u732b \U0001f600", "404"]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def json_lines(texts: list[str]) -> str:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts)


def naive_rows(texts: list[str], tokenizer: GLMTokenizer, max_length: int) -> list[list[int]]:
    rows = []
    for text in texts:
        ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        count = -(-len(ids) // (max_length - 1))
        stops = [(i + 1) * len(ids) // count for i in range(count)]
        for start, stop in zip([0, *stops], stops, strict=False):
            rows.append([tokenizer.cls_token_id, *ids[start:stop]])
    return rows


def long_text(words: int, number: int = 0) -> str:
    return " ".join(f"{number} fox {i}" for i in range(words))


@pytest.mark.parametrize("max_length", [3, 8, 64])
def test_rows_are_those_of_a_naive_tokenization(tmp_path, tokenizer, max_length):
    texts = [*TEXTS, long_text(40), "Who is [MASK]?"]
    path = write(tmp_path / "a.jsonl", json_lines(texts))
    tokenizer("sets truncation and padding", truncation=True, max_length=4, padding="max_length")
    dataset = tokenize_corpus(Corpus(source=str(path)), tokenizer, max_length=max_length, cache_dir=tmp_path / "cache")
    assert dataset["input_ids"][:] == naive_rows(texts, tokenizer, max_length)
    assert dataset.features["input_ids"].feature.dtype == "uint16"
    begins = [i for i, part in enumerate(dataset["part"]) if part == 0]
    assert len(begins) == len(texts)
    assert all(row[0] == tokenizer.cls_token_id and len(row) <= max_length for row in dataset["input_ids"])
    ends = [i for i, row in enumerate(dataset["input_ids"]) if row[-1] == tokenizer.eos_token_id]
    assert ends == [*(begin - 1 for begin in begins[1:]), len(dataset) - 1]
    assert count_tokens(dataset) == sum(map(len, dataset["input_ids"]))


@given(length=st.integers(1, 200), max_length=st.integers(3, 40))
def test_pieces_are_of_nearly_equal_length(length, max_length):
    maker = RowMaker(backend="", split_special_tokens=False, cls_token_id=2, eos_token_id=1, max_length=max_length)
    rows = maker.cut(range(10, 10 + length))
    assert [int(token) for row in rows for token in row[1:]] == [*range(10, 10 + length), 1]
    assert {int(row[0]) for row in rows} == {2}
    lengths = list(map(len, rows))
    assert max(lengths) <= max_length
    assert max(lengths) - min(lengths) <= 1
    assert len(rows) == -(-(length + 1) // (max_length - 1))
    assert len(rows[-1]) >= 3  # never <eos> alone


def test_rows_without_anything_to_blank_out_are_left_out(tmp_path, tokenizer):
    eos, cls = tokenizer.eos_token, tokenizer.cls_token
    path = write(tmp_path / "a.txt", "\n".join([eos, "4", cls + eos, f"4{eos * 9}4"]))
    dataset = tokenize_corpus(Corpus(source=str(path)), tokenizer, max_length=5, cache_dir=tmp_path / "cache")
    begin, end, four = tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("4")
    assert dataset["input_ids"][:] == [[begin, four, end], [begin, four, *[end] * 3], [begin, *[end] * 2, four, end]]
    assert dataset["part"][:] == [0, 0, 1]
    write(path, eos)
    with pytest.raises(ValueError, match="has no text"):
        tokenize_corpus(Corpus(source=str(path)), tokenizer, max_length=5, cache_dir=tmp_path / "cache")


def test_special_tokens_in_texts_are_left_to_the_tokenizer(tmp_path, tokenizer):
    path = write(tmp_path / "a.txt", "Who is [MASK]?")
    corpus = Corpus(source=str(path))
    plain = GLMTokenizer(tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    split = GLMTokenizer(
        tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()), split_special_tokens=True
    )
    for each, found in ((plain, True), (split, False)):
        (row,) = tokenize_corpus(corpus, each, max_length=32, cache_dir=tmp_path / "cache")["input_ids"]
        assert (tokenizer.mask_token_id in row) is found
        assert row[1:-1] == each("Who is [MASK]?", add_special_tokens=False)["input_ids"]


def count_shards(monkeypatch) -> list:
    """A list that grows by the name of every Arrow file that is written."""
    written: list[str] = []
    write_shard = corpora_module.write_shard

    def spy(corpus, files, maker, path):
        written.append(path.name)
        return write_shard(corpus, files, maker, path)

    monkeypatch.setattr(corpora_module, "write_shard", spy)
    return written


def test_the_cache_is_used_until_something_changes(tmp_path, tokenizer, monkeypatch):
    written = count_shards(monkeypatch)
    path = write(tmp_path / "a.txt", "one\ntwo")

    def rows(tokenizer=tokenizer, max_length=16, **settings):
        corpus = Corpus(source=str(path), **settings)
        dataset = tokenize_corpus(corpus, tokenizer, max_length=max_length, cache_dir=tmp_path / "cache")
        return [tokenizer.decode(row, skip_special_tokens=True) for row in dataset["input_ids"]]

    assert rows() == ["one", "two"]
    tokenizer("truncated", truncation=True, max_length=2)  # leaves its mark in the backend, which changes nothing
    assert rows(weight=0.5, max_line_bytes=1000) == ["one", "two"]
    assert len(written) == 1
    assert rows(max_length=8) == ["one", "two"]
    assert rows(documents="files") == ["one\ntwo"]
    assert len(written) == 3

    other = GLMTokenizer.train_from_iterator(["one two three"] * 10, 280)
    assert rows(tokenizer=other) == ["one", "two"]
    assert len(written) == 4

    write(path, "one\nsix")
    os.utime(path, ns=(0, 0))
    assert rows() == ["one", "six"]
    os.utime(path, ns=(0, 1))
    rows()
    assert len(written) == 6
    rows()
    assert len(written) == 6


def test_nothing_is_written_beside_the_cache(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "my texts.txt", "\n".join(TEXTS))
    dataset = tokenize_corpus(Corpus(source=str(path)), tokenizer, max_length=16, cache_dir=tmp_path / "cache")
    hold_out(dataset, 0.3)
    assert {entry.name for entry in tmp_path.iterdir()} == {"my texts.txt", "cache"}
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.name.startswith("my-texts.txt-")
    assert {entry.name for entry in folder.iterdir()} == {"00000.arrow", "corpus.json"}


def test_an_interrupted_run_leaves_nothing(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpora_module, "SHARD_BYTES", 1)
    write(tmp_path / "data" / "a.txt", "one")
    broken = write(tmp_path / "data" / "b.txt", b"two\n\xff")
    corpus, settings = Corpus(source=str(tmp_path / "data")), {"max_length": 8, "cache_dir": tmp_path / "cache"}
    with pytest.raises(ValueError, match=r"b.txt is not text in UTF-8"):
        tokenize_corpus(corpus, tokenizer, **settings)
    assert list((tmp_path / "cache").iterdir()) == []

    write(broken, "two")
    monkeypatch.setattr(corpora_module, "_load", lambda folder: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        tokenize_corpus(corpus, tokenizer, **settings)
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.undo()

    written = count_shards(monkeypatch)
    monkeypatch.setattr(corpora_module, "SHARD_BYTES", 1)
    # Killed so that nothing could be cleaned up, and a folder that somebody thinned out by hand.
    write(tmp_path / "cache" / ".data-killed" / "00000.arrow", "half")
    tokenize_corpus(corpus, tokenizer, **settings)
    (folder,) = (tmp_path / "cache").glob("data-*")
    (folder / "00001.arrow").unlink()
    assert len(tokenize_corpus(corpus, tokenizer, **settings)) == 2
    assert written == ["00000.arrow", "00001.arrow"] * 2


def test_corpus_without_text(tmp_path, tokenizer):
    write(tmp_path / "a" / "a.txt", "\n")
    write(tmp_path / "a" / "b.jsonl", "")
    with pytest.raises(ValueError, match="a has no text"):
        tokenize_corpus(Corpus(source=str(tmp_path / "a")), tokenizer, max_length=8, cache_dir=tmp_path / "cache")


def test_files_without_text_between_others(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpora_module, "SHARD_BYTES", 1)
    for name, content in {"a": "", "b": "one", "c": "\n", "d": "two"}.items():
        write(tmp_path / "data" / f"{name}.txt", content)
    corpus = Corpus(source=str(tmp_path / "data"))
    dataset = tokenize_corpus(corpus, tokenizer, max_length=8, cache_dir=tmp_path / "cache")
    assert dataset["input_ids"][:] == naive_rows(["one", "two"], tokenizer, 8)


@pytest.mark.slow
def test_processes_give_the_same_rows(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpora_module, "SHARD_BYTES", 300)
    for i in range(6):
        write(tmp_path / "data" / f"{i}.jsonl", json_lines([long_text(5 * i + 1, j) for j in range(3)]))
    corpus = Corpus(source=str(tmp_path / "data"))
    one, two = (
        tokenize_corpus(corpus, tokenizer, max_length=16, cache_dir=tmp_path / name, num_proc=num_proc)
        for name, num_proc in (("one", None), ("two", 2))
    )
    assert len(list((tmp_path / "two").glob("*/*.arrow"))) > 3
    assert two[:] == one[:]


@pytest.mark.slow
def test_an_error_in_a_process_comes_through(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(corpora_module, "SHARD_BYTES", 1)
    for i in range(6):
        write(tmp_path / "data" / f"{i}.jsonl", "{" if i == 3 else json_lines(TEXTS))
    corpus = Corpus(source=str(tmp_path / "data"))
    with pytest.raises(ValueError, match=r"3.jsonl, line 1 is not JSON"):
        tokenize_corpus(corpus, tokenizer, max_length=16, cache_dir=tmp_path / "cache", num_proc=2)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_dataset_of_the_hub(tmp_path, tokenizer, monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: iter([{"text": text} for text in TEXTS]))
    corpus = Corpus(source="org/corpus:en")
    dataset = tokenize_corpus(corpus, tokenizer, max_length=16, cache_dir=tmp_path)
    assert dataset["input_ids"][:] == naive_rows(TEXTS, tokenizer, 16)
    assert [folder.name.rpartition("-")[0] for folder in tmp_path.iterdir()] == ["corpus"]


def test_batches_are_limited_in_documents_and_characters(monkeypatch):
    monkeypatch.setattr(corpora_module, "BATCH_DOCUMENTS", 3)
    monkeypatch.setattr(corpora_module, "BATCH_CHARACTERS", 10)
    batches = list(corpora_module.batch_texts(["a", "b", "c", "d" * 20, "e", "f" * 9, "g"]))
    assert batches == [["a", "b", "c"], ["d" * 20], ["e", "f" * 9], ["g"]]


def test_settings_of_tokenize_corpus(tmp_path, tokenizer):
    corpus = Corpus(source=str(write(tmp_path / "a.txt", "one")))
    with pytest.raises(ValueError, match="max_length is 2: expected at least 3"):
        tokenize_corpus(corpus, tokenizer, max_length=2, cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match="num_proc is 0"):
        tokenize_corpus(corpus, tokenizer, max_length=8, cache_dir=tmp_path / "cache", num_proc=0)
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()))
    with pytest.raises(ValueError, match="no cls_token"):
        tokenize_corpus(corpus, bare, max_length=8, cache_dir=tmp_path / "cache")


# Holding out


def rows_of(documents: list[int]) -> datasets.Dataset:
    """A dataset with so many pieces of every document; each piece is `[document, piece]`."""
    rows = [(i, j) for i, pieces in enumerate(documents) for j in range(pieces)]
    return datasets.Dataset.from_dict({"input_ids": [list(row) for row in rows], "part": [j for _, j in rows]})


@pytest.mark.slow
@given(documents=st.lists(st.integers(1, 12), min_size=2, max_size=300), fraction=st.floats(0.001, 0.5))
def test_documents_are_held_out_whole(documents, fraction):
    dataset = rows_of(documents)
    try:
        train, validation = hold_out(dataset, fraction)
    except ValueError:
        assert max(documents) / sum(documents) > 1 / 3  # too few or too uneven to leave anything
        return
    assert sorted([*train["input_ids"], *validation["input_ids"]]) == dataset["input_ids"][:]
    assert train["input_ids"][:] == sorted(train["input_ids"])
    assert not {document for document, _ in train["input_ids"]} & {document for document, _ in validation["input_ids"]}
    wanted = max(1, round(fraction * len(dataset)))
    assert len(validation) < wanted + max(documents)
    assert hold_out(dataset, fraction)[1][:] == validation[:]


def test_single_rows_are_held_out_exactly_and_evenly():
    train, validation = hold_out(rows_of([1] * 1000), 0.05)
    held = np.array([document for document, _ in validation["input_ids"]])
    assert len(held) == 50
    assert len(train) == 950
    assert np.array_equal(held, np.arange(50) * 20)
    large = np.array([document for document, _ in hold_out(rows_of([1] * 10_000), 0.1)[1]["input_ids"]])
    assert len(large) == 1000
    assert (np.diff(large) > 1).sum() == corpora_module.HELD_OUT_PLACES - 1


def test_what_is_held_out_stays_memory_mapped(tmp_path, tokenizer):
    path = write(tmp_path / "a.txt", "\n".join(long_text(20, i) for i in range(2000)))
    dataset = tokenize_corpus(Corpus(source=str(path)), tokenizer, max_length=64, cache_dir=tmp_path / "cache")
    train, validation = hold_out(dataset, 0.1)
    assert count_tokens(train) + count_tokens(validation) == count_tokens(dataset)
    for each in (train, validation):
        copied = pickle.loads(pickle.dumps(each))
        assert copied[5] == each[5]
        assert len(pickle.dumps(each)) < path.stat().st_size / 4


@pytest.mark.parametrize(
    ("documents", "fraction", "message"),
    [
        ([1], 0.1, "Holding out 0.1 of 1 rows leaves nothing to train on"),
        ([30], 0.1, "Holding out 0.1 of 30 rows leaves nothing to train on"),
        ([1, 1], 0.0, "fraction is 0.0"),
        ([1, 1], 1.0, "fraction is 1.0"),
    ],
)
def test_what_cannot_be_held_out(documents, fraction, message):
    with pytest.raises(ValueError, match=message):
        hold_out(rows_of(documents), fraction)


def _work(writer: int):
    corpora_module._prepare_worker()
    os.write(writer, b"ready")
    time.sleep(600)


def test_workers_end_when_their_parent_is_killed():
    reader, writer = os.pipe()
    parent = os.fork()
    if parent == 0:
        multiprocessing.get_context("fork").Process(target=_work, args=(writer,)).start()
        time.sleep(600)
    os.close(writer)
    assert os.read(reader, 5) == b"ready"
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    # Both of them held the other end of the pipe.
    assert select.select([reader], [], [], 20)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)
