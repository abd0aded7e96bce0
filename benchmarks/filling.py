"""
Filling many texts together against one at a time, and ranking 64 candidates in one pass against 64 forward passes.

    OMP_NUM_THREADS=2 python -m benchmarks.filling
    OMP_NUM_THREADS=2 python -m benchmarks.filling --model examples/glm-tiny

Without --model the weights are random and of the Base shape: 12 layers of width 768. The texts are of the embedded corpus,
with 1 to 4 blanks each; an answer has 8 tokens at most. Both ways take turns, and the median of the ratios of the rounds
counts. Both give the same answers and log-probabilities, which is checked before anything is measured.
"""

import argparse
import random
import sys

import torch
from torch.nn import functional as F

from modeling_glm import GLMConfig, GLMForConditionalGeneration, GLMTokenizer, fill_blanks, score_fillings
from modeling_glm.filling.results import encode_answers

from .measuring import ROOT, Line, compare, take_turns
from .report import HEADER, as_row
from .settings import Settings

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


def build_model(folder: str | None) -> tuple[GLMForConditionalGeneration, GLMTokenizer]:
    """A model with its tokenizer: that of a folder, or random weights of the Base shape."""
    tokenizer = GLMTokenizer.from_pretrained(folder or EMBEDDED)
    if folder:
        return GLMForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval(), tokenizer
    torch.manual_seed(0)
    ids = {"vocab_size": len(tokenizer), **tokenizer.special_token_ids}
    return GLMForConditionalGeneration(GLMConfig.from_preset("glm-base", **ids)).eval(), tokenizer


def run(settings: Settings, folder: str | None = None) -> list[Line]:
    """Texts in a batch against one by one, and candidates in one pass against one by one."""
    model, tokenizer = build_model(str(EMBEDDED) if settings.quick else folder)
    texts = make_texts(8 if settings.quick else 32)
    single = next(text for text in texts if text.count("[MASK]") == 1)
    candidates = make_candidates(64, single)
    limit = {"max_new_tokens_per_blank": LONGEST}

    def fill_one_by_one():
        return [fill_blanks(model, tokenizer, text, **limit) for text in texts]

    def fill_together():
        return fill_blanks(model, tokenizer, texts, batch_size=len(texts), **limit)

    def rank_together():
        return [filling.log_prob for filling in score_fillings(model, tokenizer, single, candidates)]

    def rank():
        return rank_one_by_one(model, tokenizer, single, candidates)

    torch.testing.assert_close(torch.tensor(rank_together()), torch.tensor(rank()), rtol=1e-4, atol=1e-4)
    alone, together = fill_one_by_one(), fill_together()
    same = sum(a[0].text == b[0].text for a, b in zip(alone, together, strict=True))
    # Possible where two tokens are equally likely, up to rounding.
    note = "" if same == len(texts) else f"{len(texts) - same} texts are filled differently in a batch"
    filled = take_turns({"together": fill_together, "alone": fill_one_by_one}, settings.rounds)
    ranked = take_turns({"together": rank_together, "alone": rank}, settings.rounds)
    name = f"{model.num_parameters() / 1e6:.0f}M parameters"
    goals = (None, None) if settings.quick else (4.0, 5.0)
    return [
        Line(
            suite="filling",
            work=f"{name}, {len(texts)} texts with 1 to 4 blanks",
            peer="one text at a time",
            goal=goals[0],
            note=note,
            **compare(filled, "together", "alone"),
        ),
        Line(
            suite="filling",
            work=f"{name}, {len(candidates)} candidates for a blank",
            peer="a forward pass for each",
            goal=goals[1],
            **compare(ranked, "together", "alone"),
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a folder; random weights of the Base shape if not given")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} thread(s), median of {options.rounds}\n\n{HEADER}")
    for line in run(Settings(rounds=options.rounds), options.model):
        print(as_row(line), flush=True)


if __name__ == "__main__":
    main()
