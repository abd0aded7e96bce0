"""Draw what the model sees: Part A, Part B, both rows of positions and the attention mask (paper Figure 2)."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import decoders

from ..configuration_glm import GLMConfig
from ..filling.results import count_blanks
from ..layout_glm import compute_position_ids, create_glm_mask
from ..tokenization import GLMTokenizer
from ..tokenization.blanks import encode_text, shown_form
from ..tokenization.token_bytes import token_bytes
from ..utils.extras import from_extra
from ..utils.plots import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_TOKENS = 80
# Formats with the metadata to leave out, so that the same picture gives the same file.
FORMATS: dict[str, dict[str, Any]] = {".png": {}, ".svg": {"Date": None}}
CELL, MARGIN = 0.27, 0.1  # inches
FONT_SIZE = 8  # points
# Pieces take turns with their colours.
PART_A_COLOUR = "#9ecae1"
PIECE_COLOURS = ("#fdd49e", "#c7e9c0", "#dadaeb", "#fcbba1")
GRID, INK = "#d9d9d9", "#252525"
# The default font has no Chinese characters. A system may have some of these fonts.
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # the name that matplotlib gives to the collection of all Noto Sans CJK fonts
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
)


@dataclass(frozen=True, kw_only=True, eq=False)  # tensors have no single truth value
class AttentionLayout:
    """
    Hold what the model reads for a text and its answers: Part A, then the pieces of Part B.

    Attributes:
        tokens: Every token as text. A space is written `␣`, and bytes of an incomplete character `\\xe5`.
        targets: The token that the model must predict at every token of Part B, as text: the next token or the end of the
            piece. Empty strings in Part A.
        input_ids: (seq,) int64 ids.
        blanks: (seq,) int64 number of the blank that a token's piece fills, from 1. 0 in Part A.
        position_ids: (2, seq) int64: position 1 (in Part A) and position 2 (within the piece).
        mask: (seq, seq) bool: whether the token of a row may attend to the token of a column.
    """

    tokens: list[str]
    targets: list[str]
    input_ids: torch.Tensor
    blanks: torch.Tensor
    position_ids: torch.Tensor
    mask: torch.Tensor


def compute_attention_layout(
    tokenizer: GLMTokenizer, text: str, answers: str | Sequence[str], order: Sequence[int] | None = None
) -> AttentionLayout:
    """
    Compute tokens, positions and mask of a text with its answers (paper section 2.1).

    It calls the functions that the model calls.

    Args:
        tokenizer: The tokenizer.
        text: A text with blanks.
        answers: The answer of every blank from left to right. For a single blank it may be a plain string. An answer that
            a model wrote has the tokens that it wrote, another one is spaced as the text is.
        order: The blanks, numbered from 0, in the order of their pieces. The default is from left to right, as in
            filling; in pretraining the order is random.

    Raises:
        ValueError: If the text has no blank, if there is not one answer for every blank, or if the order does not name
            every blank once.
    """
    count = count_blanks(tokenizer, text)
    answers = [answers] if isinstance(answers, str) else list(answers)
    if len(answers) != count:
        raise ValueError(f"There are {len(answers)} answers, but the text has {count} blanks: {text!r}.")
    order = range(count) if order is None else list(order)
    if sorted(order) != list(range(count)):
        raise ValueError(f"order={list(order)} must name each of the blanks 0 to {count - 1} once.")
    (context,) = encode_text(tokenizer, [text])

    settings: dict[str, Any] = {"attn_implementation": "sdpa", **tokenizer.special_token_ids}
    config = GLMConfig(vocab_size=len(tokenizer), **settings)
    before = tokenizer.split_at_blanks(text)
    pieces = [shown_form(tokenizer, part, answer) for part, answer in zip(before, answers, strict=False)]
    input_ids, targets, blanks = [*context], [""] * len(context), [0] * len(context)
    for blank, piece in enumerate(pieces, start=1):
        input_ids += [tokenizer.sop_token_id, *piece]
        targets += [_as_text(tokenizer, token_id) for token_id in [*piece, tokenizer.eop_token_id]]
        blanks += [blank] * (len(piece) + 1)
    # From left to right, positions follow from the ids. A piece keeps them when it moves: order [1 0] turns the columns
    # [A A 1 1 2 2] into [A A 2 2 1 1].
    position_ids = compute_position_ids(torch.tensor([input_ids]), config)
    rank = {0: 0, **{blank + 1: place for place, blank in enumerate(order, start=1)}}
    places = sorted(range(len(blanks)), key=lambda place: rank[blanks[place]])
    position_ids = position_ids[:, :, places]  # (1, 2, seq)
    mask = create_glm_mask(config, torch.zeros(1, len(places), 1), None, position_ids)
    assert isinstance(mask, torch.Tensor)  # (1, 1, seq, seq), as SDPA takes it
    return AttentionLayout(
        tokens=[_as_text(tokenizer, input_ids[place]) for place in places],
        targets=[targets[place] for place in places],
        input_ids=torch.tensor(input_ids)[places],
        blanks=torch.tensor(blanks)[places],
        position_ids=position_ids[0],
        mask=mask[0, 0],
    )


def plot_attention_layout(
    tokenizer: GLMTokenizer,
    text: str,
    answers: str | Sequence[str],
    *,
    order: Sequence[int] | None = None,
    path: str | os.PathLike | None = None,
) -> "Figure":
    """
    Draw what the model sees of a text and its answers, as in Figure 2 of the paper.

    Every token has a row, in which the tokens that it may attend to are coloured. Both rows of positions stand below, and
    the tokens to predict at the right of Part B. A blank has the colour and the number of its piece.

    Example:

    ```python
    >>> plot_attention_layout(tokenizer, "The [MASK] runs [MASK].", ["dog", "home"], path="layout.svg")
    ```

    Args:
        tokenizer, text, answers, order: As for `compute_attention_layout`.
        path: A file for the picture. Its ending, .png or .svg, selects the format. It appears whole or not at all.

    Returns:
        A `matplotlib.figure.Figure`, which notebooks show. It opens no window and changes no settings of matplotlib. For
        characters without a font matplotlib draws boxes and warns: for Chinese, install a font such as Noto Sans CJK.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: As `compute_attention_layout`. Also if there are more than 80 tokens, or if the path has another
            ending.
    """
    with from_extra("plots", "plot_attention_layout"):
        from matplotlib.figure import Figure
    ending = "" if path is None else Path(path).suffix.lower()
    if path is not None and ending not in FORMATS:
        raise ValueError(f"path={os.fspath(path)!r} must end in one of {', '.join(FORMATS)}.")
    layout = compute_attention_layout(tokenizer, text, answers, order)
    size = len(layout.tokens)
    if size > MAX_TOKENS:
        raise ValueError(
            f"The text and its answers have {size} tokens, but a picture can show at most {MAX_TOKENS}: "
            "draw a part of the text, or shorter answers."
        )

    figure = Figure(figsize=(CELL * size, CELL * size))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5))
    axes.set_axis_off()
    _draw(axes, layout)
    # The cells keep their size, and the figure grows by the text around them.
    left, bottom, right, top = figure.get_tightbbox().padded(MARGIN).extents
    width, height = right - left, top - bottom
    figure.set_size_inches(width, height)
    axes.set_position((-left / width, -bottom / height, CELL * size / width, CELL * size / height))
    if path is not None:
        save_figure(figure, path, format=ending[1:], dpi=150, metadata=FORMATS[ending])
    return figure


def _draw(axes: "Axes", layout: AttentionLayout):
    """Draw the grid, with a unit square for every cell, and the text around it."""
    size, blanks = len(layout.tokens), layout.blanks.tolist()
    part_b = blanks.count(0)
    colour_of = dict(zip(dict.fromkeys(blanks), [PART_A_COLOUR, *PIECE_COLOURS * size], strict=False))
    colours = [colour_of[blank] for blank in blanks]
    for row, allowed in enumerate(layout.mask.tolist()):
        _fill_row(axes, row, [colour if sees else None for colour, sees in zip(colours, allowed, strict=True)])
    edges = [edge - 0.5 for edge in range(size + 1)]
    ends = [[-0.5], [size - 0.5]]
    # Clip paths would have random names in SVG, so the same picture would not give the same file.
    axes.plot(ends, [edges, edges], [edges, edges], ends, color=GRID, linewidth=0.5, clip_on=False)
    axes.plot([part_b - 0.5] * 2, [-2.9, size - 0.5], color=INK, linewidth=1, clip_on=False)

    style: dict[str, Any] = {
        "fontsize": FONT_SIZE,
        "fontfamily": _find_fonts(),
        "color": INK,
        "va": "center_baseline",
        "rotation_mode": "anchor",
        "parse_math": False,
    }
    axes.text(-0.5, -2.4, "Part A", ha="left", **style)
    axes.text(part_b - 0.3, -2.4, "Part B", ha="left", **style)
    axes.text(-0.8, -1.3, "blank and its piece", ha="right", **style)
    _fill_row(axes, -1.3, colours)
    for blank, start, width in _runs(blanks[part_b:]):
        column = int(layout.position_ids[0, part_b + start])
        _fill_row(axes, -1.3, [None] * column + [colour_of[blank]])
        for middle in (column, part_b + start + (width - 1) / 2):
            axes.text(middle, -1.3, str(blank), ha="center", **style)

    for place, (token, target) in enumerate(zip(layout.tokens, layout.targets, strict=True)):
        axes.text(-0.8, place, token, ha="right", **style)
        axes.text(place, size + 2, token, ha="right", rotation=90, **style)
        if target:
            axes.text(size - 0.2, place, f"→ {target}", ha="left", **style)
    axes.text(size - 0.2, part_b - 1, "predicts", ha="left", **style)
    for row, positions in enumerate(layout.position_ids.tolist()):
        axes.text(-0.8, size + 0.2 + row, f"position {row + 1}", ha="right", **style)
        for column, position in enumerate(positions):
            axes.text(column, size + 0.2 + row, str(position), ha="center", **style)


def _fill_row(axes: "Axes", row: float, colours: Sequence[str | None]):
    """Colour cells of a row. Neighbours of the same colour are one rectangle."""
    from matplotlib.patches import Rectangle

    for colour, start, width in _runs(colours):
        if colour:
            axes.add_patch(Rectangle((start - 0.5, row - 0.5), width, 1, facecolor=colour, clip_on=False))


def _runs(values: Sequence[Any]) -> Iterator[tuple[Any, int, int]]:
    """Yield the value, the start and the length of every run: [a a b] -> (a, 0, 2), (b, 2, 1)."""
    start = 0
    for value, members in groupby(values):
        width = len(list(members))
        yield value, start, width
        start += width


def _find_fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in CHINESE_FONTS if name in installed)]


def _as_text(tokenizer: GLMTokenizer, token_id: int) -> str:
    """Write a token for people: `Ġcapital` as `␣capital`, and invisible characters as escapes."""
    spelled = token_bytes(tokenizer).get(token_id)
    if spelled is None or isinstance(tokenizer.backend_tokenizer.decoder, decoders.WordPiece):
        return tokenizer.convert_ids_to_tokens(token_id)
    text = spelled.decode("utf-8", "backslashreplace").replace(" ", "␣")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


__all__ = ["AttentionLayout", "compute_attention_layout", "plot_attention_layout"]
