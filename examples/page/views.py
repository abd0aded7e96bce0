"""Write the HTML of the page. All text from the reader or the model is escaped here."""

import math
from html import escape

from .logic import Result

COLOURS = 4  # blanks take turns
CSS = """
.gradio-container { max-width: 920px !important; margin: 0 auto !important; }
#result { font-size: 1.05rem; line-height: 1.9; }
#result h3 { margin: 1.2rem 0 0; font-size: 1rem; }
#result .hint { margin: 0 0 .4rem; opacity: .75; font-size: .9rem; }
#result small, #result sub { font-size: .72em; opacity: .75; white-space: nowrap; }
#result sub { vertical-align: baseline; margin-left: .25em; }
#result button { cursor: pointer; border: 1px solid var(--border-color-primary); border-radius: 6px; line-height: 1.5; }
#result button { background: var(--background-fill-primary); color: inherit; padding: .1rem .5rem; }
#result button { font-size: .95rem; font-weight: 400; margin: 0; }
#result button:hover, #result button:focus-visible { border-color: var(--color-accent); }
#result button { overflow-wrap: anywhere; text-align: left; }
#result .fillings { list-style: none; margin: 0; padding: 0; }
#result .filling { display: flex; gap: .7rem; align-items: baseline; padding: .3rem .6rem; cursor: pointer; }
#result .filling { border-left: 3px solid transparent; margin: 0; }
#result .filling.chosen { border-left-color: var(--color-accent); background: var(--background-fill-secondary); }
#result .filling > button { flex: none; min-width: 4.2em; text-align: right; font-weight: 600; font-variant-numeric: tabular-nums; }
#result .filling > span { min-width: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
#result .blank { display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin: .5rem 0; }
#result mark { color: inherit; border-radius: 4px; padding: .1rem .3rem; overflow-wrap: anywhere; }
#result mark.given { outline: 2px dashed var(--color-accent); outline-offset: -1px; }
#result .colour0 { background: rgba(66, 133, 244, .25); }
#result .colour1 { background: rgba(251, 146, 36, .3); }
#result .colour2 { background: rgba(52, 168, 83, .28); }
#result .colour3 { background: rgba(171, 71, 188, .25); }
#choose-examples table { table-layout: fixed; width: 100%; }
#choose-examples :is(td, th) { white-space: normal; overflow-wrap: anywhere; }
.problem { margin: 0; padding: .6rem .8rem; border-left: 4px solid #d93025; background: rgba(217, 48, 37, .1); }
.problem { overflow-wrap: anywhere; }
"""


def percent(probability: float) -> str:
    """Write a probability for people: 97%, 0.6%, <0.1%."""
    if probability < 0.001:
        return "<0.1%"
    return f"{probability:.1%}" if probability < 0.0995 else f"{probability:.0%}"


def message_html(message: str) -> str:
    """Write an error message."""
    return f'<p class="problem" role="alert">{escape(message)}</p>'


def result_html(result: Result) -> str:
    """Write the fillings with marked answers, and the alternatives of the chosen one as buttons."""
    rows = "".join(_filling(result, number) for number in range(len(result.fillings)))
    answers = result.fillings[result.chosen].answers
    blanks = "".join(_blank(result, blank) for blank in range(len(answers)))
    return (
        f'<ol class="fillings">{rows}</ol><h3>Alternatives</h3><p class="hint">Other answers for each blank, with their '
        f"probability after the answers before it. Click one to set it: the other blanks are filled again.</p>{blanks}"
    )


def _filling(result: Result, number: int) -> str:
    filling, end, parts = result.fillings[number], 0, []
    for blank, answer in enumerate(filling.answers):
        note = "set" if answer.given else percent(math.exp(answer.log_prob))
        parts.append(escape(filling.text[end : answer.start]))
        parts.append(f"{_mark(answer.text, blank, answer.given)}<sub>{escape(note)}</sub>")
        end = answer.end
    text = "".join(parts) + escape(filling.text[end:])
    chosen = number == result.chosen
    return (
        f'<li class="filling{" chosen" if chosen else ""}" data-filling="{number}"><button type="button" '
        f'aria-pressed="{str(chosen).lower()}" title="Probability of all answers together. Click for the alternatives">'
        f"{escape(percent(math.exp(filling.log_prob)))}</button><span>{text}</span></li>"
    )


def _blank(result: Result, blank: int) -> str:
    answer = result.fillings[result.chosen].answers[blank]
    buttons = [
        f'<button type="button" data-blank="{blank}" data-alternative="{number}">{_shown(other.text)} '
        f"<small>{escape(percent(other.probability))}</small></button>"
        for number, other in enumerate(result.alternatives[blank])
    ]
    if answer.given:
        buttons.append(f'<button type="button" data-release="{blank}">↺ let the model fill it</button>')
    told = "" if buttons else "<small>nothing else was found</small>"
    return f'<div class="blank">{_mark(answer.text, blank, answer.given)}{"".join(buttons)}{told}</div>'


def _mark(text: str, blank: int, given: bool) -> str:
    return f'<mark class="colour{blank % COLOURS}{" given" if given else ""}">{_shown(text)}</mark>'


def _shown(text: str) -> str:
    return escape(text) if text else "<i>nothing</i>"
