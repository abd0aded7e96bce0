"""
Decide what white space at a blank means.

A mask token takes the white space on its left with it, so `is [MASK]` and `is[MASK]` have the same ids. The model says in
its answer whether white space comes first. This module reads answers from ids, puts them into texts, and lists the ids
that a given answer can have.

If you bring a vocabulary whose mask token leaves the white space to the text, it stays in the text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial, wraps
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from .cutting import keep_around_blanks
from .inputs import check_text, read_id

# The white space that a mask token takes with it. To Python, the four separators \x1c to \x1f are white space as well.
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
# What begins a word in the tokens of SentencePiece and of byte-level vocabularies.
WORD_STARTS = ("▁", "Ġ")
# Answers of one function about one tokenizer.
MOST_REMEMBERED = 16


def remember(find: Callable[..., Any]) -> Callable[..., Any]:
    """
    Remember what a function finds out about a tokenizer, as long as the tokenizer lives.

    The first argument is the tokenizer. What is found must not refer to it, or it would live for ever.
    """
    found: WeakKeyDictionary[Any, dict[tuple, Any]] = WeakKeyDictionary()

    @wraps(find)
    def remembered(tokenizer: Any, *arguments: Any) -> Any:
        of_tokenizer = found.setdefault(tokenizer, {})
        answer = of_tokenizer.get(arguments, of_tokenizer)  # one step, because other threads may clear it
        if answer is of_tokenizer:
            if len(of_tokenizer) >= MOST_REMEMBERED:  # a tokenizer that gets new tokens again and again
                of_tokenizer.clear()
            of_tokenizer[arguments] = answer = find(tokenizer, *arguments)
        return answer

    return remembered


class BlankText(str):
    """
    Hold an answer that the model wrote, as a string without white space around it.

    Args:
        text: The answer without white space around it.
        before: The white space that the ids put in front of the answer. In a filled text it replaces the white space that
            stands before the blank.
        after: The white space at the end of the ids. The filled text shows it.
        token_ids: The tokens of the answer, without start and end of the piece.

    Example:

    ```python
    >>> (answers,) = tokenizer.decode_blanks(model.generate(**inputs))
    >>> answers, answers[0].before
    (['twelve'], ' ')
    ```
    """

    _details: tuple[str, str, tuple[int, ...]]

    def __new__(cls, text: str = "", before: str = "", after: str = "", token_ids: Sequence[int] = ()) -> "BlankText":
        answer = super().__new__(cls, text)
        answer._details = before, after, tuple(token_ids)
        return answer

    @property
    def before(self) -> str:
        """The white space that the ids put in front of the answer."""
        return self._details[0]

    @property
    def after(self) -> str:
        """The white space at the end of the ids."""
        return self._details[1]

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens of the answer, without start and end of the piece."""
        return self._details[2]

    @property
    def literal(self) -> str:
        """The answer with the white space around it."""
        return f"{self.before}{self}{self.after}"

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), *self._details


class PiecesText(str):
    """
    Hold the decoded pieces of a row, one answer per line, and fill the blanks of a text that it is added to.

    `"thirty [gMASK]" + text` is `"thirty-six"` if the piece says so. So the text-generation pipeline of Transformers,
    which adds the decoded ids to the prompt, returns the filled text. A single piece continues a text without blanks.
    Pickles and copies are ordinary strings.

    Args:
        tokenizer: A `GLMTokenizer`.
        token_ids: The ids of pieces, from a start of piece on.
    """

    _tokenizer: Any
    _answers: list[BlankText]

    def __new__(cls, tokenizer: Any, token_ids: Sequence[int]) -> "PiecesText":
        answers = decode_row(tokenizer, token_ids)
        pieces = super().__new__(cls, "\n".join(answers))
        pieces._tokenizer, pieces._answers = tokenizer, answers
        return pieces

    def __radd__(self, text: str) -> str:
        blanks = len(split_at_blanks(self._tokenizer, text)[1])
        if not blanks and len(self._answers) == 1:
            text, blanks = text + self._tokenizer.mask_token, 1  # a chat whose last message continues
        if len(self._answers) > blanks:
            return text + str(self)
        # A blank that the model did not reach is empty.
        answers = [*self._answers, *[BlankText()] * (blanks - len(self._answers))]
        return fill_with_offsets(self._tokenizer, text, answers)[0]

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def decode_piece(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> BlankText:
    """
    Decode the tokens of an answer as they read behind other text.

        ["Ġthe", "Ġdog"]  (byte-level)                      -> before " ", text "the dog"
        ["▁the"]  (SentencePiece)  ["the"]  (WordPiece)     -> before " ", text "the"
        ["the"]  (byte-level, SentencePiece)  ["##the"]     -> before "", text "the"

    Args:
        tokenizer: A `GLMTokenizer`.
        token_ids: The tokens, without start and end of the piece. Special tokens add nothing.
    """
    # A decoder treats the first token differently: SentencePiece drops its space, WordPiece keeps its ##. So decode behind
    # an ordinary token and cut that off.
    anchor, shown = _anchor(tokenizer)
    ids = [int(token_id) for token_id in token_ids]
    return _with_white_space(_decode(tokenizer, [*anchor, *ids])[len(shown) :], ids)


def read_given(tokenizer: PreTrainedTokenizerFast, answer: str, token_ids: Sequence[int]) -> BlankText:
    """
    Put the caller's answer into the white space that its tokens say.

    The words stay as the caller wrote them: decoding may change their case, or not know a sign.

    Args:
        tokenizer: A `GLMTokenizer`.
        answer: The answer.
        token_ids: One of its forms; see `answer_forms`.
    """
    written = decode_piece(tokenizer, token_ids)
    return BlankText(answer.strip(), written.before, written.after, written.token_ids)


def decode_row(tokenizer: Any, row: Sequence[int]) -> list[BlankText]:
    """
    Read the answers of all blanks from a row that `generate` returned.

    Args:
        tokenizer: A `GLMTokenizer`.
        row: The ids of a prompt and of the pieces behind it, or only of the pieces. Negative ids, with which Trainer pads,
            count as nothing.

    Returns:
        The answer of every blank, from left to right. A blank that the model did not reach has an empty answer.
    """
    ids = [int(token_id) for token_id in row if token_id >= 0]
    starts = [index for index, token_id in enumerate(ids) if token_id == tokenizer.sop_token_id]
    context = ids[: starts[0]] if starts else ids
    ends = tokenizer.end_token_ids
    answers = []
    for start, stop in pairwise([*starts, len(ids)]):
        piece = ids[start + 1 : stop]
        end = next((i for i, token_id in enumerate(piece) if token_id in ends), len(piece))
        answers.append(decode_piece(tokenizer, piece[:end]))
    blanks = sum(token_id in tokenizer.mask_token_ids for token_id in context)
    return answers + [BlankText()] * (blanks - len(answers))


def split_at_blanks(tokenizer: Any, text: str) -> tuple[list[str], list[str]]:
    """Split a text at its blanks, into the parts around them and the mask tokens. Raises a ValueError for no string."""
    if not isinstance(text, str):
        check_text(text, "The text")
    found = re.split(f"({_mask_pattern(tokenizer)})", text)
    return found[::2], found[1::2]


def fill_with_offsets(
    tokenizer: Any, text: str, answers: Sequence[str] | Mapping[int, str]
) -> tuple[str, list[tuple[int, int]]]:
    """
    Fill blanks of a text, and say where the answers stand.

    What the caller wrote stays as it is, except for the white space at a blank:

    - A `BlankText`, which the model wrote, brings its own white space.
    - A string with white space in front is literal: it replaces the white space before its blank.
    - Another string goes behind the white space of the text.
    - An empty string removes the white space before its blank.

    At the start of a text, an answer has a space only if the tokenizer decodes it with one there.

    Args:
        tokenizer: A `GLMTokenizer`.
        text: A text with blanks.
        answers: One answer for every blank; or, by the number of the blank, the answers of some of them. The others keep
            their mask token.

    Returns:
        The filled text, and for every blank the start and end of its answer, without white space around it.

    Raises:
        ValueError: If a list does not have one answer for every blank.
    """
    filled, offsets, _ = place_answers(tokenizer, text, answers)
    return filled, offsets


def place_answers(
    tokenizer: Any, text: str, answers: Sequence[str] | Mapping[int, str]
) -> tuple[str, list[tuple[int, int]], list[BlankText]]:
    """Fill blanks as `fill_with_offsets`, and return the answers, too: each with the white space that fills it so again."""
    parts, masks = split_at_blanks(tokenizer, text)
    if isinstance(answers, Mapping):
        for blank in answers:
            if read_id(blank, "The number of a blank in answers") not in range(len(masks)):
                raise ValueError(f"answers has blank {blank}, but the text has {len(masks)} blanks: {text!r}.")
        listed = [answers.get(blank, mask) for blank, mask in enumerate(masks)]
    else:
        listed = list(answers)
    if len(listed) != len(masks):
        raise ValueError(f"The text has {len(masks)} blanks, but {len(listed)} answers are given: {text!r}.")
    for blank, answer in enumerate(listed):
        if not isinstance(answer, str):
            check_text(answer, f"answers[{blank}]")
    filled: list[str] = []
    length, begun, offsets, shown = 0, False, [], []
    for part, mask, answer in zip(parts, masks, listed, strict=False):
        written = answer if isinstance(answer, BlankText) else _with_white_space(answer)
        kept = _without_taken(tokenizer, part, mask)
        if not (isinstance(answer, BlankText) or not answer or written.before):
            written = BlankText(written, part[len(kept) :], written.after)
        begun = begun or bool(kept.strip())
        before = written.before if begun else _space_at_the_start(tokenizer, written)
        start = length + len(kept) + len(before)
        offsets.append((start, start + len(written)))
        filled += (kept, before, written, written.after)
        length = start + len(written) + len(written.after)
        begun = begun or bool(written)
        shown.append(written)
    return "".join([*filled, parts[-1]]), offsets, shown


def answer_forms(tokenizer: PreTrainedTokenizerFast, answer: str) -> list[tuple[int, ...]]:
    """
    List the ids that a given answer can have.

    Args:
        tokenizer: A `GLMTokenizer`.
        answer: The answer. With white space in front it is literal and has one form. Without, it stands for the word
            behind a space and for the word glued to what stands before. A `BlankText` has the form that the model wrote.

    Returns:
        The different forms: one or two. An empty answer has the form `()`.
    """
    return forms_of_answers(tokenizer, [answer])[0]


def forms_of_answers(tokenizer: PreTrainedTokenizerFast, answers: Sequence[str]) -> list[list[tuple[int, ...]]]:
    """
    List the ids that each of many answers can have, as `answer_forms` does for one. They are encoded together.

    Args:
        tokenizer: A `GLMTokenizer`.
        answers: The answers.

    Returns:
        For every answer its different forms, in the order given.
    """
    # An f-string would write the name of a member of an Enum.
    texts = [answer.literal if isinstance(answer, BlankText) else str.__str__(answer) for answer in answers]
    is_literal = [not text or text[0].isspace() for text in texts]
    wanted = [
        form
        for text, literal in zip(texts, is_literal, strict=True)
        for form in ([text] if literal else [f" {text}", text])
    ]
    encoded = iter(_encode_all(tokenizer, wanted))
    begins_word = lru_cache(maxsize=None)(partial(_begins_word, tokenizer))
    listed = []
    for answer, text, literal in zip(answers, texts, is_literal, strict=True):
        forms = [next(encoded)]
        if not literal:
            glued = _glued_form(tokenizer, text, next(encoded), begins_word)
            forms += [] if glued is None or glued == forms[0] else [glued]
        # Tokens of a `BlankText` may come from another vocabulary. Or the caller wrote it, and decoding changes its case.
        if isinstance(answer, BlankText) and (
            answer.token_ids in forms
            or (answer.token_ids and decode_piece(tokenizer, answer.token_ids).literal == text)
        ):
            forms = [answer.token_ids]
        listed.append(forms)
    return listed


def shown_form(tokenizer: PreTrainedTokenizerFast, before: str, answer: str) -> tuple[int, ...]:
    """
    Encode an answer as the text shows it: behind a space, or glued to what stands before.

    Use it for training targets. Where answers are compared, use `answer_forms`.

    Args:
        tokenizer: A `GLMTokenizer`.
        before: The text in front of the blank.
        answer: The answer. With white space in front it is literal.
    """
    is_spaced = before != _without_taken(tokenizer, before, tokenizer.mask_token)
    if is_spaced and answer and not (isinstance(answer, BlankText) or answer[0].isspace()):
        return _encode(tokenizer, f" {answer}")  # one of its forms, without computing the other
    forms = answer_forms(tokenizer, answer)
    if len(forms) == 1 or is_spaced:
        return forms[0]
    # WordPiece glues words, but not a word and a sign: "(hot" is "(", "hot".
    if not before or _is_split(tokenizer, before[-1], answer):
        return _encode(tokenizer, answer)
    return forms[1]


def encode_text(tokenizer: Any, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
    """
    Encode texts in which only masks are special.

    Another special token in such a text is ordinary characters. Texts without one get the ids that the tokenizer gives
    them.

    Args:
        tokenizer: A `GLMTokenizer`.
        texts: The texts.
        max_length: Most ids of a text. A text with more is cut around its blanks; see `keep_around_blanks`. None cuts
            nothing.

    Returns:
        The ids of every text, with the special tokens around it.

    Raises:
        ValueError: If the blanks of a text alone are too many for `max_length`.
    """
    if not texts:
        return []
    around = tokenizer(tokenizer.mask_token)["input_ids"]
    encoded = encode_bare(tokenizer, texts)
    return [_surround(tokenizer, ids, around, text, max_length) for text, ids in zip(texts, encoded, strict=True)]


def encode_around_blanks(
    tokenizer: Any, parts: Sequence[str | Sequence[str]], max_length: int | None = None
) -> list[int]:
    """
    Encode a text that is given as the parts around its blanks.

    No token is special in a part: a mask token there is ordinary characters. A text without special tokens gets the ids
    that `encode_text` gives it.

        ["Ice is ", "."]  ->  [CLS] Ice is [MASK] . <eos>

    Args:
        tokenizer: A `GLMTokenizer`.
        parts: The parts, one more than the text has blanks. A part may be a list of texts that are tokenized one by one.
            White space at the end of the last one belongs to the blank behind it.
        max_length: Most ids, as in `encode_text`.

    Returns:
        The ids of the text, with the special tokens around it.
    """
    whole = [part if isinstance(part, str) else "".join(part) for part in parts]
    text = tokenizer.mask_token.join(whole)
    if any(not isinstance(part, str) for part in parts):
        ids = _encode_one_by_one(tokenizer, [[part] if isinstance(part, str) else part for part in parts])
    else:
        (ids,) = tokenizer([text], add_special_tokens=False, verbose=False)["input_ids"]
        masks = [tokenizer.mask_token] * (len(parts) - 1)
        blanks, others = _special_ids(tokenizer)
        if _has_others(ids, blanks, others, len(masks)):
            ids = _encode_parts(tokenizer, whole, masks, blanks | others)
    return _surround(tokenizer, ids, tokenizer(tokenizer.mask_token)["input_ids"], text, max_length)


def _encode_one_by_one(tokenizer: Any, parts: Sequence[Sequence[str]]) -> list[int]:
    """Encode the texts of every part one by one, as `encode_segments` of patterns does: white space alone has no tokens."""
    ids: list[int] = []
    for number, texts in enumerate(parts):
        texts = list(texts)
        if texts and number < len(parts) - 1:
            texts[-1] = texts[-1].rstrip(WHITE_SPACE)
        encoded = _encode_all(tokenizer, [text for text in texts if text.strip()])
        ids += [tokenizer.mask_token_id] * (number > 0)
        ids += [token_id for row in encoded for token_id in row]
    return ids


def _surround(tokenizer: Any, ids: list[int], around: list[int], text: str, max_length: int | None) -> list[int]:
    """Cut the ids of a text around its blanks, and put what stands around a lone mask token around them."""
    place = around.index(tokenizer.mask_token_id)
    # A text that ends with [gMASK] continues there: it has no end.
    continues = bool(ids) and ids[-1] == tokenizer.gmask_token_id
    start, end = around[:place], [] if continues else around[place + 1 :]
    if max_length is not None:
        masks = set(tokenizer.mask_token_ids)
        room = max(0, max_length - len(start) - len(end))
        kept = keep_around_blanks([token_id in masks for token_id in ids], room, tokenizer.truncation_side)
        if kept is None:
            blanks = sum(token_id in masks for token_id in ids)
            raise ValueError(
                f"The text has {blanks} blanks, but cutting it leaves room for {room} tokens: a blank would be lost. "
                f"Use fewer blanks in {text[:80]!r}..."
            )
        ids = [ids[index] for index in kept]
    return [*start, *ids, *end]


def encode_bare(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """
    Encode texts in which only masks are special, without the special tokens around them; see `encode_text`.

    Args:
        tokenizer: A `GLMTokenizer`.
        texts: The texts.
    """
    blanks, others = _special_ids(tokenizer)
    find_masks = re.compile(_mask_pattern(tokenizer)).findall
    rows = []
    encoded = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    for text, ids in zip(texts, encoded, strict=True):
        if _has_others(ids, blanks, others, len(find_masks(text))):
            ids = _encode_parts(tokenizer, *split_at_blanks(tokenizer, text), blanks | others)
        rows.append(ids)
    return rows


def _special_ids(tokenizer: Any) -> tuple[set[int], set[int]]:
    """Return the ids of the mask tokens, and of all other special tokens."""
    masks = set(tokenizer.mask_token_ids)
    return masks, {token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special} - masks


def _has_others(ids: Sequence[int], blanks: set[int], others: set[int], expected: int) -> bool:
    """Return whether ids of a text have special tokens beside the expected number of blanks."""
    return bool(others.intersection(ids)) or sum(token_id in blanks for token_id in ids) != expected


def _encode_parts(tokenizer: Any, parts: Sequence[str], masks: Sequence[str], special: set[int]) -> list[int]:
    """Encode a text part by part, each with the masks around it. Special tokens in a part become characters."""
    ids: list[int] = []
    for part, left, right in zip(parts, ["", *masks], [*masks, ""], strict=True):
        around = [int(bool(left)), int(bool(right))]
        inner = tokenizer(f"{left}{part}{right}", add_special_tokens=False, verbose=False)["input_ids"]
        inner = inner[around[0] : len(inner) - around[1]]
        if special.intersection(inner):
            inner = list(_encode(tokenizer, _without_taken(tokenizer, part, right) if right else part))
        ids += [*inner, *([tokenizer.convert_tokens_to_ids(right)] if right else [])]
    return ids


def _without_taken(tokenizer: Any, text: str, mask: str) -> str:
    """Remove the white space at the end of a text that a mask behind it takes with it."""
    return text.rstrip(WHITE_SPACE) if _takes_white_space(tokenizer, mask) else text


@remember
def _takes_white_space(tokenizer: Any, mask: str) -> bool:
    spaced, glued = tokenizer([f"a {mask}", f"a{mask}"], add_special_tokens=False)["input_ids"]
    return spaced == glued


def _mask_pattern(tokenizer: Any) -> str:
    return "|".join(map(re.escape, tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)))


def _with_white_space(text: str, token_ids: Sequence[int] = ()) -> BlankText:
    """Take the white space around a text apart from it."""
    begun = text.lstrip()
    answer = begun.rstrip()
    return BlankText(answer, text[: len(text) - len(begun)], begun[len(answer) :], token_ids)


def _space_at_the_start(tokenizer: PreTrainedTokenizerFast, answer: BlankText) -> str:
    """Find the white space of an answer that nothing stands before: WordPiece and SentencePiece decode it without."""
    if answer.token_ids and not _decode(tokenizer, answer.token_ids)[:1].isspace():
        return ""
    return answer.before


def _glued_form(
    tokenizer: PreTrainedTokenizerFast,
    answer: str,
    plain: tuple[int, ...],
    begins_word: Callable[[int], bool | None],
) -> tuple[int, ...] | None:
    """
    Encode an answer that no space separates from what stands before. Returns None if the vocabulary cannot.

    Args:
        tokenizer: A `GLMTokenizer`.
        answer: The answer.
        plain: Its ids as a text of its own.
        begins_word: Says of a first token whether a space is in front; see `_begins_word`.
    """
    if not plain:
        return plain
    begun = begins_word(plain[0])
    if not (bool(decode_piece(tokenizer, plain).before) if begun is None else begun):
        return plain
    # WordPiece, SentencePiece and some byte-level vocabularies begin every text with the start of a word. Spell the first
    # word without it, as the vocabulary spells what follows inside a word.
    (first, *later), model = _words(tokenizer, answer), _backend(tokenizer).model
    prefix = _continuing_prefix(tokenizer)
    if prefix and not _is_split(tokenizer, "a", answer):  # a sign never continues a word: "a-six" is "a", "-", "six"
        inside = f"{prefix}{first}"
    elif not prefix and first.startswith(WORD_STARTS):
        inside = first[1:]
    else:
        return None
    glued = tuple(token.id for word in (inside, *later) if word for token in model.tokenize(word))
    shown, expected = decode_piece(tokenizer, glued), decode_piece(tokenizer, plain)
    return glued if not shown.before and shown == expected else None


def _begins_word(tokenizer: PreTrainedTokenizerFast, token_id: int) -> bool | None:
    """Return whether a space stands in front of all answers that begin with a token, or None if the next tokens decide."""
    if tokenizer.clean_up_tokenization_spaces or _continuing_prefix(tokenizer):
        return None
    written = decode_piece(tokenizer, [token_id])
    return bool(written.before) if written else None


def _continuing_prefix(tokenizer: Any) -> str | None:
    return getattr(_backend(tokenizer).model, "continuing_subword_prefix", None)


def _is_split(tokenizer: PreTrainedTokenizerFast, before: str, answer: str) -> bool:
    """Return whether WordPiece begins a new word between a character and an answer. Other vocabularies never do."""
    if not _continuing_prefix(tokenizer):
        return False
    return _words(tokenizer, before + answer)[:1] == _words(tokenizer, before)


def _words(tokenizer: PreTrainedTokenizerFast, text: str) -> list[str]:
    """Split a text into the words that the model of the vocabulary spells, one by one."""
    backend = _backend(tokenizer)
    if backend.normalizer is not None:
        text = backend.normalizer.normalize_str(text)
    return [text] if backend.pre_tokenizer is None else [w for w, _ in backend.pre_tokenizer.pre_tokenize_str(text)]


def _backend(tokenizer: Any) -> Tokenizer:
    """Return the backend to read it. The public property says that somebody may change it."""
    return tokenizer._tokenizer


def _encode(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[int, ...]:
    return tuple(tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"])


def _encode_all(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[tuple[int, ...]]:
    if not texts:
        return []
    rows = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True, verbose=False)["input_ids"]
    return list(map(tuple, rows))


def _decode(tokenizer: PreTrainedTokenizerFast, token_ids: Sequence[int]) -> str:
    return str(tokenizer.decode(list(token_ids), skip_special_tokens=True))


@remember
def _anchor(tokenizer: PreTrainedTokenizerFast) -> tuple[tuple[int, ...], str]:
    """Find tokens of ordinary text, and what they decode to."""
    tokens = _encode(tokenizer, "a")
    if _decode(tokenizer, tokens).strip() == "a":
        return tokens, _decode(tokenizer, tokens)
    for token_id in range(len(tokenizer)):
        shown = _decode(tokenizer, [token_id])
        if shown.strip() and "\ufffd" not in shown:
            return (token_id,), shown
    return (), ""


__all__ = [
    "BlankText",
    "PiecesText",
    "answer_forms",
    "decode_piece",
    "decode_row",
    "encode_around_blanks",
    "encode_bare",
    "encode_text",
    "fill_with_offsets",
    "forms_of_answers",
    "place_answers",
    "read_given",
    "shown_form",
    "split_at_blanks",
]
