"""
Compare GLMTokenizer with slow tokenizers of the same vocabulary, on a batch of texts.

    pip install sentencepiece protobuf
    python -m benchmarks.studies.tokenizers_speed vocabularies/gpt2 vocabularies/bert vocabularies/chinese

Each folder holds the vocabulary files of an original checkpoint: vocab.json and merges.txt, vocab.txt, or
cog-pretrain.model. The peers are Transformers' own tokenizers in Python, and the sentencepiece library called with the whole
batch.

English texts are cut out of the sources of Python's standard library, Chinese ones are drawn from the pieces of the
vocabulary. The ids must agree before anything is timed. In each round every tokenizer encodes texts that it has not seen,
because the slow ones cache words. GLMTokenizer uses all cores, the others one.
"""

import argparse
import random
import re
import sysconfig
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import sentencepiece
from transformers import BertGenerationTokenizer, ClvpTokenizer, PreTrainedTokenizerBase
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from modeling_glm import GLMTokenizer

from ..harness.machine import describe_this_machine
from ..harness.measuring import take_turns
from ..harness.report import make_table
from ..harness.results import Speed

Encode = Callable[[list[str]], list[list[int]]]
OURS = "GLMTokenizer"
SENTENCEPIECE, WORDPIECE, BPE = "cog-pretrain.model", "vocab.txt", "vocab.json"


def vocabulary_file(folder: Path) -> str:
    """
    Return the name of the vocabulary file in a folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    for name in (SENTENCEPIECE, WORDPIECE, BPE):
        if (folder / name).exists():
            return name
    raise FileNotFoundError(f"{folder} has none of {SENTENCEPIECE}, {WORDPIECE}, {BPE}.")


def make_peers(folder: Path) -> dict[str, Encode]:
    """Return functions that encode a batch with the vocabulary of a folder, without special tokens."""
    name = vocabulary_file(folder)
    path = str(folder / name)
    if name == SENTENCEPIECE:
        slow = BertGenerationTokenizer(path, pad_token="<unk>")
        library = sentencepiece.SentencePieceProcessor(model_file=path)
        return {"BertGenerationTokenizer": without_special_tokens(slow), "sentencepiece (C++)": library.encode}
    if name == WORDPIECE:
        return {"BertTokenizerLegacy": without_special_tokens(BertTokenizerLegacy(path))}
    # The only byte-level BPE in Python that Transformers 5 still has. It reads lower-case words as GPT-2 does.
    unknown = "<unk>" if '"<unk>"' in Path(path).read_text(encoding="utf-8") else "<|endoftext|>"
    slow = ClvpTokenizer(path, str(folder / "merges.txt"), unk_token=unknown, pad_token=unknown)
    return {"ClvpTokenizer": without_special_tokens(slow)}


def without_special_tokens(tokenizer: PreTrainedTokenizerBase) -> Encode:
    return lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]


def make_texts(tokenizer: GLMTokenizer, kind: str, characters: int, count: int) -> list[str]:
    """
    Make texts that all tokenizers of a vocabulary read alike.

    Args:
        kind: Name of the vocabulary file.
        characters: Characters of a text.
        count: Number of texts.

    Raises:
        ValueError: If the standard library has not enough English.
    """
    if kind == SENTENCEPIECE:
        words = sorted(word for word in tokenizer.get_vocab() if re.fullmatch("[\u4e00-\u9fff]+", word))
        text = "".join(random.Random(0).choices(words, k=characters * count))
    else:
        library = Path(sysconfig.get_path("stdlib"))
        sources = [*sorted(library.glob("*.py")), *sorted(library.glob("[a-r]*/*.py"))]
        text = " ".join(source.read_text(encoding="utf-8", errors="ignore") for source in sources).lower()
        # WordPiece tokenizers agree on ASCII, byte-level ones on lower-case letters.
        text = re.sub(r"[^ -~]" if kind == WORDPIECE else r"[^a-z]", " ", text)
        text = re.sub(r" +", " ", text)
        if len(text) < characters * count:
            raise ValueError(f"There are only {len(text)} characters of English: use fewer or shorter texts.")
    return [text[start : start + characters].strip() for start in range(0, characters * count, characters)]


def compare_encoders(encoders: dict[str, Encode], batches: Sequence[list[str]]) -> list[Speed]:
    """
    Compare the first encoder with the others. The first batch checks that they agree, each other one is a round.

    Raises:
        ValueError: If the ids differ.
    """
    expected = encoders[OURS](batches[0])
    for name, encode in encoders.items():
        agree = sum(map(list.__eq__, encode(batches[0]), expected))
        if agree < len(expected):
            raise ValueError(f"{name} gives other ids on {len(expected) - agree} of {len(expected)} texts.")
    remaining = {name: iter(batches[1:]) for name in encoders}
    runs = {name: lambda encode=encode, name=name: encode(next(remaining[name])) for name, encode in encoders.items()}
    seconds = take_turns(runs, len(batches) - 1, warm_up=False)
    return [Speed.from_seconds("encode", name, seconds[OURS], seconds[name]) for name in encoders if name != OURS]


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER", help="folders with vocabulary files")
    parser.add_argument("--characters", type=int, default=200, help="characters of a text")
    parser.add_argument("--texts", type=int, default=4000, help="texts of a batch")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(arguments)
    warnings.simplefilter("ignore")

    print(f"Batches of {args.texts} texts of {args.characters} characters. {describe_this_machine()}\n")
    rows = []
    for folder in args.folders:
        tokenizer = GLMTokenizer.from_pretrained(folder)
        texts = make_texts(tokenizer, vocabulary_file(folder), args.characters, args.texts * (args.rounds + 1))
        batches = [texts[start : start + args.texts] for start in range(0, len(texts), args.texts)]
        encoders = {OURS: without_special_tokens(tokenizer), **make_peers(folder)}
        rows += [(folder.name, *speed.cells[1:]) for speed in compare_encoders(encoders, batches)]
    print(make_table(("vocabulary", *Speed.columns[1:]), rows))


if __name__ == "__main__":
    main()
