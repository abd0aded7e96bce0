"""Build a `tokenizers.Tokenizer` from the vocabulary files of the original checkpoints."""

import json
import os
import re
import reprlib
import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers.convert_slow_tokenizer import generate_merges

# The keys are the argument names that `from_pretrained` passes the paths with.
VOCABULARY_FILES = {
    "sentencepiece_file": "cog-pretrain.model",
    "wordpiece_file": "vocab.txt",
    "bpe_vocab_file": "vocab.json",
    "bpe_merges_file": "merges.txt",
    "added_ids_file": "added_tokens.json",
}

SOP, EOP = "<|startofpiece|>", "<|endofpiece|>"
MASKS = ("[MASK]", "[sMASK]", "[gMASK]")
# The files on the hub give these names to unused rows. In pretraining they were ordinary text.
UNUSED = re.compile(r"\[UNUSED\d*\]")

LARGEST_VOCABULARY = 2**24
MOST_UNUSED = 10_000  # ids behind a vocabulary that no token has; each gets a name
DEEPEST_NESTING = 100  # of JSON; deeper values cannot be copied or compared, as Python does that by recursion


class MissingVocabularyError(FileNotFoundError, ValueError):
    """Report that a folder or repository has no files of a vocabulary."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """
    The special tokens of one kind of vocabulary, as pretraining used them.

    Attributes:
        roles: The special token of each role, such as `{"eos_token": "<|endoftext|>"}`.
        added: The tokens behind the vocabulary, in the order of their ids. None is an id without a token.
        renamed: Ids of the vocabulary whose tokens got other names.
        aliases: Further texts that stand for one of the special tokens.
        strips_masks: Whether a mask token takes the white space on its left with it.
    """

    roles: dict[str, str]
    added: tuple[str | None, ...]
    renamed: dict[int, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    strips_masks: bool = True


ROLES = {
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "mask_token": "[MASK]",
    "sop_token": SOP,
    "eop_token": EOP,
}
TASK_ROLES = {"smask_token": "[sMASK]", "gmask_token": "[gMASK]", "dblock_token": "[dBLOCK]"}

GPT2 = Family(
    roles={**ROLES, **TASK_ROLES},
    added=(SOP, EOP, "[CLS]", "[MASK]", "[SEP]", "[UNK]", "[gMASK]", "[sMASK]", "[dBLOCK]"),
)
BERT = Family(roles={**ROLES, "eos_token": "[PAD]", "pad_token": "[PAD]"}, added=(SOP, EOP), strips_masks=False)
# One token ends a text, pads and separates texts.
ROBERTA = Family(
    roles={**ROLES, "eos_token": "[SEP]", "pad_token": "[SEP]"},
    added=(SOP, EOP),
    renamed={0: "[CLS]", 2: "[SEP]", 3: "[UNK]", 50264: "[MASK]"},
    aliases={"<|endoftext|>": "[SEP]"},
)
CHINESE_ADDED = ("<|endoftext|>", "[SEP]", "[CLS]", "[MASK]", "[UNK]", None, SOP)
CHINESE = Family(
    roles={**ROLES, **TASK_ROLES},
    added=(*CHINESE_ADDED, EOP, "[sMASK]", "[gMASK]", "[dBLOCK]"),
)
# GLM-10B-Chinese as its authors trained it: one token is the blank for a continuation and also ends a piece.
CHINESE_SHARED = Family(
    roles={**ROLES, **TASK_ROLES, "eop_token": "[gMASK]"},
    added=(*CHINESE_ADDED, "[gMASK]", "[sMASK]", "[dBLOCK]"),
    aliases={EOP: "[gMASK]"},
)


def read_json(path: str | os.PathLike, expected: type = dict) -> Any:
    """
    Read a JSON file.

    Raises:
        ValueError: If it is not JSON of the expected type, or nested more than 100 deep. The message names the file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except RecursionError:
        content = None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}): download the file again.") from error
    except ValueError as error:
        raise ValueError(f"{path} is not complete JSON ({error}): download the file again.") from error
    else:
        if not isinstance(content, expected):
            raise ValueError(f"{path} holds a {type(content).__name__}: expected a JSON {expected.__name__}.")
    if content is None or _is_deep(content):
        raise ValueError(f"{path} is nested too deeply: expected at most {DEEPEST_NESTING} levels.")
    return content


def _is_deep(content: Any) -> bool:
    level = [content]
    for _ in range(DEEPEST_NESTING):
        nested = [value for value in level if isinstance(value, dict | list)]
        level = [each for value in nested for each in (value.values() if isinstance(value, dict) else value)]
    return any(isinstance(value, dict | list) for value in level)


def build_from_original_files(
    files: Mapping[str, str | None],
    added_tokens: Mapping[str, int],
    special_tokens: Collection[str] = (),
    do_lower_case: bool = True,
    shared_gmask: bool = False,
) -> tuple[Tokenizer, dict[str, AddedToken]]:
    """
    Build the tokenizer that gives texts the ids that they had in pretraining.

    Args:
        files: The paths of the vocabulary files by the keys of `VOCABULARY_FILES`, None for a missing file.
        added_tokens: Ids of tokens behind the vocabulary, besides those in `added_tokens.json`. Special tokens of GLM
            get the ids that are given here or there. Other tokens are kept.
        special_tokens: Which of these other tokens are special.
        do_lower_case: Whether a WordPiece vocabulary is lower-cased.
        shared_gmask: Whether `[gMASK]` also ends a piece, as in GLM-10B-Chinese when it was trained. It does so as
            well if the added tokens give both the same id.

    Returns:
        The tokenizer without a post-processor, and the special token of each role, such as
        `{"mask_token": AddedToken("[MASK]", ...)}`.

    Raises:
        ValueError: If there is no vocabulary, if it cannot be read, or if two tokens claim one id.
    """
    added_tokens = dict(added_tokens)
    if path := files.get("added_ids_file"):
        added_tokens.update(_read_ids(path))
    if path := files.get("sentencepiece_file"):
        shared = shared_gmask or ("[gMASK]" in added_tokens and added_tokens["[gMASK]"] == added_tokens.get(EOP))
        family = CHINESE_SHARED if shared else CHINESE
        pieces, charsmap = _read_sentencepiece(path)
        vocabulary = {piece.text: index for index, piece in enumerate(pieces)}
    elif path := files.get("wordpiece_file"):
        family = BERT
        vocabulary = _read_words(path)
    elif (path := files.get("bpe_vocab_file")) and files.get("bpe_merges_file"):
        vocabulary = _read_ids(path)
        family = (
            ROBERTA if {vocabulary.get("<s>", vocabulary.get("[CLS]")), vocabulary.get("</s>")} == {0, 2} else GPT2
        )
    else:
        raise MissingVocabularyError(
            f"No vocabulary: expected tokenizer.json, or the originals' {VOCABULARY_FILES['bpe_vocab_file']} with "
            f"{VOCABULARY_FILES['bpe_merges_file']}, {VOCABULARY_FILES['wordpiece_file']} or "
            f"{VOCABULARY_FILES['sentencepiece_file']}."
        )

    ids = _number_tokens(vocabulary, family, added_tokens)
    if family in (CHINESE, CHINESE_SHARED):
        backend = _sentencepiece_bpe(ids, pieces, charsmap, family)
    elif family is BERT:
        backend = _wordpiece(ids, do_lower_case)
    else:
        backend = _byte_level_bpe(ids, str(files["bpe_merges_file"]), family)

    # Byte-level vocabularies normalize the whole text, the others each part between special tokens.
    whole = family in (GPT2, ROBERTA)
    tokens = {
        token: AddedToken(
            token,
            lstrip=family.strips_masks and token in MASKS,
            normalized=whole or token in family.aliases.values(),
            special=True,
        )
        for token in family.roles.values()
        if token in ids
    }
    further = [
        AddedToken(token, normalized=whole, special=token in special_tokens)
        for token in added_tokens
        if token in ids and token not in tokens and ids[token] >= len(vocabulary)
    ]
    backend.add_special_tokens([*tokens.values(), *(token for token in further if token.special)])
    backend.add_tokens([token for token in further if not token.special])
    return backend, {role: tokens[token] for role, token in family.roles.items() if token in tokens}


def _number_tokens(vocabulary: dict[str, int], family: Family, added_tokens: Mapping[str, int]) -> dict[str, int]:
    """Number the tokens of the vocabulary and those behind it. Ids without a token get an unused name."""
    names = {index: token for token, index in vocabulary.items()}
    names.update({index: token for index, token in family.renamed.items() if index in names})
    size = len(names)
    added: dict[int, str] = {}
    for token, index in added_tokens.items():
        if index < size or UNUSED.fullmatch(token) or token in family.aliases:
            continue
        if index > size + MOST_UNUSED:
            raise ValueError(
                f"added_tokens.json gives the id {index} to {token!r}, but the vocabulary has {size:,} tokens: expected at "
                f"most {size + MOST_UNUSED:,}. It belongs to another vocabulary."
            )
        if index in added:
            raise ValueError(f"added_tokens.json gives the id {index} to both {added[index]!r} and {token!r}.")
        added[index] = token
    for index, expected in enumerate(family.added, start=size):
        if expected is not None and expected not in added.values():
            added.setdefault(index, expected)
    for index in range(size, max(added, default=size - 1) + 1):
        names[index] = added.get(index, f"[UNUSED{index}]")
    return {token: index for index, token in names.items()}


def _wordpiece(ids: dict[str, int], do_lower_case: bool) -> Tokenizer:
    backend = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=do_lower_case)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(cleanup=False)
    return backend


def _byte_level_bpe(ids: dict[str, int], merges_file: str, family: Family) -> Tokenizer:
    merges = []
    for line in _read_lines(merges_file):
        left, _, right = line.partition(" ")
        if not line or line.startswith("#version"):
            continue
        if not {left, right, left + right} <= ids.keys():
            raise ValueError(
                f"{merges_file} merges {line!r}, but the vocabulary lacks one of the two tokens or the merged one. The "
                "file belongs to another vocabulary, or is broken. Download both files again."
            )
        merges.append((left, right))
    backend = Tokenizer(models.BPE(ids, merges))
    backend.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(alias, token) for alias, token in family.aliases.items()),
            normalizers.Replace(Regex(r"\A\s+\z"), ""),  # in pretraining, white space alone gave no tokens
        ]
    )
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return backend


def _read_lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return [line.rstrip("\n") for line in file]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}): download the file again.") from error


def _read_words(path: str) -> dict[str, int]:
    vocabulary: dict[str, int] = {}
    for index, word in enumerate(_read_lines(path)):
        if vocabulary.setdefault(word, index) != index:
            raise ValueError(f"{path} has {word!r} in the lines {vocabulary[word] + 1} and {index + 1}.")
    missing = [token for token in BERT.roles.values() if token not in (*vocabulary, *BERT.added)]
    if missing:
        raise ValueError(f"{path} is not BERT's vocabulary: it has no {', '.join(dict.fromkeys(missing))}.")
    return vocabulary


def _read_ids(path: str) -> dict[str, int]:
    ids = read_json(path)
    for token, index in ids.items():
        if type(index) is not int or not 0 <= index < LARGEST_VOCABULARY:
            raise ValueError(
                f"{path} does not map tokens to ids: it gives {reprlib.repr(index)} to {reprlib.repr(token)}, expected "
                f"a whole number from 0 to {LARGEST_VOCABULARY - 1:,}."
            )
    return ids


# The kinds of pieces in a SentencePiece model (sentencepiece_model.proto, ModelProto.SentencePiece.Type).
UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4


class SentencePiece(NamedTuple):
    """A piece of a SentencePiece model, its score and its kind (1 for an ordinary piece)."""

    text: str
    score: float
    kind: int


def _sentencepiece_bpe(ids: dict[str, int], pieces: list[SentencePiece], charsmap: bytes, family: Family) -> Tokenizer:
    unknown = next(piece.text for piece in pieces if piece.kind == UNKNOWN)
    words = {piece.text: piece.score for piece in pieces if piece.kind not in (UNKNOWN, CONTROL, USER_DEFINED)}
    merges = generate_merges({piece: ids[piece] for piece in words}, words)
    # A user-defined piece is not merged from others: it is cut out of the text and looked up directly (ignore_merges).
    backend = Tokenizer(models.BPE(ids, merges, unk_token=unknown, fuse_unk=True, ignore_merges=True))
    # An alias becomes its token, which is found in the normalized text: " [gMASK] " -> "▁[gMASK]".
    aliases = [
        normalizers.Replace(Regex(rf" *(?:{re.escape(alias)}|{re.escape(token)}) *"), f" {token} ")
        for alias, token in family.aliases.items()
    ]
    backend.normalizer = normalizers.Sequence(
        [
            normalizers.Precompiled(charsmap),
            *aliases,
            normalizers.Replace(Regex(" {2,}"), " "),
            normalizers.Strip(),
            normalizers.Replace(" ", "▁"),
            normalizers.Prepend("▁"),
        ]
    )
    cuts = []
    for defined in (re.escape(piece.text) for piece in pieces if piece.kind == USER_DEFINED):
        cuts.append(defined)
        # Behind it, the text of a control piece would stand alone as well. Cut its first character off, so that it is
        # not looked up as that piece: "<n></s>" -> "<n>", "<", "/s>".
        cuts += [
            f"(?<={defined}){re.escape(piece.text[0])}(?={re.escape(piece.text[1:])})"
            for piece in pieces
            if piece.kind in (UNKNOWN, CONTROL)
        ]
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            *([pre_tokenizers.Split(Regex("|".join(cuts)), behavior="isolated")] if cuts else []),
            pre_tokenizers.Split("▁", behavior="merged_with_next"),  # a piece can only have a space at its start
        ]
    )
    # The space at the start of a text and behind a special token was added by SentencePiece.
    specials = "|".join(re.escape(token) for token in dict.fromkeys(family.roles.values()))
    backend.decoder = decoders.Sequence(
        [
            decoders.Replace(unknown, " ⁇ "),
            decoders.Fuse(),
            decoders.Replace(Regex(rf"(?:\A|(?<={specials}))▁"), ""),
            decoders.Replace("▁", " "),
        ]
    )
    return backend


def _read_sentencepiece(path: str) -> tuple[list[SentencePiece], bytes]:
    """
    Read the pieces and the normalization table of a SentencePiece model.

    The protobuf and sentencepiece libraries are not needed. Field numbers are those of sentencepiece_model.proto.
    """
    try:
        with open(path, "rb") as file:
            message = list(_read_fields(file.read()))
        trainer, normalizer = (dict(_read_fields(dict(message)[number])) for number in (2, 3))
        pieces = []
        for number, value in message:
            if number == 1:
                piece = dict(_read_fields(value))
                score = struct.unpack("<f", piece[2])[0]
                pieces.append(SentencePiece(piece[1].decode(), score, piece.get(3, 1)))
    except (IndexError, KeyError, ValueError, struct.error, TypeError) as error:
        raise ValueError(f"{path} is not a complete SentencePiece model: download the file again.") from error
    # Expect model_type BPE and no byte_fallback; a dummy prefix, no extra white space and escaped white space.
    if trainer.get(3) != 2 or trainer.get(35) or not all(normalizer.get(number, 1) for number in (3, 4, 5)):
        raise ValueError(f"{path} is not a SentencePiece model of GLM: expected BPE with the default settings.")
    return pieces, normalizer[2]


def _read_fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the fields (number, value) of a protobuf message. The value of a varint is an int, any other is bytes."""
    position = 0

    def read_varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = message[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while position < len(message):
        number, wire_type = divmod(read_varint(), 8)
        if wire_type == 0:
            yield number, read_varint()
            continue
        length = {1: 8, 5: 4}[wire_type] if wire_type != 2 else read_varint()
        if position + length > len(message):
            raise ValueError("the message ends too early")
        yield number, message[position : position + length]
        position += length


__all__ = ["VOCABULARY_FILES", "build_from_original_files", "read_json"]
