"""Compare encoded cloze questions with samples of the originals."""

from typing import Any

import torch

from modeling_glm import GLMConfig, GLMTokenizer, PatternVerbalizer
from modeling_glm.layout_glm import compute_position_ids


def pad_row(context: list[int], fed: list[int], length: int, pad: int) -> list[int]:
    """Return a row of the originals: the context, what is fed behind it, and padding."""
    ids = context + fed
    return ids + [pad] * (length - len(ids))


def find_positions(ids: list[int], size: int, config: GLMConfig) -> list[list[int]]:
    """Return the positions that the model computes for the first `size` ids; the originals have zeros in the padding."""
    found = compute_position_ids(torch.tensor([ids[:size]]), config)[0].tolist()
    return [line + [0] * (len(ids) - size) for line in found]


class ClozeSample:
    """
    A sample of the originals beside the question that we encode.

    Args:
        sample: The sample.
        length: Its `seq_length`.
        task: The task, with the pattern of the sample only.
        example: The example.
        tokenizer: The tokenizer.
        truncation: Where the originals cut this pattern.
    """

    def __init__(
        self,
        sample: dict[str, Any],
        length: int,
        task: PatternVerbalizer,
        example: dict[str, Any],
        tokenizer: GLMTokenizer,
        truncation: str,
    ):
        self.sample, self.length, self.task, self.example = sample, length, task, example
        self.tokenizer, self.truncation = tokenizer, truncation
        self.config = GLMConfig(**tokenizer.special_token_ids, vocab_size=len(tokenizer))
        encoded = task.encode(example, tokenizer)
        self.choices = [words[0] for words in encoded["choice_ids"][0]]

    def context(self, choice: list[int]) -> list[int]:
        """Return the context of a choice: the originals cut it for every choice on its own, we for the longest."""
        limit = self.length - len(choice) + max(map(len, self.choices))
        encoded = self.task.encode(self.example, self.tokenizer, max_length=limit, truncation=self.truncation)
        return encoded["input_ids"][0]

    def assert_input(self, choice: list[int], text: list[int], mask: int, position: list[list[int]]):
        """Assert that the row of a choice is the one of the originals."""
        ids = self.context(choice)
        fed = [self.config.sop_token_id, *choice[:-1]]
        assert text == pad_row(ids, fed, self.length, self.tokenizer.pad_token_id)
        assert mask == len(ids)
        assert position == find_positions(text, len(ids) + len(choice), self.config)

    def assert_scored(self, choice: list[int], target: list[int], scored: list[int]):
        """Assert that the tokens of a choice are scored where the originals score them."""
        start = len(self.context(choice))
        assert [token for token, on in zip(target, scored, strict=True) if on] == choice
        assert [index for index, on in enumerate(scored) if on] == list(range(start, start + len(choice)))

    def assert_single_tokens(self):
        """Assert that a sample whose choices have one token each is the one of the originals."""
        sample = self.sample
        assert [choice for (choice,) in self.choices] == sample["target"]
        assert [index for index, on in enumerate(sample["logit_mask"]) if on] == [sample["mask"]]
        self.assert_input(self.choices[0], sample["text"], sample["mask"], sample["position"])

    def assert_several_tokens(self):
        """Assert that a sample with one row for each choice is the one of the originals."""
        sample = self.sample
        for choice, text, mask, position in zip(
            self.choices, sample["text"], sample["mask"], sample["position"], strict=True
        ):
            self.assert_input(choice, text, mask, position)
        for choice, target, scored in zip(self.choices, sample["target"], sample["logit_mask"], strict=True):
            self.assert_scored(choice, target, scored)
