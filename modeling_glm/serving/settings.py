"""Say what a service allows, and how it puts requests together."""

from collections.abc import Sequence
from dataclasses import dataclass, field

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
        for value in (text, *choices):
            if not isinstance(value, str):
                raise ValueError(f"The request has {shorten(value)}: expected a text.")
        for name, found, most in (
            ("characters in a text", max(map(len, [text, *choices])), self.most_characters),
            ("blanks", len(tokenizer.split_at_blanks(text)) - 1, self.most_blanks),
            ("choices", len(choices), self.most_choices),
        ):
            if found > most:
                raise ValueError(f"The request has {found} {name}: expected at most {most}.")


__all__ = ["ServiceSettings"]
