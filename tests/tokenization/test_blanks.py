"""White space at a blank: what ids say of it, how texts are filled, and the ids that a given answer can have."""

import copy
import enum
import gc
import json
import pickle
import string
import sys
import time
import weakref

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from modeling_glm import BlankConstraint, GLMTokenizer
from modeling_glm.tokenization.blanks import (
    WHITE_SPACE,
    BlankText,
    answer_forms,
    decode_piece,
    decode_row,
    encode_text,
    fill_with_offsets,
    forms_of_answers,
    remember,
    shown_form,
    split_at_blanks,
)
from tests.support.original_files import golden_records

FAMILIES = ["own", "gpt2", "roberta", "bert", "chinese"]
BYTE_LEVEL = ["own", "gpt2", "roberta"]
# White space of Unicode. A mask takes all of it.
SPACES = ["", " ", "  ", "\t", "\n", " \n ", "\u00a0", "\u3000", "\u2009", "\u2028", "\x85", "\r\n"]
WORDS = st.text(string.ascii_letters + string.digits + "-.,'()éßЖω北京の😀", min_size=1, max_size=8)
SPACE = st.sampled_from(SPACES)


@st.composite
def texts_with_blanks(draw) -> tuple[list[str], list[str], list[str]]:
    """Parts of a text without white space at their ends, and two ways to put white space between them and the masks."""
    words = draw(st.lists(st.lists(WORDS, max_size=3).map(" ".join), min_size=2, max_size=4))
    blanks = len(words) - 1
    return words, *(draw(st.lists(SPACE, min_size=blanks, max_size=blanks)) for _ in range(2))


def join(words: list[str], spaces: list[str], mask: str = "[MASK]") -> str:
    return words[0] + "".join(space + mask + word for space, word in zip(spaces, words[1:], strict=True))


def tokens(tokenizer, ids) -> list[str]:
    return tokenizer.convert_ids_to_tokens(list(ids))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("space", SPACES)
def test_a_mask_takes_all_white_space_on_its_left(of_family, family, space):
    tokenizer = of_family(family)
    assert tokenizer(f"the{space}[MASK].")["input_ids"] == tokenizer("the[MASK].")["input_ids"]


@pytest.mark.parametrize(
    ("family", "written", "before", "text"),
    [
        ("gpt2", ["Ġthe", "Ġdog"], " ", "the dog"),
        ("gpt2", ["the", "Ġdog"], "", "the dog"),
        ("gpt2", ["Ċ", "Ġ", "Ġthe"], "\n  ", "the"),
        ("roberta", ["-", "six"], "", "-six"),
        ("bert", ["the", "dog"], " ", "the dog"),
        ("bert", ["##ve"], "", "ve"),
        ("bert", ["##ve", "##ve", "dog"], "", "veve dog"),
        ("bert", ["[CLS]", "dog"], " ", "dog"),
        ("chinese", ["▁the", "▁d", "og"], " ", "the dog"),
        ("chinese", ["北京"], "", "北京"),
        ("chinese", ["▁", "北京"], " ", "北京"),
        ("chinese", [], "", ""),
    ],
)
def test_pieces_by_hand(of_family, family, written, before, text):
    tokenizer = of_family(family)
    ids = tokenizer.convert_tokens_to_ids(written)
    answer = decode_piece(tokenizer, ids)
    assert (answer, answer.before, answer.after, answer.token_ids) == (text, before, "", tuple(ids))
    assert answer.literal == before + text


def test_white_space_behind_an_answer_is_kept(of_family):
    tokenizer = of_family("gpt2")
    answer = decode_piece(tokenizer, tokenizer.convert_tokens_to_ids(["Ġthe", "Ġ", "Ċ"]))
    assert (answer, answer.before, answer.after) == ("the", " ", " \n")
    assert tokenizer.fill("a[MASK]b", [answer]) == "a the \nb"
    blank = decode_piece(tokenizer, tokenizer.convert_tokens_to_ids(["Ġ", "Ċ"]))
    assert (blank, blank.before) == ("", " \n")
    assert fill_with_offsets(tokenizer, "a [MASK]b", [blank]) == ("a \nb", [(3, 3)])


def test_an_answer_is_a_string_that_can_be_copied():
    answer = BlankText("six", "-", " ", [3, 4])
    assert answer == "six"
    assert hash(answer) == hash("six")
    assert str(answer) == "six"
    assert type(str(answer)) is str
    for other in (pickle.loads(pickle.dumps(answer)), copy.copy(answer), copy.deepcopy(answer)):
        assert (other, other.before, other.after, other.token_ids) == ("six", "-", " ", (3, 4))
    assert (BlankText(), BlankText().token_ids) == ("", ())
    with pytest.raises(AttributeError):
        answer.before = ""


@pytest.mark.parametrize(
    ("text", "answers", "filled"),
    [
        # The user's words stand behind the user's white space.
        ("The [MASK] runs [MASK].", ["dog", "home"], "The dog runs home."),
        ("un[MASK]able", ["think"], "unthinkable"),
        ("a\n[MASK]", ["b"], "a\nb"),
        # With white space in front, an answer is literal.
        ("is[MASK].", [" hot"], "is hot."),
        ("is [MASK].", ["\nhot"], "is\nhot."),
        # An empty answer takes the white space before its blank with it.
        ("not [MASK].", [""], "not."),
        ("a [MASK] [MASK] b", ["", "x"], "a x b"),
        # What a model wrote brings its white space.
        ("thirty [MASK].", [BlankText("-six")], "thirty-six."),
        ("is[MASK].", [BlankText("hot", " ")], "is hot."),
        ("is [MASK][MASK].", [BlankText("very", " "), BlankText("hot", " ", "\n")], "is very hot\n."),
        ("[MASK] [MASK]", [BlankText("x", "", " "), BlankText("y", " ")], "x  y"),
        ("not [MASK].", [BlankText()], "not."),
    ],
)
def test_filling_by_hand(tokenizer, text, answers, filled):
    found, offsets = tokenizer.fill_with_offsets(text, answers)
    assert found == tokenizer.fill(text, answers) == filled
    assert [found[start:end] for start, end in offsets] == [answer.strip() for answer in answers]


def test_a_mask_that_leaves_white_space_to_the_text(tokenizer):
    """In a vocabulary of the user the mask may be an ordinary token: then the space before it is a token of the text."""
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in backend["added_tokens"]:
        token["lstrip"] = False
    own = GLMTokenizer(tokenizer_object=Tokenizer.from_str(json.dumps(backend)))
    assert own("a [MASK]")["input_ids"] != own("a[MASK]")["input_ids"]
    assert own.fill("thirty [MASK].", [BlankText("-six")]) == "thirty -six."
    assert own.fill("thirty[MASK].", [BlankText("six", " ")]) == "thirty six."
    assert own.fill("is [MASK].", ["hot"]) == "is hot."
    assert shown_form(own, "is ", "dog") == answer_forms(own, "dog")[1]
    text = "a [CLS] b [MASK]"
    (ids,) = encode_text(own, [text])
    assert own.decode(ids, skip_special_tokens=False) == f"[CLS]{text}<|endoftext|>"


def test_some_blanks_are_filled(tokenizer):
    assert tokenizer.fill_some("a [MASK] b [sMASK] c[gMASK]", {1: "x", 2: BlankText("y", " ")}) == "a [MASK] b x c y"
    with pytest.raises(ValueError, match="2 blanks, but 1 answers"):
        tokenizer.fill("[MASK] and [MASK]", ["one"])
    assert split_at_blanks(tokenizer, "a [MASK] b[gMASK]") == (["a ", " b", ""], ["[MASK]", "[gMASK]"])


@pytest.mark.parametrize(("family", "start"), [("gpt2", " the"), ("bert", "the"), ("chinese", "the")])
@pytest.mark.parametrize("before", ["", " ", "\n"])
def test_at_the_start_of_a_text(of_family, family, start, before):
    """Byte-level tokens say whether a space comes first. The other vocabularies begin every word with one."""
    tokenizer = of_family(family)
    answer = decode_piece(tokenizer, answer_forms(tokenizer, " the")[0])
    assert tokenizer.fill(f"{before}[MASK] dog", [answer]) == f"{start} dog"


@pytest.mark.parametrize(
    ("family", "answer", "forms"),
    [
        ("gpt2", "six", [["Ġsix"], ["six"]]),
        ("gpt2", " six", [["Ġsix"]]),
        ("gpt2", "\nsix", [["Ċ", "six"]]),
        ("gpt2", "-six", [["Ġ-", "six"], ["-", "six"]]),
        ("roberta", "the dog", [["Ġthe", "Ġdog"], ["the", "Ġdog"]]),
        ("bert", "ve", [["ve"], ["##ve"]]),
        ("bert", "Kapital", [["ka", "##pit", "##al"], ["##ka", "##pit", "##al"]]),
        ("bert", "-six", [["-", "six"]]),
        ("bert", "北京", [["北", "京"]]),
        ("chinese", "the dog", [["▁the", "▁d", "og"], ["the", "▁d", "og"]]),
        ("chinese", "北京", [["▁北京"], ["北京"]]),
        ("chinese", " 北京", [["▁北京"]]),
        ("chinese", "<n>", [["▁", "<n>"], ["<n>"]]),
        ("own", "", [[]]),
    ],
)
def test_forms_of_an_answer_by_hand(of_family, family, answer, forms):
    tokenizer = of_family(family)
    assert [tokens(tokenizer, form) for form in answer_forms(tokenizer, answer)] == forms


@pytest.mark.parametrize("family", FAMILIES)
@given(answer=st.lists(WORDS, min_size=1, max_size=3).map(" ".join))
@settings(max_examples=50)
def test_forms_differ_in_the_white_space_in_front(of_family, family, answer):
    tokenizer = of_family(family)
    forms = answer_forms(tokenizer, answer)
    assert 1 <= len(forms) == len(set(forms)) <= 2
    read = [decode_piece(tokenizer, form) for form in forms]
    assert len(set(read)) == 1
    assert [piece.before for piece in read][1:] in ([], [""])
    assert forms[0] == answer_forms(tokenizer, f" {answer}")[0]
    # What a model wrote has the form that it wrote.
    assert [answer_forms(tokenizer, piece) for piece in read] == [[form] for form in forms]
    # That holds as well if the caller's case is kept.
    kept = [BlankText(answer, piece.before, piece.after, piece.token_ids) for piece in read]
    assert [answer_forms(tokenizer, piece) for piece in kept] == [[form] for form in forms]


@pytest.mark.parametrize("family", BYTE_LEVEL)
@given(answer=WORDS)
@settings(max_examples=30)
def test_byte_level_forms_say_the_answer(of_family, family, answer):
    tokenizer = of_family(family)
    assert [decode_piece(tokenizer, form).literal for form in answer_forms(tokenizer, answer)] == [
        f" {answer}",
        answer,
    ]


def test_an_answer_of_another_vocabulary_is_read_as_text(of_family):
    written = decode_piece(of_family("gpt2"), answer_forms(of_family("gpt2"), " dog")[0])
    assert [tokens(of_family("roberta"), form) for form in answer_forms(of_family("roberta"), written)] == [["Ġdog"]]
    assert answer_forms(of_family("gpt2"), BlankText("dog")) == answer_forms(of_family("gpt2"), "dog")
    assert answer_forms(of_family("gpt2"), BlankText("dog", " ")) == answer_forms(of_family("gpt2"), " dog")


@pytest.mark.parametrize(
    ("family", "before", "answer", "shown"),
    [
        ("gpt2", "is ", "hot", ["Ġhot"]),
        ("gpt2", "is\n", "hot", ["Ġhot"]),
        ("gpt2", "is", "hot", ["hot"]),
        ("gpt2", "is", " hot", ["Ġhot"]),
        ("gpt2", "", "hot", ["hot"]),
        ("bert", "is ", "hot", ["hot"]),
        ("bert", "th", "ve", ["##ve"]),
        ("bert", "(", "ve", ["ve"]),
        ("bert", "", "ve", ["ve"]),
        ("chinese", "是", "北京", ["北京"]),
        ("chinese", "是 ", "北京", ["▁北京"]),
        ("chinese", "", "北京", ["▁北京"]),
    ],
)
def test_the_form_that_a_text_shows(of_family, family, before, answer, shown):
    tokenizer = of_family(family)
    assert tokens(tokenizer, shown_form(tokenizer, before, answer)) == shown


@pytest.mark.parametrize("family", BYTE_LEVEL)
@given(before=WORDS, answer=WORDS, space=st.sampled_from(["", " "]))
@settings(max_examples=30)
def test_shown_forms_fill_the_text_as_it_is_spaced(of_family, family, before, answer, space):
    tokenizer = of_family(family)
    written = decode_piece(tokenizer, shown_form(tokenizer, before + space, answer))
    assert tokenizer.fill(f"{before}{space}[MASK].", [written]) == f"{before}{space}{answer}."


@pytest.mark.parametrize("family", FAMILIES)
@given(texts=texts_with_blanks(), data=st.data())
@settings(max_examples=40)
def test_texts_with_the_same_ids_are_filled_alike(of_family, family, texts, data):
    """The filled text is what the ids say, inside the user's own text; offsets are of that text."""
    tokenizer = of_family(family)
    words, first, second = texts
    one, other = join(words, first), join(words, second)
    assert tokenizer(one)["input_ids"] == tokenizer(other)["input_ids"]
    ids = st.lists(st.integers(0, len(tokenizer) - 1).filter(lambda i: i not in tokenizer.all_special_ids), max_size=4)
    pieces = [data.draw(ids) for _ in first]
    row = tokenizer(one)["input_ids"] + [i for piece in pieces for i in [tokenizer.sop_token_id, *piece]]
    answers = decode_row(tokenizer, [*row, tokenizer.eop_token_id, -100, -100])
    assert [list(answer.token_ids) for answer in answers] == pieces
    filled, offsets = fill_with_offsets(tokenizer, one, answers)
    assert (filled, offsets) == fill_with_offsets(tokenizer, other, answers)
    assert [filled[start:end] for start, end in offsets] == answers
    # Behind a word, an answer reads as the tokenizer decodes it there; between the answers stands the user's own text.
    expected = words[0]
    for answer, word in zip(answers, words[1:], strict=True):
        alone = tokenizer.decode(answer.token_ids)
        at_start = not expected.strip() and not alone[:1].isspace()
        expected += (answer.literal.lstrip() if at_start and answer.token_ids else answer.literal) + word
    assert filled == expected


@pytest.mark.parametrize("family", BYTE_LEVEL)
@given(texts=texts_with_blanks(), answers=st.lists(st.tuples(SPACE, WORDS), min_size=3, max_size=3))
@settings(max_examples=40)
def test_a_filled_text_has_the_ids_of_its_pieces(of_family, family, texts, answers):
    """Byte-level tokens in the place of the masks decode to exactly the filled text."""
    tokenizer = of_family(family)
    words, spaces, _ = texts
    assume(words[0])
    text = join(words, spaces)
    pieces = [answer_forms(tokenizer, before + answer)[0] for before, answer in answers[: len(spaces)]]
    ids, rest = [], list(pieces)
    for token_id in tokenizer(text, add_special_tokens=False)["input_ids"]:
        ids += rest.pop(0) if token_id == tokenizer.mask_token_id else [token_id]
    written = [decode_piece(tokenizer, piece) for piece in pieces]
    assert tokenizer.fill(text, written) == tokenizer.decode(ids)


def test_predictions_of_trainer_are_decoded(tokenizer):
    """Trainer pads predictions with -100 on either side."""
    cat, dog = (answer_forms(tokenizer, word)[0] for word in (" cat", " dog"))
    row = [*tokenizer("a [MASK] b [MASK]")["input_ids"], tokenizer.sop_token_id, *cat, tokenizer.sop_token_id, *dog]
    rows = [[*row, -100, -100], [-100, -100, *row]]
    for sequences in (rows, torch.tensor(rows), np.array(rows), tuple(map(tuple, rows))):
        assert tokenizer.decode_blanks(sequences) == [["cat", "dog"]] * 2
    assert tokenizer.decode_blanks([[-100, -100]]) == [[]]


@pytest.mark.parametrize("family", ["gpt2", "roberta", "bert", "chinese"])
def test_texts_without_special_tokens_keep_their_ids(of_family, family):
    """On the golden texts, many of which have masks; also in the way that other texts take."""
    tokenizer = of_family(family)
    structure = set(tokenizer.all_special_ids) - set(tokenizer.mask_token_ids)
    texts = [record["text"] for record in golden_records(family)]
    ids = dict(zip(texts, tokenizer(texts, add_special_tokens=False)["input_ids"], strict=True))
    plain = [text for text in texts if not structure & set(ids[text])]
    assert len(plain) > 100
    assert sum("[MASK]" in text for text in plain) > 10
    assert encode_text(tokenizer, plain) == tokenizer(plain)["input_ids"]
    assert encode_text(tokenizer, []) == []


@pytest.mark.parametrize("family", FAMILIES)
@given(texts=texts_with_blanks(), data=st.data())
@settings(max_examples=25)
def test_only_masks_are_special_in_a_text(of_family, family, texts, data):
    """A special token in a text is the characters that it is written with; masks remain masks."""
    tokenizer = of_family(family)
    words, spaces, _ = texts
    special = [token for token in tokenizer.all_special_tokens if token not in ("[MASK]", "[sMASK]", "[gMASK]")]
    number = data.draw(st.integers(0, len(words) - 1))
    words[number] += f" x{data.draw(st.sampled_from(special))}x"
    (ids,) = encode_text(tokenizer, [join(words, spaces)])
    assert ids.count(tokenizer.mask_token_id) == len(spaces)
    unknown = {tokenizer.unk_token_id} - {None}
    assert not (set(tokenizer.all_special_ids) - {tokenizer.mask_token_id} - unknown) & set(ids[1:-1])
    expected = [
        tokenizer(word, add_special_tokens=False, split_special_tokens=True)["input_ids"] if word.strip() else []
        for word in words
    ]
    around = tokenizer("[MASK]")["input_ids"]
    inner = [token for word in expected for token in [*word, tokenizer.mask_token_id]][:-1]
    assert ids == [around[0], *inner, around[2]]


def test_a_text_to_be_continued_has_no_end(tokenizer):
    (ids,) = encode_text(tokenizer, ["a <|startofpiece|> b [gMASK]"])
    assert ids[-1] == tokenizer.gmask_token_id
    assert tokenizer.sop_token_id not in ids
    assert (
        encode_text(tokenizer, ["a [gMASK]", "a [gMASK] ", ""]) == tokenizer(["a [gMASK]", "a [gMASK] ", ""]).input_ids
    )


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("text", ["囧龘 [MASK] 囧 x", "\U0001f600[MASK] \U0001f600", "\ue000 [gMASK]", " [MASK]\t"])
def test_signs_that_the_vocabulary_lacks_are_not_structure(of_family, family, text):
    tokenizer = of_family(family)
    assert encode_text(tokenizer, [text]) == [tokenizer(text)["input_ids"]]


EDGES = [
    "six",
    "  x",
    "x ",
    "-six",
    "(hot",
    "日本",
    "日 本",
    "\u3000a",
    "n't",
    ".",
    "...",
    "",
    "[MASK]",
    "\x1ca",
    "a😀",
    "\u0301a",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_have_the_same_forms_alone_and_together(family, of_family):
    """Together, the first token of an answer is looked up. Alone here, the answer is decoded."""
    tokenizer = of_family(family)
    written = [decode_piece(tokenizer, [first, first + 1]) for first in range(40, 300, 13)]
    answers = [*EDGES, *EDGES, *written, BlankText("Six", " ", "", (1, 2)), "##x", "▁x", "Ġx"]
    together = forms_of_answers(tokenizer, answers)
    assert together == [answer_forms(tokenizer, answer) for answer in answers]
    for answer, forms in zip(answers, together, strict=True):
        if type(answer) is not str or not answer or answer[0].isspace():
            continue
        plain = tuple(tokenizer(answer, add_special_tokens=False, split_special_tokens=True)["input_ids"])
        assert not plain or decode_piece(tokenizer, plain).before or forms[-1] == plain
    assert forms_of_answers(tokenizer, []) == []


def test_what_is_known_of_a_tokenizer_goes_with_it(tokenizer):
    asked = []

    @remember
    def find(tokenizer, *names):
        asked.append(names)
        return names

    own = copy.deepcopy(tokenizer)
    assert find(own, "a") == find(own, "a") == ("a",)
    assert find(tokenizer, "a") == ("a",)
    assert asked == [("a",), ("a",)]
    for number in range(100):
        assert find(own, number) == find(own, number)
    assert len(asked) == 102
    reference = weakref.ref(own)
    del own
    gc.collect()
    assert reference() is None


def test_a_mask_takes_all_white_space_but_the_separators():
    """Python's own notion of it, but for the four separators of ASCII."""
    spaces = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}
    assert spaces - set(WHITE_SPACE) == set("\x1c\x1d\x1e\x1f")
    assert set(WHITE_SPACE) <= spaces


def test_long_white_space_and_many_blanks_take_time_in_proportion(tokenizer):
    """A search for white space at the end from every place, or a copy of the text for every blank, takes minutes."""
    start = time.process_time()
    spaces = " " * 1_000_000
    assert tokenizer.fill(f"a{spaces}b [MASK]", ["\tc"]) == f"a{spaces}b\tc"
    text = f"{spaces}{'x [MASK]' * 20_000}"
    filled, offsets = tokenizer.fill_with_offsets(text, [" y"] * 20_000)
    assert filled == f"{spaces}{'x y' * 20_000}"
    assert offsets[-1] == (len(filled) - 1, len(filled))
    assert time.process_time() - start < 5


class Kind(str, enum.Enum):  # noqa: UP042  whose str() is "Kind.HOT"
    HOT = "hot"


def test_members_of_an_enum_have_the_forms_of_their_texts(of_family):
    for family in ("own", "gpt2"):
        assert answer_forms(of_family(family), Kind.HOT) == answer_forms(of_family(family), "hot")
    assert BlankConstraint(choices=[Kind.HOT]).accepts("hot")
