"""What every token of a vocabulary stands for in a text."""

import functools
import json
import re

from .tokenization_glm import GLMTokenizer

BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


def token_bytes(tokenizer: GLMTokenizer) -> dict[int, bytes]:
    """
    The bytes (UTF-8) that each token adds to a text, the space before a word among them. Special tokens, the one
    for what is unknown, and tokens that add nothing are left out.

    Raises:
        ValueError: for a vocabulary that is neither byte-level, nor WordPiece, nor one of pieces with ▁ for a space.
    """
    return _token_bytes(tokenizer, len(tokenizer))  # tokens may be added


@functools.lru_cache(maxsize=8)
def _token_bytes(tokenizer: GLMTokenizer, size: int) -> dict[int, bytes]:
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    kind = (backend["decoder"] or {}).get("type")
    model = backend["model"]
    special = {*tokenizer.all_special_ids, model.get("unk_id"), tokenizer.get_vocab().get(model.get("unk_token"))}
    texts = {}
    for token, token_id in tokenizer.get_vocab().items():
        if token_id in special:
            continue
        if kind == "ByteLevel":
            text = bytes(BYTES[character] for character in token) if set(token) <= BYTES.keys() else token.encode()
        elif kind == "WordPiece":
            text = (token[2:] if token.startswith("##") else f" {token}").encode()
        elif kind in ("Metaspace", "Sequence"):
            byte = BYTE_TOKEN.fullmatch(token)
            text = bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()
        else:
            raise ValueError(f"The vocabulary has a decoder of type {kind}: what its tokens stand for is not known.")
        if text:
            texts[token_id] = text
    return texts


def _characters_of_bytes() -> dict[str, int]:
    """The characters that byte-level vocabularies write for bytes: printable ones for themselves, the rest from 256 on."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {**{chr(byte): byte for byte in printable}, **{chr(256 + n): byte for n, byte in enumerate(others)}}


BYTES = _characters_of_bytes()
