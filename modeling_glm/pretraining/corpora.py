"""Tokenize corpora of any size once, into Arrow files that are memory-mapped, and hold documents out."""

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path

import numpy as np
import pyarrow as pa
from datasets import Dataset, concatenate_datasets
from tokenizers import Tokenizer
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerFast

from ..utils.files import whole_folder
from .documents import Corpus, find_files, no_text, read_documents, read_sources

BATCH_DOCUMENTS, BATCH_CHARACTERS = 1000, 2**22  # a batch for the tokenizer ends at the first of the two limits
SHARD_BYTES, MOST_SHARDS = 2**26, 1000  # bytes of input per Arrow file, more if there would be too many files
HELD_OUT_PLACES = 64
CACHE_FORMAT = 1  # raise it when the same texts would become other rows


@dataclass(frozen=True, kw_only=True)
class RowMaker:
    """
    Turn documents into rows of ids. The fields are everything that the rows depend on, besides the texts.

    Attributes:
        backend: The tokenizer of the `tokenizers` library as JSON, without truncation and padding.
        split_special_tokens: Whether special tokens in a text are read as plain text.
        cls_token_id, eos_token_id: Ids in front of each row and behind each document.
        max_length: Most ids in a row, at least 3.
    """

    backend: str
    split_special_tokens: bool
    cls_token_id: int
    eos_token_id: int
    max_length: int

    @classmethod
    def from_tokenizer(cls, tokenizer: PreTrainedTokenizerFast, max_length: int) -> "RowMaker":
        """Read the settings of a tokenizer. Raises a ValueError for one without cls or eos token."""
        if max_length < 3:
            raise ValueError(f"max_length is {max_length}: expected at least 3, for [CLS], a token and <eos>.")
        for name in ("cls_token", "eos_token"):
            if getattr(tokenizer, f"{name}_id") is None:
                raise ValueError(f"The tokenizer has no {name}, which every text needs: set tokenizer.{name}.")
        # A copy, because earlier calls leave their truncation and padding in the tokenizer of the caller.
        backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        backend.no_truncation()
        backend.no_padding()
        return cls(
            backend=backend.to_str(),
            split_special_tokens=tokenizer.split_special_tokens,
            cls_token_id=tokenizer.cls_token_id,
            eos_token_id=tokenizer.eos_token_id,
            max_length=max_length,
        )

    def build_tokenizer(self) -> Tokenizer:
        """Build the tokenizer of the `tokenizers` library."""
        backend = Tokenizer.from_str(self.backend)
        backend.encode_special_tokens = self.split_special_tokens
        return backend

    def cut(self, ids: Sequence[int]) -> list[np.ndarray]:
        """
        Cut a document into rows of at most `max_length` ids, all of nearly the same length.

        With max_length 5: `a b c d e` -> `[CLS] a b c`, `[CLS] d e <eos>`. Rows that hold only `[CLS]` and `<eos>` are left
        out, because they have nothing to mask.
        """
        text = np.array([*ids, self.eos_token_id])
        number = -(-len(text) // (self.max_length - 1))
        bounds = np.arange(number + 1) * len(text) // number
        is_token = (text != self.cls_token_id) & (text != self.eos_token_id)
        pieces = [slice(bounds[i], bounds[i + 1]) for i in range(number)]
        return [np.insert(text[piece], 0, self.cls_token_id) for piece in pieces if is_token[piece].any()]


def tokenize_corpus(
    corpus: Corpus,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length: int,
    cache_dir: str | os.PathLike,
    num_proc: int | None = None,
) -> Dataset:
    """
    Tokenize a corpus, or load it from the cache.

    Each document becomes `[CLS] ids <eos>`. A document longer than `max_length` is cut into parts of nearly the same
    length, each with `[CLS]`, and the last one with `<eos>`.

    The cache has a folder for each combination of files (paths, sizes and times), tokenizer and settings. A dataset of the
    hub counts as unchanged while its name stays. An interrupted call leaves no folder behind.

    Args:
        corpus: The texts.
        tokenizer: The tokenizer. It reads special tokens in texts as such, unless it has `split_special_tokens`.
        max_length: Most ids in a row, with `[CLS]` and `<eos>`; at least 3.
        cache_dir: The cache. You may delete its folders when no run uses them.
        num_proc: Number of processes that share the files. By default one, whose tokenizer has several threads. The
            result is the same.

    Returns:
        A memory-mapped dataset in the order of the corpus, with `input_ids` (uint16 or int32, 2 to max_length) and `part`
        (int32, number of the part within its document, from 0).

    Raises:
        FileNotFoundError: As `read_documents` does.
        ValueError: As `read_documents` does, and for `max_length` below 3, `num_proc` below 1, and a tokenizer without cls
            or eos token.
    """
    if num_proc is not None and num_proc < 1:
        raise ValueError(f"num_proc is {num_proc}: expected at least 1, or None.")
    maker = RowMaker.from_tokenizer(tokenizer, max_length)
    files = find_files(corpus)
    folder = Path(cache_dir) / _cache_name(corpus, files, maker)
    if not _is_whole(folder):
        shards = [None] if files is None else _group_files(files)
        with whole_folder(folder) as building, tqdm(desc=corpus.source, unit=" texts", disable=None) as progress:
            jobs = [(corpus, shard, maker, building / f"{i:05d}.arrow") for i, shard in enumerate(shards)]
            for documents in _run(jobs, num_proc or 1):
                progress.update(documents)
            if len(_load(building)) == 0:
                raise ValueError(no_text(corpus))
            # _is_whole reads this, and people who look into the folder.
            summary = {"shards": len(jobs), "max_length": max_length, "corpus": asdict(corpus)}
            (building / "corpus.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return _load(folder)


def hold_out(dataset: Dataset, fraction: float) -> tuple[Dataset, Dataset]:
    """
    Split a dataset into rows to train on and rows to validate on, the same in every run.

    Whole documents are held out, in up to 64 evenly spread groups of neighbours. Groups keep both datasets views of the
    memory-mapped files, and neighbours are often alike, so they belong to one side.

    Args:
        dataset: The result of `tokenize_corpus`.
        fraction: Share of the rows to hold out, between 0 and 1. At least one document is held out, and the last one may
            exceed the share.

    Returns:
        The rows to train on, and the rows to validate on.

    Raises:
        ValueError: For another fraction, and if no document is left to train on.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}: expected a number between 0 and 1.")
    rows = len(dataset)
    wanted = max(1, round(fraction * rows))
    places = min(HELD_OUT_PLACES, wanted)
    parts = dataset.select_columns("part")
    stop = held = 0
    train, validation = [], []
    for place in range(places):
        start = _next_document(parts, max(stop, place * rows // places))
        missing = wanted * (place + 1) // places - held
        if missing <= 0 or start == rows:
            continue
        train.append(range(stop, start))
        stop = _next_document(parts, min(rows, start + missing))
        validation.append(range(start, stop))
        held += len(validation[-1])
    train.append(range(stop, rows))
    if held == rows:
        raise ValueError(
            f"Holding out {fraction:g} of {rows} rows leaves nothing to train on: documents are held out whole, so give "
            "more of them or a smaller fraction."
        )
    return _select(dataset, train), _select(dataset, validation)


def count_tokens(dataset: Dataset) -> int:
    """Count the ids of a dataset of `tokenize_corpus` or `hold_out`, with `[CLS]` and `<eos>`."""
    return sum(len(chunk.flatten()) for chunk in dataset.data.column("input_ids").chunks)


def write_shard(corpus: Corpus, files: Sequence[Path] | None, maker: RowMaker, path: Path) -> Iterator[int]:
    """Write the rows of some files into an Arrow file. Yields the number of documents after each batch."""
    backend = maker.build_tokenizer()
    kind = pa.uint16() if backend.get_vocab_size() <= 2**16 else pa.int32()
    schema = pa.schema({"input_ids": pa.list_(kind), "part": pa.int32()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for texts in batch_texts(read_sources(corpus, files)):
            encodings = backend.encode_batch_fast(texts, add_special_tokens=False)
            documents = [maker.cut(encoding.ids) for encoding in encodings]
            rows = [row for document in documents for row in document]
            if rows:
                offsets = np.cumsum([0, *map(len, rows)], dtype=np.int32)
                input_ids = pa.ListArray.from_arrays(offsets, pa.array(np.concatenate(rows), kind))
                part = pa.array([i for document in documents for i in range(len(document))], pa.int32())
                writer.write_batch(pa.record_batch([input_ids, part], schema=schema))
            yield len(texts)


def _write_shard_alone(*job) -> int:
    return sum(write_shard(*job))


def _prepare_worker():
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    """End this process when its parent ends in any way. A worker whose parent was killed would wait forever."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _run(jobs: Sequence[tuple], num_proc: int) -> Iterator[int]:
    """Write shards, each from the arguments of `write_shard`. Yields numbers of documents."""
    if num_proc == 1 or len(jobs) == 1:
        for job in jobs:
            yield from write_shard(*job)
        return
    # Spawned, because threads of the tokenizer and a GPU in use do not survive a fork.
    context = get_context("spawn")
    with ProcessPoolExecutor(min(num_proc, len(jobs)), context, initializer=_prepare_worker) as pool:
        try:
            for done in as_completed([pool.submit(_write_shard_alone, *job) for job in jobs]):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def batch_texts(texts: Iterable[str]) -> Iterator[list[str]]:
    """Group texts for the tokenizer. A batch ends at `BATCH_DOCUMENTS` texts, or once it has `BATCH_CHARACTERS`."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text)
        if len(batch) == BATCH_DOCUMENTS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _group_files(files: Sequence[Path]) -> list[list[Path]]:
    """Group neighbouring files, so that many small ones share an Arrow file."""
    sizes = [path.stat().st_size for path in files]
    enough = max(SHARD_BYTES, sum(sizes) // MOST_SHARDS)
    groups: list[list[Path]] = [[]]
    size = 0
    for path, bytes_of_file in zip(files, sizes, strict=True):
        if groups[-1] and size + bytes_of_file > enough:
            groups.append([])
            size = 0
        groups[-1].append(path)
        size += bytes_of_file
    return groups


def _cache_name(corpus: Corpus, files: Sequence[Path] | None, maker: RowMaker) -> str:
    stats = [(path.resolve(), path.stat()) for path in files or ()]
    key = {
        "format": CACHE_FORMAT,
        "source": [corpus.source, corpus.split] if files is None else None,
        "files": [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in stats],
        "reading": [corpus.text_column, corpus.documents],
        "rows": asdict(maker),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    name = re.sub(r"[^\w.-]+", "-", Path(corpus.source).name.partition(":")[0])[:40].strip("-.")
    return f"{name or 'corpus'}-{digest[:16]}"


def _is_whole(folder: Path) -> bool:
    summary = folder / "corpus.json"
    return summary.exists() and json.loads(summary.read_text())["shards"] == len(list(folder.glob("*.arrow")))


def _load(folder: Path) -> Dataset:
    return concatenate_datasets([Dataset.from_file(str(path)) for path in sorted(folder.glob("*.arrow"))])


def _next_document(parts: Dataset, row: int) -> int:
    """Return the first row from here on that begins a document, or the number of rows."""
    while row < len(parts) and parts[row]["part"] != 0:
        row += 1
    return row


def _select(dataset: Dataset, ranges: Sequence[range]) -> Dataset:
    return concatenate_datasets([dataset.select(rows) for rows in ranges if rows])


__all__ = ["Corpus", "count_tokens", "hold_out", "read_documents", "tokenize_corpus"]
