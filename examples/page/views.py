"""Write the HTML of the page. All text from the reader or the model is escaped here."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path

from modeling_glm import AttentionLayout

from .logic import Result

COLOURS = 4  # blanks take turns
HEAD = "<style>\n{}</style>\n<script>\n{}</script>".format(
    *(Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
)
STALE = '<p class="stale-note">You have changed the question. Ask again to update this.</p>'


def percent(probability: float) -> str:
    """Write a probability for people: 97%, 99.2%, 0.6%, <0.1%. Nothing but certainty is 100%."""
    if probability < 0.001:
        return "<0.1%"
    if 0.9995 <= probability < 1:
        return ">99.9%"
    return f"{probability:.0%}" if 0.0995 <= probability < 0.9905 or probability == 1 else f"{probability:.1%}"


def message_html(message: str) -> str:
    """Write an error message."""
    return f'<p class="problem" role="alert">{escape(message)}</p>' if message else ""


def busy_html(stage: str) -> str:
    """Write what is being computed."""
    return f'<p class="busy">{escape(stage)} …</p>' if stage else ""


def summary(result: Result) -> str:
    """Say for screen readers what was found."""
    filling = result.fillings[result.chosen]
    number = len(result.fillings)
    return (
        f"{number} filling{'s' if number > 1 else ''} found. Number {result.chosen + 1}, {_note(result, result.chosen)}: "
        f"{filling.text}"
    )


def result_html(result: Result, run: int) -> str:
    """
    Write the fillings with marked answers, and the alternatives of the chosen one as buttons.

    Args:
        result: The result.
        run: The number of the question, so that the HTML of equal results differs and the browser replaces it.
    """
    rows = "".join(_filling(result, number) for number in range(len(result.fillings)))
    blanks = "".join(_blank(result, blank) for blank in range(len(result.views)))
    return (
        f'<fieldset class="answers" data-run="{run}"><legend>Fillings</legend>{STALE}<ol class="fillings">{rows}</ol>'
        '<h3>Other answers</h3><p class="hint">Each row is one blank of the marked filling. Its percentages are the '
        "model's for that blank: after the text, the answers that you set and the answers before the blank. Click an "
        f"answer to set it. The model then fills the other blanks again.</p>{blanks}</fieldset>"
    )


def shares_html(shares: Mapping[str, float], run: int) -> str:
    """Write the probabilities of choices as bars."""
    rows = "".join(
        f"<li><span>{escape(choice)}</span><b>{escape(percent(share))}</b>"
        f'<i style="width: {max(share, 0.002):.1%}"></i></li>'
        for choice, share in shares.items()
    )
    return f'<fieldset class="answers" data-run="{run}"><legend>Choices</legend>{STALE}<ol class="shares">{rows}</ol></fieldset>'


def picture_html(layout: AttentionLayout) -> str:
    """Write the attention layout as a table of coloured cells. Names of tokens stay in view when the table scrolls."""
    blanks, (row0, row1) = layout.blanks.tolist(), layout.position_ids.tolist()
    part_a = blanks.count(0)
    colours = [f"colour{(blank - 1) % COLOURS}" if blank else "part-a" for blank in blanks]
    numbers = [str(blank) if blank else "" for blank in blanks]
    of_numbers = [colour if blank else "" for blank, colour in zip(blanks, colours, strict=True)]
    for place in range(part_a, len(blanks)):  # a blank has the number and the colour of its piece
        numbers[row0[place]], of_numbers[row0[place]] = numbers[place], of_numbers[place]
    edges = ["edge" if place == part_a else "" for place in range(len(blanks))]
    nothing = [""] * len(blanks)

    def row(name: str, values: list[str], coloured: list[str], kind: str = "", last: str = "") -> str:
        cells = "".join(
            f'<td class="{colour} {edge}">{escape(value)}</td>'
            for value, colour, edge in zip(values, coloured, edges, strict=True)
        )
        return f'<tr class="{kind}"><th>{escape(name)}</th>{cells}<td class="target">{escape(last)}</td></tr>'

    heads = "".join(
        f'<th class="{edge}"><span>{escape(token)}</span></th>'
        for token, edge in zip(layout.tokens, edges, strict=True)
    )
    parts = (
        f'<tr class="parts"><th></th><th colspan="{part_a}">Part A</th>'
        f'<th class="edge" colspan="{len(blanks) - part_a}">Part B</th><th></th></tr>'
    )
    body = "".join(
        row(
            token,
            nothing,
            [colour if allowed else "" for colour, allowed in zip(colours, sees, strict=True)],
            last=f"→ {target}" if target else "",
        )
        for token, target, sees in zip(layout.tokens, layout.targets, layout.mask.tolist(), strict=True)
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="The picture. It scrolls sideways.">'
        f'<table class="layout" role="img" aria-label="{escape(_describe(layout))}"><thead>{parts}<tr class="tokens">'
        f'<th></th>{heads}<th class="target">predicts</th></tr></thead><tbody>'
        f"{row('blank and piece', numbers, of_numbers, 'numbers')}{body}"
        f"{row('position 1', list(map(str, row0)), nothing, 'numbers')}"
        f"{row('position 2', list(map(str, row1)), nothing, 'numbers')}</tbody></table></div>"
    )


def _describe(layout: AttentionLayout) -> str:
    """Describe the picture for those who cannot see it."""
    blanks = layout.blanks.tolist()
    pieces = []
    for blank in range(1, max(blanks) + 1):
        places = [place for place, number in enumerate(blanks) if number == blank]
        seen = (
            "Part A" if blank == 1 else f"Part A, piece{'s' if blank > 2 else ''} 1{f' to {blank - 1}' * (blank > 2)}"
        )
        tokens = " ".join(layout.tokens[place] for place in places[1:]) or "nothing"
        pieces.append(
            f"Piece {blank}, {tokens}, fills the blank at position {int(layout.position_ids[0, places[0]])}. Each of its "
            f"tokens sees {seen} and the tokens of the piece before it."
        )
    part_a = " ".join(layout.tokens[: blanks.count(0)])
    return f"Attention layout. Part A, {part_a}, sees itself in both directions. {' '.join(pieces)}"


def _filling(result: Result, number: int) -> str:
    filling, end, parts = result.fillings[number], 0, []
    for blank, answer in enumerate(filling.answers):
        parts.append(escape(filling.text[end : answer.start]))
        # A note stands behind the word, not in it.
        tail = re.compile(r"\w*").match(filling.text, answer.end)
        end = tail.end() if tail else answer.end
        if blank + 1 < len(filling.answers):
            end = min(end, filling.answers[blank + 1].start)
        note = "set" if answer.given else percent(answer.probability)
        parts.append(_mark(answer.text, blank, answer.given) + escape(filling.text[answer.end : end]))
        parts.append(f"<sub>{escape(note)}</sub>")
    text = "".join(parts) + escape(filling.text[end:])
    chosen = number == result.chosen
    note = _note(result, number)
    return (
        f'<li class="filling{" chosen" if chosen else ""}" data-filling="{number}"><button type="button" '
        f'aria-pressed="{str(chosen).lower()}" aria-label="Filling {number + 1}, {escape(note)}: show other answers" '
        f'title="Probability of all answers together, after those that you set">{escape(note)}</button>'
        f"<span>{text}</span></li>"
    )


def _note(result: Result, number: int) -> str:
    """Write the probability of a filling. It has none of its own if all answers are set."""
    filling = result.fillings[number]
    return "set" if all(answer.given for answer in filling.answers) else percent(filling.probability)


def _blank(result: Result, blank: int) -> str:
    answer, view = result.fillings[result.chosen].answers[blank], result.views[blank]
    parts = [_mark(answer.text, blank, answer.given)]
    if view is None:
        parts.append("<small>not looked for yet</small>")
    else:
        parts.append(f"<small>{escape(percent(view.probability))}{', set by you' * answer.given}</small>")
        parts += [
            f'<button type="button" data-blank="{blank}" data-alternative="{number}" aria-label="Set blank {blank + 1} to '
            f'{escape(other.text or "nothing")}, {escape(percent(other.probability))}">{_shown(other.text)} '
            f"<small>{escape(percent(other.probability))}</small></button>"
            for number, other in enumerate(view.others)
        ]
        if not view.others:
            parts.append("<small>nothing else was found</small>")
    if answer.given:
        parts.append(
            f'<button type="button" data-release="{blank}" aria-label="Let the model fill blank {blank + 1}">'
            "↺ let the model fill it</button>"
        )
    return f'<div class="blank" role="group" aria-label="Blank {blank + 1}">{"".join(parts)}</div>'


def _mark(text: str, blank: int, given: bool) -> str:
    kind = " given" * given + " empty" * (not text)
    return f'<mark class="colour{blank % COLOURS}{kind}">{_shown(text)}</mark>'


def _shown(text: str) -> str:
    return escape(text) if text else "<em>nothing</em>"
