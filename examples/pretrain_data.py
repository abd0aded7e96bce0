"""What 03_pretrain.py trains and validates on: the corpora of its arguments as ids, and the vocabulary."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
from corpus import Document, build_splits
from pretrain_arguments import EMBEDDED_CORPUS, Arguments, PretrainingArguments
from pretrain_corpora import count_tokens, hold_out, tokenize_corpus
from pretrain_documents import Corpus, read_documents
from pretrain_mixture import InfillingStream, MixtureOrder
from pretrain_settings import read_corpora, read_phases

from modeling_glm import GLMTokenizer
from modeling_glm.utils.files import write_whole


@dataclass(frozen=True, kw_only=True)
class PretrainingData:
    """
    The data of a run.

    Attributes:
        train: The ids of every corpus.
        validation: Texts to validate on, as the collator takes them, without an objective.
        order: Which text comes when.
    """

    train: list[datasets.Dataset]
    validation: list[dict]
    order: MixtureOrder

    def stream(self, args: Arguments, training: PretrainingArguments, samples_seen: int) -> InfillingStream:
        """What is left of the run."""
        total = training.max_steps * args.global_batch_size
        return InfillingStream(self.train, self.order, max(0, total - samples_seen), start=samples_seen)

    def validation_sets(self, objectives: Sequence[str]) -> dict[str, list[dict]]:
        """The same texts for every objective."""
        return {name: [{**text, "objective": name} for text in self.validation] for name in objectives}

    def describe(self) -> dict[str, int]:
        """Numbers of texts and tokens, for the log and the card."""
        return {
            "train_texts": sum(map(len, self.train)),
            "train_tokens": sum(map(count_tokens, self.train)),
            "validation_texts": len(self.validation),
        }


def prepare_tokenizer(args: Arguments, training: PretrainingArguments) -> GLMTokenizer:
    """The vocabulary of the run: the given one, that of the model, or one trained on the corpora and kept in output_dir."""
    output_dir = Path(training.output_dir)
    if (given := args.tokenizer or args.model) is not None:
        return GLMTokenizer.from_pretrained(given)
    with training.main_process_first(local=False, desc="vocabulary"):
        if not (output_dir / "tokenizer.json").exists():
            corpora, _ = read_corpora(args, args.corpus)
            texts = _interleave([read_documents(c) for c in _locate(corpora, output_dir)], args.vocabulary_texts)
            GLMTokenizer.train_from_iterator(texts, args.vocab_size).save_pretrained(output_dir)
    return GLMTokenizer.from_pretrained(output_dir)


def prepare_data(args: Arguments, training: PretrainingArguments, tokenizer: GLMTokenizer) -> PretrainingData:
    """
    Tokenizes what is not in the cache, in the first process.

    Raises:
        ValueError, FileNotFoundError: as `tokenize_corpus`, `hold_out` and `MixtureOrder`.
    """
    output_dir = Path(training.output_dir)
    corpora, weights = read_corpora(args, args.corpus)
    validation = [] if args.validation is None else read_corpora(args, args.validation)[0]
    with training.main_process_first(local=False, desc="tokenization"):

        def tokenize(corpus: Corpus) -> datasets.Dataset:
            return tokenize_corpus(
                corpus, tokenizer, max_length=args.max_length, cache_dir=args.cache_dir, num_proc=args.num_proc
            )

        train = [tokenize(corpus) for corpus in _locate(corpora, output_dir)]
        held_out = [tokenize(corpus) for corpus in validation]
        for number, corpus in enumerate(corpora):
            if args.validation is not None:
                break
            if corpus.source == EMBEDDED_CORPUS:  # which says itself what is held out
                held_out.append(tokenize(_locate([corpus], output_dir, held_out=True)[0]))
            else:
                train[number], rest = hold_out(train[number], args.held_out)
                held_out.append(rest)
    order = MixtureOrder([len(c) for c in train], read_phases(args, weights, [len(c) for c in train]), training.seed)
    # Spread over each corpus, and the same texts with the same blanks whenever the loss is measured.
    share = max(1, args.validation_texts // len(held_out))
    texts = [rows.select(range(0, len(rows), -(-len(rows) // share))) for rows in held_out]
    features = [{"input_ids": row["input_ids"], "sample_id": i} for i, row in enumerate(itertools.chain(*texts))]
    return PretrainingData(train=train, validation=features, order=order)


def _locate(corpora: Sequence[Corpus], output_dir: Path, held_out: bool = False) -> list[Corpus]:
    """The corpora with the embedded one as a file."""
    located = []
    for corpus in corpora:
        if corpus.source == EMBEDDED_CORPUS:
            path = output_dir / "corpus" / ("held_out.jsonl" if held_out else "train.jsonl")
            lines = _lines(build_splits()[held_out])
            if not path.exists() or path.read_text(encoding="utf-8") != lines:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, lines)
            corpus = replace(corpus, source=str(path), text_column="text")
        located.append(corpus)
    return located


def _lines(documents: Sequence[Document]) -> str:
    return "".join(json.dumps({"text": document.text}, ensure_ascii=False) + "\n" for document in documents)


def _interleave(corpora: Sequence[Iterator[str]], count: int) -> Iterator[str]:
    """Documents of all corpora in turn, `count` at most."""
    missing = object()
    turns = itertools.zip_longest(*corpora, fillvalue=missing)
    texts = (text for turn in turns for text in turn if text is not missing)
    return itertools.islice(texts, count)
