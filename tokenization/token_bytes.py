"""The bytes that each token of a vocabulary adds to a text."""

import json
import re

from transformers.convert_slow_tokenizer import bytes_to_unicode

from .blanks import remember
from .tokenization_glm import GLMTokenizer

# Byte-level vocabularies write each byte as one printable character: "Ġ" is the byte of a space.
BYTES = {character: byte for byte, character in bytes_to_unicode().items()}
BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")


def token_bytes(tokenizer: GLMTokenizer) -> dict[int, bytes]:
    """
    Map every token id to the UTF-8 bytes that its token adds to a text, including the space before a word.

    Special tokens, the token for unknown text and tokens that add nothing are left out.

        "Ġcapital" (byte-level)  " capital" (▁capital)  -> b" capital"
        "##ing"    (WordPiece)                           -> b"ing"
        "<0x0A>"   (byte fallback)                       -> b"\\n"

    Raises:
        ValueError: If the vocabulary is neither byte-level, nor WordPiece, nor of whole words, nor of pieces with ▁
            for a space.
    """
    return _token_bytes(tokenizer, len(tokenizer), list_special_ids(tokenizer))


def list_special_ids(tokenizer: GLMTokenizer) -> tuple[int, ...]:
    """
    List the ids of all special tokens, those that an answer cannot contain.

    `all_special_ids` has those with a name, such as `eos_token`, and those that the user named. The prompt tokens of P-tuning
    are neither.
    """
    added = {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special}
    return tuple(sorted(added.union(tokenizer.all_special_ids)))


@remember
def _token_bytes(tokenizer: GLMTokenizer, size: int, special_ids: tuple[int, ...]) -> dict[int, bytes]:
    """Cache the result by the tokens as well, because a user may add some and change the special ones."""
    backend = json.loads(tokenizer._tokenizer.to_str())
    model = backend["model"]
    decoder = (backend["decoder"] or {}).get("type")
    if "ByteLevel" in json.dumps([backend["pre_tokenizer"], backend["decoder"]]):
        read = _read_byte_level
    elif decoder == "WordPiece":
        read = _read_word_piece
    elif decoder in ("Metaspace", "Sequence"):
        read = _read_sentence_piece
    elif decoder is None:  # the backend joins the tokens with spaces
        read = _read_word
    else:
        raise ValueError(f"The vocabulary has a decoder of type {decoder}: the text of its tokens is not known.")
    vocabulary = tokenizer.get_vocab()
    skipped = {*special_ids, model.get("unk_id"), vocabulary.get(model.get("unk_token"))}
    texts = {token_id: read(token) for token, token_id in vocabulary.items() if token_id not in skipped}
    if read is _read_byte_level:  # what a user added is plain text, even if each of its letters is a sign for a byte
        added = tokenizer.added_tokens_encoder
        texts.update({token_id: token.encode() for token, token_id in added.items() if token_id in texts})
    return {token_id: text for token_id, text in texts.items() if text}


def _read_byte_level(token: str) -> bytes:
    return bytes(BYTES[character] for character in token) if set(token) <= BYTES.keys() else token.encode()


def _read_word_piece(token: str) -> bytes:
    return (token[2:] if token.startswith("##") else f" {token}").encode()


def _read_sentence_piece(token: str) -> bytes:
    byte = BYTE_TOKEN.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace("▁", " ").encode()


def _read_word(token: str) -> bytes:
    return f" {token}".encode()


__all__ = ["token_bytes"]
