"""Fill, choose and classify for many callers of one process."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from ..cloze.classifier import ClozeClassifier
from ..filling.choose import choose
from ..filling.fill import fill_blanks
from ..filling.jobs import longest_possible_answer
from ..modeling_glm import GLMForMultipleChoice
from ..tokenization import GLMTokenizer
from ..utils.numbers import check_whole_number
from .batching import RequestBatcher
from .settings import ServiceSettings

ANSWER_FIELDS = ("text", "start", "end", "probability")


class AnsweringService:
    """
    Fill, choose and classify for many callers at once, with answers that JSON can hold.

    Calls that arrive together share a forward pass. The answers are those of each alone. All calls belong to one event loop.

    Example:

    ```python
    >>> service = AnsweringService(model, tokenizer)
    >>> await service.choose("Ice is [MASK].", ["cold", "hot"])
    [{'text': 'cold', 'probability': 0.93, ...}, {'text': 'hot', ...}]
    ```

    Args:
        model: A `GLMForConditionalGeneration`.
        tokenizer: Its tokenizer. If it carries a task, the service classifies too.
        settings: What a request may ask, and how requests are put together.

    Attributes:
        counts: The numbers of batches and of their requests.

    Raises:
        RowError: From a call, for a request that cannot be answered. The others of its batch get their answers.
        ServiceBusyError: From a call, if too many requests wait already.
        TimeoutError: From a call, if there is no answer in time.
        ValueError: For `most_tokens` beyond the position table. From a call, for a request beyond a limit, and for `classify`
            without a task.
    """

    def __init__(self, model: Any, tokenizer: GLMTokenizer, settings: ServiceSettings | None = None):
        self.counts: Counter = Counter()
        self._tokenizer, self._settings = tokenizer, settings or ServiceSettings()
        turn, limit = asyncio.Lock(), self._settings.most_tokens
        if limit is not None:
            longest = longest_possible_answer(model.config)
            because = ", the longest answer that the position table holds"
            check_whole_number("most_tokens", limit, least=1, most=longest, because=because)

        def fill(texts: list[str]) -> list[Any]:
            return fill_blanks(model, tokenizer, texts, max_new_tokens_per_blank=limit, on_error="record")

        def pick(rows: list[tuple[str, list[str]]]) -> list[Any]:
            texts, choices = zip(*rows, strict=True)
            return choose(model, tokenizer, texts, choices, on_error="record")

        self._fill = RequestBatcher(fill, turn, self.counts, self._settings)
        self._pick = RequestBatcher(pick, turn, self.counts, self._settings)
        self._rank: RequestBatcher | None = None
        if tokenizer.cloze is not None:
            classifier = ClozeClassifier(share_weights(model), tokenizer)

            def rank(examples: list[Any]) -> list[Any]:
                return classifier.predict_top(examples, on_error="record")

            self._rank = RequestBatcher(rank, turn, self.counts, self._settings)

    @property
    def classifies(self) -> bool:
        """Whether the tokenizer carries a task."""
        return self._rank is not None

    async def fill(self, text: str) -> dict[str, Any]:
        """Fill the blanks of a text: the whole text, its log-probability, and every answer with place and probability."""
        self._settings.check_request(self._tokenizer, text)
        (found,) = await self._fill(text)
        answers = [{name: getattr(answer, name) for name in ANSWER_FIELDS} for answer in found.answers]
        return {"text": found.text, "log_prob": found.log_prob, "answers": answers}

    async def choose(self, text: str, choices: Sequence[str]) -> list[dict[str, Any]]:
        """Rank choices for the blank of a text, the best first."""
        self._settings.check_request(self._tokenizer, text, choices)
        return [asdict(choice) for choice in await self._pick((text, list(choices)))]

    async def classify(self, example: Any) -> list[dict[str, Any]]:
        """Rank the labels of an example, the best first."""
        if self._rank is None:
            raise ValueError("The model has no task: save one with task.attach(tokenizer).save_pretrained(folder).")
        self._settings.check_example(example)
        return [{"label": one.label, "probability": one.probability} for one in await self._rank(example)]


def share_weights(model: Any) -> GLMForMultipleChoice:
    """Make a model that scores choices with the weights of a model that fills blanks, without a copy of them."""
    with torch.device("meta"):
        chooser = GLMForMultipleChoice(model.config).eval()
    chooser.glm, chooser.lm_head = model.glm, model.lm_head
    return chooser


__all__ = ["AnsweringService", "share_weights"]
