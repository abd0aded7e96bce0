"""The work that is profiled: training, decoding, filling and scoring."""

from collections.abc import Callable
from dataclasses import dataclass

from modeling_glm import GLMForConditionalGeneration, GLMForMultipleChoice, fill_blanks

from ..harness.decoder import GreedyDecoder
from ..harness.embedded import load_tokenizer
from ..harness.shapes import BASE, TINY, Shape, build_glm, draw_ids, make_contexts
from ..harness.steps import GLM, make_step
from ..suites.filling import LONGEST, load_model, make_texts
from ..suites.scoring import LENGTH, score_together


@dataclass(frozen=True, kw_only=True)
class Work:
    """
    Something to profile.

    Attributes:
        title: What is done, in a few words.
        run: Does it once.
        shape: The shape at which the matmul peak is measured.
        vocabulary: Size of the vocabulary.
    """

    title: str
    run: Callable[[], object]
    shape: Shape
    vocabulary: int


@dataclass(frozen=True, kw_only=True)
class Size:
    """
    The sizes of all work.

    Attributes:
        shape: Of the models.
        training: Rows and tokens of a training step.
        decoding: Rows and tokens of the contexts that are continued.
        new_tokens: Tokens that are decoded.
        texts: Texts that are filled in a batch.
        choices: Choices that are scored for a blank in a context of `choice_context` tokens.
    """

    shape: Shape
    training: tuple[int, int]
    decoding: tuple[tuple[int, int], ...]
    new_tokens: int
    texts: int
    choices: int
    choice_context: int

    @property
    def quick(self) -> bool:
        return self.shape == TINY


SIZES = {
    "base": Size(
        shape=BASE,
        training=(4, 512),
        decoding=((1, 128), (16, 128)),
        new_tokens=64,
        texts=32,
        choices=8,
        choice_context=128,
    ),
    "tiny": Size(
        shape=TINY,
        training=(2, 64),
        decoding=((1, 64), (4, 64)),
        new_tokens=8,
        texts=4,
        choices=4,
        choice_context=64,
    ),
}


def training(size: Size, model: str = GLM) -> list[Work]:
    rows, length = size.training
    title = f"Training step{'' if model == GLM else f' of {model}'}, {size.shape.name}, {rows} x {length} tokens"
    run = make_step(model, size.shape, rows, length)
    return [Work(title=title, run=run, shape=size.shape, vocabulary=size.shape.vocabulary)]


def decoding(size: Size) -> list[Work]:
    model = build_glm(GLMForConditionalGeneration, size.shape)
    return [
        Work(
            title=f"Decoding, {size.shape.name}, {rows} x {length} tokens and {size.new_tokens} new",
            run=GreedyDecoder(model, make_contexts(model.config, rows, length), size.new_tokens),
            shape=size.shape,
            vocabulary=size.shape.vocabulary,
        )
        for rows, length in size.decoding
    ]


def filling(size: Size) -> list[Work]:
    tokenizer = load_tokenizer()
    model, texts = load_model(tokenizer, size.quick), make_texts(size.texts)

    def run() -> object:
        return fill_blanks(model, tokenizer, texts, batch_size=len(texts), max_new_tokens_per_blank=LONGEST)

    name = "glm-tiny" if size.quick else size.shape.name
    title = f"Filling, {name}, {len(texts)} texts with 1 to 4 blanks"
    return [Work(title=title, run=run, shape=size.shape, vocabulary=len(tokenizer))]


def scoring(size: Size) -> list[Work]:
    model = build_glm(GLMForMultipleChoice, size.shape)
    contexts = make_contexts(model.config, 1, size.choice_context)
    choices = draw_ids(size.shape.vocabulary, 1, size.choices, LENGTH, seed=2)
    title = f"Scoring, {size.shape.name}, {size.choices} choices of {LENGTH} tokens, context of {size.choice_context}"
    run = lambda: score_together(model, contexts, choices)  # noqa: E731
    return [Work(title=title, run=run, shape=size.shape, vocabulary=size.shape.vocabulary)]


WORKS: dict[str, Callable[[Size], list[Work]]] = {
    "training": training,
    "decoding": decoding,
    "filling": filling,
    "scoring": scoring,
}
