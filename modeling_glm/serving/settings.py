"""Say what a service allows, and how it puts requests together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..tokenization import GLMTokenizer
from ..utils.numbers import check_real_number, check_whole_number, shorten


@dataclass
class ServiceSettings:
    """
    Say what a request may ask, and how requests are put together.

    Raises:
        ValueError: For a number out of range.
    """

    most_characters: int = field(default=10_000, metadata={"help": "Longest text or choice."})
    most_blanks: int = field(default=16, metadata={"help": "Most blanks of a text."})
    most_tokens: int | None = field(default=None, metadata={"help": "Longest answer of a blank. Without it: 64."})
    most_choices: int = field(default=256, metadata={"help": "Most choices of a text."})
    batch_size: int = field(default=32, metadata={"help": "Most requests that are answered together."})
    wait: float = field(default=0.005, metadata={"help": "Seconds in which further requests join a batch."})
    timeout: float = field(default=30.0, metadata={"help": "Seconds after which a request gets status 504."})
    most_waiting: int = field(default=1000, metadata={"help": "Requests that may wait; further ones get status 503."})

    def __post_init__(self):
        for name in ("most_characters", "most_blanks", "most_tokens", "most_choices", "batch_size", "most_waiting"):
            if name != "most_tokens" or self.most_tokens is not None:
                setattr(self, name, check_whole_number(name, getattr(self, name), least=1))
        self.wait = check_real_number("wait", self.wait, least=0)
        self.timeout = check_real_number("timeout", self.timeout, above=0)

    def check_request(self, tokenizer: GLMTokenizer, text: str, choices: Sequence[str] = ()) -> None:
        """
        Check the size of a request, before anything is computed.

        Args:
            tokenizer: The tokenizer, which knows the blanks.
            text: The text.
            choices: The choices for its blank, if the request has some.

        Raises:
            ValueError: For a request beyond a limit, and for values that are no texts.
        """
        self._check_texts([text, *choices])
        _check_count("blanks", len(tokenizer.split_at_blanks(text)) - 1, self.most_blanks)
        _check_count("choices", len(choices), self.most_choices)

    def check_example(self, example: Any) -> None:
        """
        Check the size of an example of a task: a text, or a dict of texts and of lists of choices.

        Raises:
            ValueError: As `check_request`.
        """
        for value in example.values() if isinstance(example, Mapping) else [example]:
            listed = value if isinstance(value, list | tuple) else [value]
            _check_count("choices", len(listed), self.most_choices)
            self._check_texts(list(map(str, listed)))  # the task says which fields must be texts

    def _check_texts(self, texts: Sequence[Any]) -> None:
        for text in texts:
            if not isinstance(text, str):
                raise ValueError(f"The request has {shorten(text)}: expected a text.")
            _check_count("characters in a text", len(text), self.most_characters)


def _check_count(name: str, found: int, most: int) -> None:
    if found > most:
        raise ValueError(f"The request has {found} {name}: expected at most {most}.")


__all__ = ["ServiceSettings"]
