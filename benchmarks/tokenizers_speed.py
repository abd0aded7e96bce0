"""
How much faster the tokenizers of the four vocabularies encode a batch of texts than slow tokenizers of the same
vocabularies: Transformers' own in Python, and the `sentencepiece` library called with the whole batch.

    pip install sentencepiece protobuf
    python -m benchmarks.tokenizers_speed [--characters 200] [--texts 4000] [--rounds 5]

English texts are cut out of the sources of Python's standard library, Chinese ones drawn from the vocabulary's pieces. The
ids must agree before anything is timed; then every round times each tokenizer once on texts that none has seen, and the
table has the medians with the lowest and the highest ratio of a round. The tokenizers of GLM use all cores, the others one.
"""

import argparse
import os
import random
import re
import statistics
import sysconfig
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import sentencepiece
from transformers import BertGenerationTokenizer, ClvpTokenizer
from transformers.models.bert.tokenization_bert_legacy import BertTokenizerLegacy

from modeling_glm import GLMTokenizer
from tests.support.original_files import VOCABULARIES, write_vocabulary

Encode = Callable[[list[str]], list[list[int]]]


def peers(family: str, folder: Path) -> dict[str, Encode]:
    """What encodes a batch of texts with the same vocabulary, without special tokens."""
    if family == "chinese":
        path = str(folder / "cog-pretrain.model")
        slow = BertGenerationTokenizer(path, pad_token="<unk>")
        processor = sentencepiece.SentencePieceProcessor(model_file=path)
        return {"BertGenerationTokenizer": without_special_tokens(slow), "sentencepiece": processor.encode}
    if family == "bert":
        return {"BertTokenizerLegacy": without_special_tokens(BertTokenizerLegacy(str(folder / "vocab.txt")))}
    # The only byte-level BPE in Python that Transformers 5 still has; it reads lower-case words as GPT-2 does.
    unknown = "<|endoftext|>" if family == "gpt2" else "<unk>"
    slow = ClvpTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), unk_token=unknown, pad_token=unknown)
    return {"ClvpTokenizer": without_special_tokens(slow)}


def without_special_tokens(tokenizer) -> Encode:
    return lambda texts: tokenizer(texts, add_special_tokens=False)["input_ids"]


def make_texts(tokenizer: GLMTokenizer, family: str, characters: int, count: int) -> list[str]:
    generator = random.Random(0)
    if family == "chinese":
        words = sorted(word for word in tokenizer.get_vocab() if re.fullmatch("[\u4e00-\u9fff]+", word))
        text = "".join(generator.choices(words, k=characters * count))
    else:
        sources = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
        sources += sorted(Path(sysconfig.get_path("stdlib")).glob("[a-r]*/*.py"))
        text = " ".join(source.read_text(encoding="utf-8", errors="ignore") for source in sources)
        # The slow ones agree on nothing else: BERT's on ASCII, GPT-2's on lower-case letters.
        text = text.lower() if family == "bert" else re.sub(r"[^a-z]", " ", text.lower())
        text = re.sub(r"\s+", " ", re.sub(r"[^ -~]", " ", text))
        if len(text) < characters * count:
            raise SystemExit(f"There are only {len(text)} characters of English: ask for fewer or shorter texts.")
    return [text[start : start + characters].strip() for start in range(0, characters * count, characters)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, default=200, help="characters per text")
    parser.add_argument("--texts", type=int, default=4000, help="texts per batch")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    warnings.simplefilter("ignore")

    print(f"{args.texts} texts of {args.characters} characters, {os.cpu_count()} cores\n")
    print("| vocabulary | GLMTokenizer | tokens per second | slow tokenizer | | times faster |")
    print("|---|---|---|---|---|---|")
    for family in VOCABULARIES:
        with tempfile.TemporaryDirectory() as folder:
            write_vocabulary(family, Path(folder))
            tokenizer = GLMTokenizer.from_pretrained(folder)
            encoders = {"GLM": without_special_tokens(tokenizer), **peers(family, Path(folder))}
            texts = make_texts(tokenizer, family, args.characters, args.texts * (args.rounds + 1))
            batches = [texts[start : start + args.texts] for start in range(0, len(texts), args.texts)]
            expected = encoders["GLM"](batches[0])
            for name, encode in encoders.items():
                agree = sum(map(list.__eq__, encode(batches[0]), expected))
                if agree < args.texts:
                    raise SystemExit(
                        f"{family}: {name} gives other ids on {args.texts - agree} of {args.texts} texts."
                    )
            seconds: dict[str, list[float]] = {name: [] for name in encoders}
            for batch in batches[1:]:
                for name, encode in encoders.items():
                    start = time.perf_counter()
                    encode(batch)
                    seconds[name].append(time.perf_counter() - start)
        ours = seconds.pop("GLM")
        speed = sum(map(len, expected)) / statistics.median(ours)
        for name, theirs in seconds.items():
            ratios = [slow / fast for slow, fast in zip(theirs, ours, strict=True)]
            print(
                f"| {family} | {statistics.median(ours):.2f} s | {speed:,.0f} | {name} | {statistics.median(theirs):.2f} s "
                f"| {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) |"
            )


if __name__ == "__main__":
    main()
