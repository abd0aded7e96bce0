"""A task for tests of draws, without a vocabulary."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NumberedTask:
    """A task whose samples hold their numbers."""

    name: str
    size: int

    def __len__(self) -> int:
        return self.size

    def encode(self, number: int) -> dict[str, list[int]]:
        """Return a sample of one id: 1000 times the length of the name, and the number."""
        return {"input_ids": [1000 * len(self.name) + number], "labels": [1]}
