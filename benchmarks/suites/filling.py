"""
Time filling many texts in a batch against one at a time, and ranking 64 candidates against 64 forward passes. Time
filling with beams against `generate` alone, and measure the share of tokenization in filling many short texts.
"""

import random
import statistics
from functools import partial

import torch
from torch.nn import functional as F

from modeling_glm import (
    BlankConstraint,
    Filling,
    GLMForConditionalGeneration,
    GLMTokenizer,
    fill_blanks,
    score_fillings,
)
from modeling_glm.filling.jobs import FillingSettings, JobBuilder

from ..harness.embedded import EMBEDDED, held_out_texts, load_tokenizer
from ..harness.measuring import take_turns
from ..harness.results import Result, Speed, Value
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, build_glm

LONGEST = 8  # tokens of an answer
CANDIDATES = 64


def make_texts(count: int) -> list[str]:
    """Return texts of the embedded corpus with 1 to 4 words replaced by blanks."""
    generator = random.Random(0)
    documents = [text for text in held_out_texts() if 15 <= len(text.split()) <= 40]
    texts = []
    for number, text in enumerate(generator.sample(documents, count)):
        words = text.split()
        for place in generator.sample(range(1, len(words) - 1), number % 4 + 1):
            words[place] = "[MASK]"
        texts.append(" ".join(words))
    return texts


def make_candidates(count: int, text: str) -> list[str]:
    """Return different words of the corpus that are not in a text, each with the space that makes it literal."""
    words = {word.strip(".,:;") for word in " ".join(make_texts(200)).split() if "[" not in word and word.isalpha()}
    return random.Random(1).sample(sorted(f" {word}" for word in words if word not in text), count)


@torch.inference_mode()
def rank_one_by_one(
    model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, text: str, answers: list[str]
) -> list[float]:
    """Return the log-probabilities of answers for the only blank of a text, with one forward pass per answer."""
    context = tokenizer(text)["input_ids"]
    ends = [tokenizer.eop_token_id, tokenizer.eos_token_id]
    scores = []
    for piece in tokenizer(answers, add_special_tokens=False)["input_ids"]:
        ids = torch.tensor([[*context, tokenizer.sop_token_id, *piece]])
        log_probs = F.log_softmax(model(ids).logits[0, len(context) :], dim=-1)
        tokens = log_probs[torch.arange(len(piece)), torch.tensor(piece)].sum()
        scores.append(float(tokens + log_probs[-1, ends].logsumexp(-1)))
    return scores


def load_embedded() -> GLMForConditionalGeneration:
    return GLMForConditionalGeneration.from_pretrained(EMBEDDED, dtype=torch.float32).eval()


def load_model(tokenizer: GLMTokenizer, quick: bool) -> GLMForConditionalGeneration:
    """Load the embedded checkpoint, or build a model of the Base shape for its vocabulary."""
    if quick:
        return load_embedded()
    shape = BASE.with_vocabulary(len(tokenizer))
    return build_glm(GLMForConditionalGeneration, shape, **tokenizer.special_token_ids)


def run(settings: RunSettings) -> list[Result]:
    tokenizer = load_tokenizer()
    model = load_model(tokenizer, settings.quick)
    texts = make_texts(8 if settings.quick else 32)
    name = f"{model.num_parameters() / 1e6:.0f}M parameters"
    return [
        compare_filling(settings, model, tokenizer, texts, name),
        compare_ranking(settings, model, tokenizer, texts, name),
        compare_beams(settings, model, tokenizer, texts, name),
        *measure_tokenization(settings, load_embedded(), tokenizer),
    ]


def compare_filling(
    settings: RunSettings, model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, texts: list[str], name: str
) -> Result:
    """
    Compare a batch of texts with one text at a time.

    Raises:
        RuntimeError: If a quarter of the answers or more differ. Few do, where two tokens are equally likely.
    """

    def fill_together() -> list[str]:
        filled = fill_blanks(model, tokenizer, texts, batch_size=len(texts), max_new_tokens_per_blank=LONGEST)
        return [best.text for best, *_ in filled]

    def fill_one_by_one() -> list[str]:
        return [fill_blanks(model, tokenizer, text, max_new_tokens_per_blank=LONGEST)[0].text for text in texts]

    same = sum(map(str.__eq__, fill_together(), fill_one_by_one()))
    if same <= 0.75 * len(texts):
        raise RuntimeError(f"Only {same} of {len(texts)} texts are filled alike in a batch and alone.")
    seconds = take_turns({"together": fill_together, "alone": fill_one_by_one}, settings.rounds)
    work = f"{name}, fill {len(texts)} texts with 1 to 4 blanks in a batch"
    return Speed.from_seconds(work, "one text at a time", seconds["together"], seconds["alone"])


def compare_ranking(
    settings: RunSettings, model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, texts: list[str], name: str
) -> Result:
    """Compare `score_fillings` with one forward pass per candidate; both must give the same log-probabilities."""
    text = next(text for text in texts if text.count("[MASK]") == 1)
    candidates = make_candidates(CANDIDATES, text)

    def rank_together() -> list[float]:
        return [filling.log_prob for filling in score_fillings(model, tokenizer, text, candidates)]

    def rank_alone() -> list[float]:
        return rank_one_by_one(model, tokenizer, text, candidates)

    torch.testing.assert_close(torch.tensor(rank_together()), torch.tensor(rank_alone()), rtol=1e-4, atol=1e-4)
    seconds = take_turns({"together": rank_together, "alone": rank_alone}, settings.rounds)
    work = f"{name}, rank {len(candidates)} candidates for a blank"
    return Speed.from_seconds(work, "one forward pass per candidate", seconds["together"], seconds["alone"])


def compare_beams(
    settings: RunSettings, model: GLMForConditionalGeneration, tokenizer: GLMTokenizer, texts: list[str], name: str
) -> Result:
    """Compare filling with beams, which tells all log-probabilities, with `generate` alone, which returns ids."""
    beams = 4
    texts = sorted(texts, key=lambda text: text.count("[MASK]"))[: len(texts) // 2]
    blanks = max(text.count("[MASK]") for text in texts)
    inputs = tokenizer(texts, padding=True, return_tensors="pt")

    def fill() -> list[list[Filling]]:
        return fill_blanks(
            model, tokenizer, texts, 2, num_beams=beams, max_new_tokens_per_blank=LONGEST, batch_size=len(texts)
        )

    @torch.inference_mode()
    def generate() -> torch.Tensor:
        return model.generate(
            **inputs,
            num_beams=beams,
            num_return_sequences=beams,
            length_penalty=0.0,
            do_sample=False,
            max_new_tokens=blanks * (LONGEST + 1),
            max_new_tokens_per_blank=LONGEST,
        )

    seconds = take_turns({"fill": fill, "generate": generate}, settings.rounds)
    work = f"{name}, fill {len(texts)} texts with {beams} beams"
    return Speed.from_seconds(work, "generate alone, without log-probabilities", seconds["fill"], seconds["generate"])


def measure_tokenization(
    settings: RunSettings, model: GLMForConditionalGeneration, tokenizer: GLMTokenizer
) -> list[Result]:
    """
    Measure the share of tokenization, with all checks of texts and constraints, in filling short texts.

    The model is the embedded one, because a small model leaves tokenization the largest share. An answer out of a closed
    set takes one forward pass, a free one takes several.
    """
    texts = [f"Number {number} comes before [MASK]." for number in range(64 if settings.quick else 2000)]
    choices = BlankConstraint(choices=["one", "two", "three"])
    asked = {"a free answer each": None, "one of three choices each": choices}
    builder = JobBuilder(tokenizer, model.config, FillingSettings())
    runs = {
        "tokenize": lambda: list(builder.build_all(texts, [None] * len(texts))),
        "one by one": lambda: [builder.build(number, text) for number, text in enumerate(texts)],
        **{name: partial(fill_blanks, model, tokenizer, texts, constraints=only) for name, only in asked.items()},
    }
    seconds = take_turns(runs, settings.rounds)
    work = f"{model.num_parameters() / 1e6:.0f}M parameters, tokenize {len(texts)} short texts"
    together = seconds["tokenize"]
    return [
        Speed.from_seconds(work, "one call of the tokenizer each", together, seconds["one by one"]),
        *(
            Value(work=f"{work}, share in filling {name}", value=statistics.median(shares), unit="share")
            for name in asked
            if (shares := [ours / whole for ours, whole in zip(together, seconds[name], strict=True)])
        ),
    ]
