"""Encode in many threads: lend every call a copy of the backend, because encoding changes settings of the backend."""

from collections import deque
from collections.abc import Callable
from typing import TypeVar

from tokenizers import Tokenizer

# What turns a text into ids, besides the vocabulary and its added tokens.
PARTS = ("normalizer", "pre_tokenizer", "post_processor")
# Idle copies that are kept. More exist while more calls run at the same time.
MOST_IDLE = 32

Result = TypeVar("Result")


class BackendCopies:
    """
    Lend copies of a backend, each to one call at a time.

    The library sets truncation, padding and the reading of special tokens in the backend before it encodes. Two threads
    with one backend would so change each other's ids, or fail with "Already borrowed". A copy shares the vocabulary in
    memory with its backend and is built in a fraction of a millisecond, so there is one for every call that runs at the
    same time. No lock is needed: none is left behind when a process forks, and threads do not wait.

    Attributes:
        may_get_tokens: Whether somebody else holds the backend, and may add tokens to it at any time. Copies are then
            compared with it before each use.
    """

    def __init__(self):
        self.may_get_tokens = False
        self._idle: deque[Tokenizer] = deque(maxlen=MOST_IDLE)

    def drop(self):
        """Forget all copies, because the backend got tokens. A call that runs keeps its copy and gives it back to nobody."""
        self._idle = deque(maxlen=MOST_IDLE)

    def use(self, backend: Tokenizer, call: Callable[[Tokenizer], Result]) -> Result:
        """Call a function with a copy of a backend as it is now, which no other call has. Return what it returns."""
        idle = self._idle
        copied = self._take(idle, backend)
        result = call(copied)
        idle.append(copied)  # not after an error, which may leave settings behind
        return result

    def _take(self, idle: deque[Tokenizer], backend: Tokenizer) -> Tokenizer:
        try:
            copied = idle.pop()
        except IndexError:
            return copy_backend(backend)
        # The owner of the backend may have replaced a part. A part is shared with the copy.
        for name in PARTS:
            part = getattr(backend, name)
            if part is not None:
                setattr(copied, name, part)
            elif getattr(copied, name) is not None:
                return copy_backend(backend)
        if self.may_get_tokens and copied.get_added_tokens_decoder() != backend.get_added_tokens_decoder():
            return copy_backend(backend)
        return copied


def copy_backend(backend: Tokenizer) -> Tokenizer:
    """Copy a backend. The copy has settings and added tokens of its own and shares the vocabulary."""
    copied = Tokenizer(backend.model)
    for name in (*PARTS, "decoder"):
        part = getattr(backend, name)
        if part is not None:
            setattr(copied, name, part)
    tokens = backend.get_added_tokens_decoder()
    for _, token in sorted(tokens.items()):
        (copied.add_special_tokens if token.special else copied.add_tokens)([token])
    if copied.get_added_tokens_decoder() == tokens:
        return copied
    return Tokenizer.from_str(backend.to_str())  # tokens whose ids do not follow each other: shares nothing


__all__ = ["BackendCopies", "copy_backend"]
