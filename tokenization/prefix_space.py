"""Put a space in front of every text, or stop doing so."""

import json
from typing import Any

from tokenizers import Tokenizer

# Byte-level vocabularies: it stands in front of the pre-tokenizer that they have.
SPACE = {"type": "Metaspace", "replacement": " ", "prepend_scheme": "first", "split": False}
SIGN = "▁"  # writes the space before a word in the pieces of other vocabularies
EMPTY_MODEL = {"type": "BPE", "vocab": {}, "merges": []}


def has_prefix_space(backend: Tokenizer) -> bool:
    """Return whether a text without white space in front is read as if it started with a space."""
    parts = _steps(backend.normalizer) + _steps(backend.pre_tokenizer)
    return any(
        step["type"] == "Prepend"
        or (step["type"] == "Metaspace" and step.get("prepend_scheme", "always") != "never")
        or (step["type"] == "ByteLevel" and step["add_prefix_space"])
        for step in parts
    )


def set_prefix_space(backend: Tokenizer, wanted: bool):
    """
    Let every text start with a space, or none that it does not have itself.

    In a byte-level vocabulary only the start of a text gets one, not the text behind a special token. SentencePiece has
    one in front of both, and without the option at neither. Vocabularies that drop white space (WordPiece) stay as they
    are.
    """
    if has_prefix_space(backend) == wanted:
        return
    before, steps, behind = map(_steps, (backend.normalizer, backend.pre_tokenizer, backend.decoder))
    has_signs = any(step["type"] == "Metaspace" and step != SPACE for step in steps)
    steps = [step for step in steps if step != SPACE]
    for step in steps + behind:
        if step["type"] == "Metaspace":
            step["prepend_scheme"] = "first" if wanted else "never"
    for step in steps:
        if step["type"] == "ByteLevel":
            step["add_prefix_space"] = False
    before = [step for step in before if step["type"] != "Prepend"]
    if wanted and any(step["type"] == "ByteLevel" for step in steps):
        steps = [SPACE, *steps]
    elif wanted and not has_signs and any(step.get("content") == SIGN for step in before):
        before = [*before, {"type": "Prepend", "prepend": SIGN}]
    built = Tokenizer.from_str(
        json.dumps(
            {
                "version": "1.0",
                "added_tokens": [],
                "normalizer": {"type": "Sequence", "normalizers": before},
                "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
                "decoder": {"type": "Sequence", "decoders": behind},
                "model": EMPTY_MODEL,
            }
        )
    )
    for name in ("normalizer", "pre_tokenizer", "decoder"):
        if getattr(backend, name) is not None and _steps(getattr(backend, name)) != _steps(getattr(built, name)):
            setattr(backend, name, getattr(built, name))


def _steps(part: Any) -> list[dict[str, Any]]:
    """Return the settings of a part of the backend, one dict for each of its steps."""
    if part is None:
        return []
    state = json.loads(part.__getstate__())
    if state["type"] != "Sequence":
        return [state]
    return next(steps for name, steps in state.items() if name != "type")


__all__ = ["has_prefix_space", "set_prefix_space"]
