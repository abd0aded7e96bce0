"""The data of a run: the corpora of its arguments as ids, and the vocabulary."""

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets

from ..modeling_glm import GLMForConditionalGeneration
from ..tokenization import GLMTokenizer
from ..utils.files import write_whole
from .arguments import PretrainingArguments, RunArguments
from .corpora import count_tokens, hold_out, tokenize_corpus
from .documents import Corpus, read_documents
from .mixture import InfillingStream, MixtureOrder
from .multitask import MultiTaskStream
from .settings import TASKS_LOSS, read_corpora, read_phases, task_order
from .tasks import EmbeddedTasks, TaskSet, load_tasks

# Says of which texts and settings the vocabulary of a run was trained.
VOCABULARY_FILE = "vocabulary.json"


@dataclass(frozen=True, kw_only=True)
class TextSplits:
    """The texts of a corpus to train on, and those held out."""

    train: Sequence[str]
    held_out: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class EmbeddedCorpora:
    """
    Corpora that a training program brings along.

    Attributes:
        builders: For each name that `--corpus` may give, a function that returns its texts.
        describe: Return a paragraph for the model card, from the names of the corpora of the run.
        measure: Return further sections of the model card, from the finished model, its tokenizer and the arguments.
        card: Further arguments of `write_model_card`, such as license and language.
    """

    builders: Mapping[str, Callable[[], TextSplits]]
    describe: Callable[[Sequence[str]], str]
    measure: Callable[[GLMForConditionalGeneration, GLMTokenizer, RunArguments], dict[str, str]]
    card: Mapping[str, str] = field(default_factory=dict)

    def holds(self, corpora: Iterable[Corpus]) -> bool:
        """Return whether all of the corpora are among these."""
        return all(corpus.source in self.builders for corpus in corpora)

    def locate(self, corpora: Sequence[Corpus], folder: Path, held_out: bool = False) -> list[Corpus]:
        """Return the corpora, where each of these is replaced by a file in `folder` with one of its splits."""
        return [
            replace(corpus, source=str(self._write(corpus.source, folder, held_out)), text_column="text")
            if corpus.source in self.builders
            else corpus
            for corpus in corpora
        ]

    def _write(self, name: str, folder: Path, held_out: bool) -> Path:
        splits = self.builders[name]()
        path = folder / name / ("held_out.jsonl" if held_out else "train.jsonl")
        lines = _json_lines(splits.held_out if held_out else splits.train)
        # The time of the file is part of the name of the tokenized corpus, so an equal file stays.
        if not path.exists() or path.read_text(encoding="utf-8") != lines:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, lines)
        return path


@dataclass(frozen=True, kw_only=True)
class PretrainingData:
    """
    The data of a run.

    Attributes:
        train: The ids of every corpus.
        validation: Texts to validate on, in the form of the collator, without an objective.
        order: The order of the training texts.
        tasks: The tasks of multi-task training, if any.
    """

    train: list[datasets.Dataset]
    validation: list[dict]
    order: MixtureOrder
    tasks: TaskSet | None = None

    def stream(
        self, args: RunArguments, training: PretrainingArguments, samples_seen: int
    ) -> InfillingStream | MultiTaskStream:
        """Return the samples that are left of the run."""
        total = training.max_steps * args.global_batch_size
        left, order = max(0, total - samples_seen), task_order(args, training)
        if self.tasks is None or order is None:
            return InfillingStream(self.train, self.order, left, start=samples_seen)
        texts = InfillingStream(self.train, self.order, total)
        return MultiTaskStream(texts, self.tasks.mixture(training.seed), order, left, start=samples_seen)

    def validation_sets(self, args: RunArguments) -> dict[str, list[dict]]:
        """Return the validation texts once per objective, and the samples of the tasks."""
        sets = {name: [{**text, "objective": name} for text in self.validation] for name in args.shares}
        examples: list[dict] = [] if self.tasks is None else [*self.tasks.validation(args.validation_texts)]
        return {**sets, TASKS_LOSS: examples} if examples else sets

    def describe(self) -> dict[str, int]:
        """Return the numbers of texts and tokens, for the log and the card."""
        return {
            "train_texts": sum(map(len, self.train)),
            "train_tokens": sum(map(count_tokens, self.train)),
            "validation_texts": len(self.validation),
        }


def prepare_tokenizer(
    args: RunArguments, training: PretrainingArguments, embedded: EmbeddedCorpora | None = None
) -> GLMTokenizer:
    """
    Load the vocabulary of the run, or train one on the corpora and save it in `output_dir`.

    Raises:
        ValueError: For corpora that cannot be read, a `vocab_size` that is too small, and checkpoints with a vocabulary of
            other settings.
        FileNotFoundError: For corpora that do not exist.
    """
    output_dir = training.folder
    if (given := args.tokenizer or args.model) is not None:
        return GLMTokenizer.from_pretrained(given)
    with training.main_process_first(local=False, desc="vocabulary"):
        corpora, _ = read_corpora(args, args.corpus)
        if _must_train_vocabulary(output_dir, args, corpora):
            texts = [read_documents(corpus) for corpus in _locate(corpora, output_dir, embedded)]
            tokenizer = GLMTokenizer.train_from_iterator(_interleave(texts, args.vocabulary_texts), args.vocab_size)
            output_dir.mkdir(parents=True, exist_ok=True)
            (output_dir / "tokenizer.json").unlink(missing_ok=True)
            write_whole(output_dir / VOCABULARY_FILE, json.dumps(_describe_vocabulary(args, corpora), indent=2) + "\n")
            tokenizer.save_pretrained(output_dir)
    return GLMTokenizer.from_pretrained(output_dir)


def _describe_vocabulary(args: RunArguments, corpora: Sequence[Corpus]) -> dict[str, Any]:
    """Return all that a trained vocabulary depends on. Of a corpus its name counts, because files may move."""
    sources = [[Path(corpus.source).name, corpus.text_column, corpus.split, corpus.documents] for corpus in corpora]
    described = {"corpora": sources, "vocab_size": args.vocab_size, "vocabulary_texts": args.vocabulary_texts}
    return json.loads(json.dumps(described))


def _must_train_vocabulary(output_dir: Path, args: RunArguments, corpora: Sequence[Corpus]) -> bool:
    """
    Return whether the folder lacks the vocabulary of the run: it has none, or one of other settings and no checkpoint.

    Raises:
        ValueError: If checkpoints were trained with a vocabulary of other settings.
    """
    # A save writes this file last.
    if not (output_dir / "tokenizer.json").exists():
        return True
    if not (output_dir / VOCABULARY_FILE).exists():  # written by an earlier version
        return False
    before, now = json.loads((output_dir / VOCABULARY_FILE).read_text("utf-8")), _describe_vocabulary(args, corpora)
    if before == now:
        return False
    if any(output_dir.glob("checkpoint-*")):
        changed = "; ".join(
            f"{name} was {before.get(name)} and is {now[name]}" for name in now if before.get(name) != now[name]
        )
        raise ValueError(
            f"{output_dir} holds another run: its vocabulary was trained otherwise, {changed}. Resume with the same "
            "arguments, or give another --output_dir."
        )
    return True


def prepare_data(
    args: RunArguments,
    training: PretrainingArguments,
    tokenizer: GLMTokenizer,
    embedded: EmbeddedCorpora | None = None,
    embedded_tasks: EmbeddedTasks | None = None,
) -> PretrainingData:
    """
    Tokenize the corpora that are not in the cache, in the first process, and split them. Load the tasks.

    Raises:
        ValueError, FileNotFoundError: As `tokenize_corpus`, `hold_out`, `MixtureOrder` and `load_tasks` do.
    """
    # First, because tokenizing takes long and a task may be refused.
    tasks = load_tasks(args.multi_task, tokenizer, args.max_length, embedded_tasks) if args.multi_task else None
    output_dir = training.folder
    corpora, weights = read_corpora(args, args.corpus)
    given = None if args.validation is None else read_corpora(args, args.validation)[0]

    def tokenize(located: Sequence[Corpus]) -> list[datasets.Dataset]:
        return [
            tokenize_corpus(
                corpus, tokenizer, max_length=args.max_length, cache_dir=args.cache_dir, num_proc=args.num_proc
            )
            for corpus in located
        ]

    with training.main_process_first(local=False, desc="tokenization"):
        train = tokenize(_locate(corpora, output_dir, embedded))
        if given is not None:
            held_out = tokenize(given)
        else:
            held_out = []
            for number, corpus in enumerate(corpora):
                if embedded is not None and embedded.holds([corpus]):  # it has its own split
                    held_out += tokenize(_locate([corpus], output_dir, embedded, held_out=True))
                else:
                    train[number], rest = hold_out(train[number], args.held_out)
                    held_out.append(rest)
    sizes = [len(corpus) for corpus in train]
    return PretrainingData(
        train=train,
        validation=_choose_validation_texts(held_out, args.validation_texts),
        order=MixtureOrder(sizes, read_phases(args, weights, sizes, task_order(args, training)), training.seed),
        tasks=tasks,
    )


def _choose_validation_texts(held_out: Sequence[datasets.Dataset], count: int) -> list[dict]:
    """Choose about `count` texts, spread over each corpus: the same texts with the same blanks at every validation."""
    share = max(1, count // len(held_out))
    texts = [rows.select(range(0, len(rows), -(-len(rows) // share))) for rows in held_out]
    return [{"input_ids": row["input_ids"], "sample_id": i} for i, row in enumerate(itertools.chain(*texts))]


def _locate(
    corpora: Sequence[Corpus], output_dir: Path, embedded: EmbeddedCorpora | None, held_out: bool = False
) -> list[Corpus]:
    return list(corpora) if embedded is None else embedded.locate(corpora, output_dir / "corpus", held_out)


def _json_lines(texts: Iterable[str]) -> str:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)


def _interleave(corpora: Sequence[Iterator[str]], count: int) -> Iterator[str]:
    """Yield up to `count` documents, taken from the corpora in turn: `[a b] [c]` -> `a c b`."""
    missing = object()
    turns = itertools.zip_longest(*corpora, fillvalue=missing)
    texts = (text for turn in turns for text in turn if text is not missing)
    return itertools.islice(texts, count)  # type: ignore[arg-type]
