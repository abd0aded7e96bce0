#!/usr/bin/env python
"""
Filling many texts together against one at a time, and ranking 64 candidates in one pass against 64 forward passes.

    OMP_NUM_THREADS=2 python benchmarks/filling.py
    OMP_NUM_THREADS=2 python benchmarks/filling.py --model examples/glm-tiny

Without --model the weights are random and of the Base shape: 12 layers of width 768. The texts are of the embedded corpus,
with 1 to 4 blanks each; an answer has 8 tokens at most. Both ways take turns, and the median of the ratios of the rounds
counts. Both give the same answers and log-probabilities, which is checked before anything is measured.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional as F

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMTokenizer, fill_blanks, score_fillings
from modeling_glm.fillings import encode_answers

ROOT = Path(__file__).parents[1]
EMBEDDED = ROOT / "examples" / "glm-tiny"
LONGEST = 8


def make_texts(count: int) -> list[str]:
    """Texts of the embedded corpus with 1 to 4 words blanked out."""
    sys.path.insert(0, str(ROOT / "examples"))
    from corpus import build_splits

    generator = random.Random(0)
    documents = [text for document in build_splits()[1] if 15 <= len((text := document.text).split()) <= 40]
    texts = []
    for number, text in enumerate(generator.sample(documents, count)):
        words = text.split()
        for place in generator.sample(range(1, len(words) - 1), number % 4 + 1):
            words[place] = "[MASK]"
        texts.append(" ".join(words))
    return texts


def make_candidates(count: int, text: str) -> list[str]:
    """Different words for the blank of a text, of the same corpus."""
    words = sorted(
        {word.strip(".,:;") for word in " ".join(make_texts(200)).split() if "[" not in word and word.isalpha()}
    )
    return random.Random(1).sample([word for word in words if word not in text], count)


@torch.inference_mode()
def rank_one_by_one(model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, text: str, answers: list[str]):
    """Log-probabilities of answers for the one blank of a text, by a forward pass of the whole for each."""
    context = tokenizer(text)["input_ids"]
    ends = [tokenizer.eop_token_id, tokenizer.eos_token_id]
    scores = []
    for (piece,) in ([ids] for ids in encode_answers(tokenizer, text, answers, blank=0)):
        ids = torch.tensor([[*context, tokenizer.sop_token_id, *piece]])
        log_probs = F.log_softmax(model(ids).logits[0, len(context) :], dim=-1)
        tokens = log_probs[torch.arange(len(piece)), torch.tensor(piece)].sum()
        scores.append(float(tokens + log_probs[-1, ends].logsumexp(-1)))
    return scores


def compare(name: str, ours: Callable[[], object], other: Callable[[], object], rounds: int, goal: float):
    """Measures both in turn, and prints the median and the range of the ratios."""
    ratios, times = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        other()
        middle = time.perf_counter()
        ours()
        end = time.perf_counter()
        ratios.append((middle - start) / (end - middle))
        times.append((middle - start, end - middle))
    slow, fast = (statistics.median(column) for column in zip(*times, strict=True))
    print(
        f"| {name} | {slow:.2f} s | {fast:.2f} s | {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}) "
        f"| {goal:g} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder; random weights of the Base shape if not given")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    tokenizer = GLMTokenizer.from_pretrained(options.model or EMBEDDED)
    if options.model:
        model = GLMForConditionalGeneration.from_pretrained(options.model, dtype=torch.float32).eval()
    else:
        torch.manual_seed(0)
        config = GLMConfig.from_preset("glm-base", vocab_size=len(tokenizer), **tokenizer.special_token_ids)
        model = GLMForConditionalGeneration(config).eval()
    texts = make_texts(32)
    single = next(text for text in texts if text.count("[MASK]") == 1)
    candidates = make_candidates(64, single)
    settings = {"max_new_tokens_per_blank": LONGEST}

    def fill_one_by_one():
        return [fill_blanks(model, tokenizer, text, **settings) for text in texts]

    def fill_together():
        return fill_blanks(model, tokenizer, texts, batch_size=32, **settings)

    def rank_together():
        return [filling.log_prob for filling in score_fillings(model, tokenizer, single, candidates)]

    def rank():
        return rank_one_by_one(model, tokenizer, single, candidates)

    torch.testing.assert_close(torch.tensor(rank_together()), torch.tensor(rank()), rtol=1e-4, atol=1e-4)
    alone, together = fill_one_by_one(), fill_together()
    same = sum(a[0].text == b[0].text for a, b in zip(alone, together, strict=True))
    if same < len(texts):  # possible where two tokens are equally likely, up to rounding
        print(f"{len(texts) - same} of {len(texts)} texts are filled differently in a batch", file=sys.stderr)

    print(f"{model.num_parameters():,} parameters, {torch.get_num_threads()} thread(s), median of {options.rounds}\n")
    print("| work | one by one | together | times as fast | goal |\n|---|---|---|---|---|")
    compare("32 texts with 1 to 4 blanks", fill_together, fill_one_by_one, options.rounds, 4)
    compare("64 candidates for a blank", rank_together, rank, options.rounds, 5)


if __name__ == "__main__":
    main()
