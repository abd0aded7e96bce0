"""Score the choices of cloze questions with a model, in batches of similar length."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedModel

from ..modeling_glm import GLMForMultipleChoice
from ..tokenization import DataCollatorForCloze, GLMTokenizer, PatternVerbalizer
from ..tokenization.blanks import answer_forms
from ..tokenization.cloze.words import WordForms
from ..utils.inference import evaluation_mode, require_class
from ..utils.numbers import check_batch_size, check_truth_value, check_whole_number

Encoded = dict[str, Any]
# The most tokens of choices in one row; an example with more choices takes several rows.
MAX_CHOICE_TOKENS = 512


class ChoiceScorer:
    """
    Score the choices of encoded examples.

    Args:
        model: A `GLMForMultipleChoice` on any device. It runs in eval mode and then returns to its own mode.
        tokenizer: A `GLMTokenizer`.
        task: The patterns and words.
        max_length: Most tokens of a context together with the longest choice behind it. None means all that the model's
            position table and the tokenizer's `model_max_length` allow; no number allows more than the table.
        batch_size: Number of examples of a forward pass.
        truncation: Whether fields without `|shorten` may be cut too, if an example is too long.

    Raises:
        ValueError: For a model of another class, patterns that do not go together, and a `batch_size` below 1.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: GLMTokenizer,
        task: PatternVerbalizer,
        *,
        max_length: int | None = None,
        batch_size: int = 32,
        truncation: bool = False,
    ):
        require_class(model, GLMForMultipleChoice.__name__)
        self.model = model
        self.tokenizer = tokenizer
        self.batch_size = check_batch_size("batch_size", batch_size)
        self.truncation = check_truth_value("truncation", truncation)
        self.collate = DataCollatorForCloze(tokenizer, task)
        self._task = task
        of_one = PatternVerbalizer.from_dict({**task.to_dict(), "patterns": task.to_dict()["patterns"][:1]})
        self._collate_cut = DataCollatorForCloze(tokenizer, of_one)
        longest = model.config.max_position_embeddings
        if max_length is not None:
            max_length = check_whole_number("max_length", max_length, least=1)
        self.max_length = min(longest, max_length or self.collate.max_length or longest)

    def word_forms(self) -> WordForms:
        """Return a function that lists the forms of a word, once for each. It is right until the tokenizer changes."""
        return cache(partial(answer_forms, self.tokenizer))

    def encode(self, task: PatternVerbalizer, example: Mapping[str, Any], forms: WordForms | None = None) -> Encoded:
        """
        Compute the ids of an example, without its label.

        Args:
            task: The patterns and words to ask with.
            example: Its fields.
            forms: What `word_forms` returned, if many examples are encoded.
        """
        # Labels are not needed here, and in test sets they may be -1, which is not one of the task's.
        hidden = {pattern.label_field for pattern in task.patterns} - task.fields
        shown = {name: value for name, value in example.items() if name not in hidden}
        # The context is the same with and without white space before the blank, so the words must be, too.
        encoded = task.encode(
            shown, self.tokenizer, self.max_length, forms=forms or self.word_forms(), cut_fields=self.truncation
        )
        return {"input_ids": encoded["input_ids"], "choice_ids": encoded["choice_ids"]}

    def score(self, encoded: Sequence[Encoded], classes: int, batch_size: int | None = None) -> np.ndarray:
        """
        Compute the log-probability of every choice.

        Args:
            encoded: What `encode` returned.
            classes: Number of columns if there are no examples.
            batch_size: Another number of examples of a forward pass.

        Returns:
            (examples, classes) fp32, -inf for a choice that an example does not have.
        """
        classes = max((len(row["choice_ids"][0]) for row in encoded), default=classes)
        scores = np.full((len(encoded), classes), -np.inf, dtype=np.float32)
        # Examples of similar length share a batch, so there is little padding. The longest come first: if memory is too
        # small, that shows at once.
        parts = [part for number, example in enumerate(encoded) for part in _split(number, example)]
        parts.sort(key=lambda part: _cost(part.encoded), reverse=True)
        tables = {part.number: np.full((len(self._task.patterns), classes), -np.inf) for part in parts if part.is_cut}
        batch_size = self.batch_size if batch_size is None else check_batch_size("batch_size", batch_size)
        with evaluation_mode(self.model):
            for collate, alike in (
                (self.collate, [part for part in parts if not part.is_cut]),
                (self._collate_cut, [part for part in parts if part.is_cut]),
            ):
                for start in range(0, len(alike), batch_size):
                    together = alike[start : start + batch_size]
                    batch = collate([part.encoded for part in together])
                    logits = self.model(
                        **{name: tensor.to(self.model.device) for name, tensor in batch.items()}
                    ).logits
                    # An example may have fewer choices than the table: the others stay -inf.
                    for part, of_part in zip(together, logits.float().cpu().numpy(), strict=True):
                        row = tables[part.number][part.pattern] if part.is_cut else scores[part.number]
                        row[part.columns] = of_part[: len(part.columns)]
        for number, table in tables.items():
            # Several patterns are averaged as the model does it with all choices at hand.
            averaged = torch.from_numpy(table)
            scores[number] = (averaged.log_softmax(-1).mean(0) if len(table) > 1 else averaged[0]).numpy()
        return scores


class _Part(NamedTuple):
    """An example, or choices of it that fit into one row behind one of its patterns."""

    number: int  # the number of the example
    encoded: Encoded
    columns: Sequence[int]  # the numbers of the choices
    pattern: int = 0
    is_cut: bool = False


def _split(number: int, encoded: Encoded) -> Iterator[_Part]:
    """
    Split an example with very many choices, because all choices of a row stand side by side behind its context.

    The cost of a row grows with the square of its length, and every choice takes the width of the longest one. So choices
    of similar length stay together.
    """
    for pattern, (context, choices) in enumerate(zip(encoded["input_ids"], encoded["choice_ids"], strict=True)):
        sizes = [len(words) * max(map(len, words), default=0) for words in choices]
        if pattern == 0 and len(sizes) * max(sizes) <= MAX_CHOICE_TOKENS:
            yield _Part(number, encoded, range(len(sizes)))
            return
        columns: list[int] = []
        for column in [*sorted(range(len(sizes)), key=sizes.__getitem__), None]:
            if column is None or (columns and (len(columns) + 1) * sizes[column] > MAX_CHOICE_TOKENS):
                of_columns = {"input_ids": [context], "choice_ids": [[choices[place] for place in columns]]}
                yield _Part(number, of_columns, columns, pattern, is_cut=True)
                columns = []
            if column is not None:
                columns.append(column)


def _cost(encoded: Encoded) -> int:
    """Estimate the number of tokens of an example: its longest context and all of its choices."""
    choices = (len(word) for words in encoded["choice_ids"][0] for word in words)
    return max(map(len, encoded["input_ids"])) + sum(choices)
