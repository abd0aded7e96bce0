"""The picture of the attention layout: positions and mask by the rules of the paper, and what is drawn."""

import itertools
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoTokenizer

from modeling_glm import GLMModel, GLMTokenizer, compute_attention_layout, plot_attention_layout
from modeling_glm.tokenization.blanks import answer_forms, decode_piece, shown_form
from tests.support.models import make_model
from tests.support.original_files import write_vocabulary

TEXT = "The number 4836 is [MASK] thousand [MASK] hundred and [sMASK]."
ANSWERS = ["four", "", "thirty-six"]
ORDERS = list(itertools.permutations(range(3)))


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained("examples/glm-tiny")


@pytest.fixture(scope="module")
def seen(tokenizer):
    """The positions and the mask with which a model reads ids and, where they are given, positions."""
    model = make_model(GLMModel, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    calls = []
    model.transformer.register_forward_pre_hook(
        lambda module, inputs, kwargs: calls.append((inputs[1], kwargs["attention_mask"])), with_kwargs=True
    )

    def seen(input_ids, position_ids=None):
        with torch.inference_mode():
            model(input_ids[None], position_ids=None if position_ids is None else position_ids[None])
        positions, mask = calls.pop()
        return positions[0], mask[0, 0]

    return seen


def encode_answers(tokenizer) -> list[tuple[int, ...]]:
    return [shown_form(tokenizer, "is ", answer) for answer in ANSWERS]


def test_answers_have_the_tokens_that_the_model_wrote_or_the_text_shows(tokenizer):
    written = decode_piece(tokenizer, answer_forms(tokenizer, "six")[1])
    for text, answer, token in (
        ("It is [MASK].", "six", "␣six"),
        ("It is[MASK].", "six", "six"),
        ("It is[MASK].", " six", "␣six"),
        ("It is [MASK].", written, "six"),
    ):
        layout = compute_attention_layout(tokenizer, text, answer)
        assert layout.tokens[-1] == token


def test_a_special_token_in_the_text_is_letters(tokenizer):
    layout = compute_attention_layout(tokenizer, "a <|startofpiece|> [MASK]", "six")
    assert layout.input_ids.tolist().count(tokenizer.sop_token_id) == 1


def texts_of(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_from_left_to_right_it_is_what_the_model_makes_of_the_ids(tokenizer, seen):
    layout = compute_attention_layout(tokenizer, TEXT, ANSWERS)
    ids = tokenizer(TEXT)["input_ids"]
    for piece in encode_answers(tokenizer):
        ids += [tokenizer.sop_token_id, *piece]
    assert layout.input_ids.tolist() == ids
    positions, mask = seen(layout.input_ids)
    assert torch.equal(layout.position_ids, positions)
    assert torch.equal(layout.mask, mask)


@pytest.mark.parametrize("order", ORDERS)
def test_in_any_order_the_model_takes_it_as_it_is(tokenizer, seen, order):
    layout = compute_attention_layout(tokenizer, TEXT, ANSWERS, order)
    positions, mask = seen(layout.input_ids, layout.position_ids)
    assert torch.equal(layout.position_ids, positions)
    assert torch.equal(layout.mask, mask)


@pytest.mark.parametrize("order", ORDERS)
def test_it_is_what_the_paper_says(tokenizer, order):
    """Token by token, by section 2.1."""
    context = tokenizer(TEXT)["input_ids"]
    masks = [place for place, token_id in enumerate(context) if token_id in tokenizer.mask_token_ids]
    pieces = encode_answers(tokenizer)
    rows = [(token_id, place, 0, 0) for place, token_id in enumerate(context)]
    targets = [""] * len(context)
    for blank in order:
        fed = [tokenizer.sop_token_id, *pieces[blank]]
        rows += [(token_id, masks[blank], inside, blank + 1) for inside, token_id in enumerate(fed, start=1)]
        targets += [tokenizer.decode([token_id]).replace(" ", "␣") for token_id in pieces[blank]]
        targets.append(tokenizer.eop_token)
    ids, row0, row1, blanks = zip(*rows, strict=True)
    layout = compute_attention_layout(tokenizer, TEXT, ANSWERS, order)
    assert layout.input_ids.tolist() == list(ids)
    assert layout.position_ids.tolist() == [list(row0), list(row1)]
    assert layout.blanks.tolist() == list(blanks)
    assert layout.targets == targets
    assert layout.mask.tolist() == [
        [key < len(context) or key <= query for key in range(len(ids))] for query in range(len(ids))
    ]


def test_tokens_are_shown_as_they_read(tokenizer):
    layout = compute_attention_layout(tokenizer, "The time é $1\nand [MASK]", "nineteen")
    assert layout.tokens == [
        *["[CLS]", "The", "␣time", "␣", "\\xc3", "\\xa9", "␣$", "1", "\\n", "and", "[MASK]"],
        *["<|endoftext|>", "<|startofpiece|>", "␣nineteen"],
    ]


@pytest.mark.parametrize(
    ("family", "text", "tokens"),
    [
        (
            "bert",
            "Unaffable é [MASK]",
            ["[CLS]", "una", "##ffa", "##ble", "e", "[MASK]", "[PAD]", "<|startofpiece|>", "a"],
        ),
        ("chinese", "北京 is [MASK]", ["[CLS]", "␣北京", "␣is", "[MASK]", "<|endoftext|>", "<|startofpiece|>", "␣a"]),
    ],
)
def test_tokens_of_other_vocabularies(tmp_path, family, text, tokens):
    tokenizer = GLMTokenizer.from_pretrained(write_vocabulary(family, tmp_path / family))
    assert compute_attention_layout(tokenizer, text, "a").tokens == tokens


def test_answers_are_read_by_place(tokenizer):
    text, answers = "The [MASK] fox and the [MASK].", ["quick", "dog"]
    expected = compute_attention_layout(tokenizer, text, answers, [1, 0])
    for given in (pd.Series(answers, index=[1, 0]), np.array(answers), iter(answers)):
        assert compute_attention_layout(tokenizer, text, given, np.array([1, 0])).tokens == expected.tokens


def test_one_blank_takes_a_plain_answer(tokenizer):
    alone, listed = (compute_attention_layout(tokenizer, "It is [gMASK]", answers) for answers in ("new", ["new"]))
    assert alone.tokens == listed.tokens
    assert alone.blanks.unique().tolist() == [0, 1]


@pytest.mark.parametrize("special", ["<|startofpiece|>", "<|endofpiece|>", "[CLS]", "<|endoftext|>"])
def test_special_tokens_in_a_text_are_characters(tokenizer, special):
    layout = compute_attention_layout(tokenizer, f"a {special} b [MASK]", "c")
    assert layout.tokens.count("<|startofpiece|>") == 1
    ids = layout.input_ids[layout.blanks == 0].tolist()
    assert ids.count(tokenizer.convert_tokens_to_ids(special)) == (special in ("[CLS]", "<|endoftext|>"))


@pytest.mark.parametrize(
    ("text", "answers", "settings", "message"),
    [
        ("no blank", [], {}, "has no blank to fill"),
        (TEXT, ANSWERS[:2], {}, "There are 2 answers, but the text has 3 blanks"),
        (TEXT, "four", {}, "There are 1 answers, but the text has 3 blanks"),
        (TEXT, ANSWERS, {"order": [0, 1]}, r"order=\[0, 1\] must name each of the blanks 0 to 2 once"),
        (TEXT, ANSWERS, {"order": [0, 1, 1]}, "must name each of the blanks"),
        (TEXT, ANSWERS, {"order": [1, 2, 3]}, "must name each of the blanks"),
        ("It is [MASK].", "0" * 74, {}, "have 81 tokens, but a picture can show at most 80: draw a part of the text"),
        (TEXT, ANSWERS, {"path": "picture.bmp"}, r"path='picture.bmp' must end in one of .png, .svg"),
        (TEXT, ANSWERS, {"path": "picture"}, "must end in one of"),
    ],
    ids=str,
)
def test_what_cannot_be_drawn_is_named(tokenizer, text, answers, settings, message, tmp_path):
    settings = {**settings, "path": tmp_path / "picture.png"} if "path" not in settings else settings
    with pytest.raises(ValueError, match=message):
        plot_attention_layout(tokenizer, text, answers, **settings)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("order", ORDERS[::3])
def test_the_picture_shows_the_layout(tokenizer, order):
    layout = compute_attention_layout(tokenizer, TEXT, ANSWERS, order)
    figure = plot_attention_layout(tokenizer, TEXT, ANSWERS, order=order)
    written = texts_of(figure)
    size, part_a = len(layout.tokens), layout.blanks.tolist().count(0)
    for token in layout.tokens:
        assert written.count(token) >= 2 * layout.tokens.count(token)  # on both axes
    assert [text for text in written if text.startswith("→")] == [f"→ {target}" for target in layout.targets[part_a:]]
    positions = [str(position) for row in layout.position_ids.tolist() for position in row]
    assert [text for text in written[-2 * size - 2 :] if not text.startswith("position")] == positions
    cells = {}
    for patch in figure.axes[0].patches:
        for column in range(round(patch.get_width())):
            cells[round(patch.get_x() + column + 0.5), round(patch.get_y() + 0.5, 1)] = patch.get_facecolor()
    grid = [[cells.get((column, row)) for column in range(size)] for row in range(size)]
    assert [[cell is not None for cell in row] for row in grid] == layout.mask.tolist()
    # A column has the colour of its part, and a blank in the strip that of its piece.
    last = grid[-1]
    assert len(set(last)) == 4
    assert all(
        (one == other) == (a == b)
        for one, a in zip(last, layout.blanks, strict=True)
        for other, b in zip(last, layout.blanks, strict=True)
    )
    for place in range(part_a, size):
        assert cells[int(layout.position_ids[0, place]), -1.3] == cells[place, -1.3] == last[place]


@pytest.mark.parametrize(
    "text", ["[gMASK]", "It is [MASK].", TEXT, "It is [MASK]. " + "A very-very-very long $text. " * 3]
)
def test_nothing_overlaps_or_is_cut_off(tokenizer, text):
    answers = ["internationalisation"] * text.count("MASK")
    figure = plot_attention_layout(tokenizer, text, answers)
    boxes = [label.get_window_extent() for label in figure.axes[0].texts]
    page = figure.bbox
    assert all(page.x0 <= box.x0 and page.y0 <= box.y0 and box.x1 <= page.x1 and box.y1 <= page.y1 for box in boxes)
    for one, other in itertools.combinations(boxes, 2):
        assert min(one.x1, other.x1) <= max(one.x0, other.x0) or min(one.y1, other.y1) <= max(one.y0, other.y0)
    cell = figure.axes[0].get_window_extent().width / len(compute_attention_layout(tokenizer, text, answers).tokens)
    assert cell / figure.dpi == pytest.approx(0.27)


@pytest.mark.parametrize(
    ("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml"), ("new folder/a.SVG", b"<?xml")]
)
def test_the_picture_is_written_and_is_the_same_again(tokenizer, tmp_path, name, start):
    path = tmp_path / name
    contents = []
    for _ in range(2):
        plot_attention_layout(tokenizer, TEXT, ANSWERS, path=str(path))
        contents.append(path.read_bytes())
    assert contents[0].startswith(start)
    assert contents[0] == contents[1]
    assert list(path.parent.iterdir()) == [path]


def test_a_picture_that_is_not_finished_leaves_the_old_one(tokenizer, tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    def stop(figure, file, **settings):
        file.write(b"half")
        raise OSError("stopped")

    path = tmp_path / "a.svg"
    path.write_text("old")
    monkeypatch.setattr(Figure, "savefig", stop)
    with pytest.raises(OSError, match="stopped"):
        plot_attention_layout(tokenizer, TEXT, ANSWERS, path=path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_no_window_and_no_settings_are_touched(tokenizer, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_attention_layout(tokenizer, TEXT, ANSWERS, path=tmp_path / "a.svg")
    assert before == (dict(matplotlib.rcParams), "matplotlib.pyplot" in sys.modules)


def test_without_matplotlib_the_extra_is_named(tokenizer, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'modeling-glm\[plots\]'"):
        plot_attention_layout(tokenizer, TEXT, ANSWERS)
