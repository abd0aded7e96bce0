"""Lay out the page: its tabs, and what happens when a button is clicked."""

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from .logic import Page, Question, Result
from .views import message_html, result_html

EMBEDDED = Path(__file__).parents[1] / "glm-tiny"
# The embedded checkpoint knows facts that ship with Python.
EMBEDDED_TEXTS = [
    "The number [MASK] is written four thousand [MASK] hundred and thirty-six.",
    "The time 19:20 has the hour [MASK] and the minute [MASK].",
    "1988 is a [MASK] year with [MASK] days.",
    "1987-03-14 is the [MASK] of [MASK] 1987.",
    "The status 404 begins with [MASK], so Not Found is a [MASK].",
    "The price $12.40 is read as [sMASK]",
]
GENERAL_TEXTS = [
    "Paris is the [MASK] of France.",
    "The sun rises in the [MASK] and sets in the [MASK].",
    "A dog has four [MASK] and one [MASK].",
]
EMBEDDED_CHOICES = [
    ["HTTP status 404 is Not Found, a [MASK].", "client error\nserver error\nsuccess\nredirection"],
    ["GREEK SMALL LETTER OMEGA WITH TONOS is a letter of the [MASK] script.", "Latin\nGreek\nCyrillic\nArmenian"],
    ["The number 7352 is written seven thousand [MASK] hundred and fifty-two.", "two\nthree\nfive"],
]
GENERAL_CHOICES = [
    ["Water boils at one hundred [MASK].", "degrees\nmeters\npeople"],
    ["Ice is [MASK].", "cold\nhot"],
]
# Turn a click on an element with data attributes into a Gradio event that carries them.
ON_CLICK = """
element.addEventListener("click", (event) => {
    const target = event.target.closest("[data-filling], [data-alternative], [data-release]");
    if (target) trigger("select", { ...target.dataset });
});
"""


def build(page: Page, name: str) -> gr.Blocks:
    """Build the page for a model that was loaded from `name`."""
    embedded = Path(name).resolve() == EMBEDDED.resolve()
    size = f"{page.model.num_parameters():,} parameters"
    toy = "a toy that knows numbers, dates, times, characters and names that ship with Python"
    with gr.Blocks(title="GLM fills blanks") as blocks:
        gr.Markdown(f"# GLM fills blanks\n{Path(name).name}: {size}{', ' + toy if embedded else ''}.")
        result = gr.State(None)
        with gr.Tab("Fill"):
            build_fill(page, result, EMBEDDED_TEXTS if embedded else GENERAL_TEXTS)
        with gr.Tab("Choose"):
            build_choose(page, EMBEDDED_CHOICES if embedded else GENERAL_CHOICES)
        with gr.Tab("What the model sees") as tab:
            build_picture(page, result, tab)
    return blocks


def build_fill(page: Page, result: gr.State, texts: list[str]):
    """Build the tab that fills texts and offers alternatives."""
    text = gr.Textbox(
        texts[0], label="A text with blanks", info=f"Blanks: {' '.join(page.masks)}", lines=2, elem_id="text"
    )
    with gr.Row():
        fill = gr.Button("Fill", variant="primary", elem_id="fill")
        reset = gr.Button("Reset what you set", interactive=False, elem_id="reset")
    message = gr.HTML(elem_id="fill-message", visible=False)
    shown = gr.HTML(elem_id="result", js_on_load=ON_CLICK, visible=False)
    examples = gr.Examples(texts, text, label="Examples", elem_id="fill-examples", api_visibility="private")
    with gr.Accordion("Settings", open=False, elem_id="settings"):
        with gr.Row():
            number = gr.Slider(1, 10, 3, step=1, label="Fillings")
            longest = gr.Slider(1, min(64, page.longest_answer), 16, step=1, label="Longest answer in tokens")
        with gr.Row():
            method = gr.Radio(["Likeliest", "Drawn"], value="Likeliest", label="Answers")
            beams = gr.Slider(1, 32, 8, step=1, label="Beams (likeliest)")
        with gr.Row():
            temperature = gr.Slider(0.1, 2, 1, step=0.1, label="Temperature (drawn)")
            seed = gr.Number(0, label="Seed (drawn)", precision=0, minimum=0)
        pattern = gr.Textbox(
            label="Pattern",
            info="A regular expression that every answer must match, such as [0-9]+",
            max_lines=1,
            elem_id="pattern",
        )
    settings = [text, number, longest, method, beams, temperature, seed, pattern]
    outputs = [result, message, shown, reset]

    def ask(text, number, longest, method, beams, temperature, seed, pattern):
        question = Question(
            text=text,
            number=number,
            longest=longest,
            sample=method == "Drawn",
            beams=beams,
            temperature=temperature,
            seed=seed or 0,
            pattern=pattern,
        )
        return answer(lambda: page.fill(question), None)

    def click(found: Result, event: gr.EventData):
        if hasattr(event, "filling"):
            return answer(lambda: page.choose_filling(found, int(event.filling)), found)
        if hasattr(event, "release"):
            return answer(lambda: page.release(found, int(event.release)), found)
        return answer(lambda: page.put_alternative(found, int(event.blank), int(event.alternative)), found)

    def release_all(found: Result):
        return answer(lambda: page.release(found), found)

    on_model([fill.click, text.submit, examples.load_input_event.then], ask, settings, outputs)
    on_model([shown.select], click, [result], outputs)
    on_model([reset.click], release_all, [result], outputs)


def answer(find: Callable[[], Result], before: Result | None) -> tuple[Result | None, gr.HTML, gr.HTML, gr.Button]:
    """Update the tab that fills texts. After an error it keeps its old result and shows the message."""
    found, message = before, ""
    try:
        found = find()
    except ValueError as error:
        message = message_html(str(error))
    given = found is not None and bool(found.question.given)
    return found, html(message), html(result_html(found) if found else ""), gr.Button(interactive=given)


def html(content: str) -> gr.HTML:
    """Show some HTML, or hide the element if there is none."""
    return gr.HTML(content, visible=bool(content))


def build_choose(page: Page, texts: list[list[str]]):
    """Build the tab that compares choices."""
    text = gr.Textbox(texts[0][0], label="A text with one blank", lines=2, elem_id="choose-text")
    choices = gr.Textbox(texts[0][1], label="Choices, one on each line", lines=4, elem_id="choices")
    choose = gr.Button("Choose", variant="primary", elem_id="choose")
    message = gr.HTML(elem_id="choose-message", visible=False)
    chart = gr.Label(label="Probability among the choices", elem_id="chart", visible=False)
    examples = gr.Examples(
        texts, [text, choices], label="Examples", elem_id="choose-examples", api_visibility="private"
    )

    def compare(text: str, choices: str):
        try:
            shares = page.choose(text, choices)
        except ValueError as error:
            return html(message_html(str(error))), gr.Label(visible=False)
        return html(""), gr.Label(shares, num_top_classes=len(shares), visible=True)

    on_model([choose.click, examples.load_input_event.then], compare, [text, choices], [message, chart])


def build_picture(page: Page, result: gr.State, tab: gr.Tab):
    """Build the tab with the attention layout of the chosen filling. It is drawn when the tab is opened."""
    gr.Markdown(
        "Each row is a token, and its coloured cells are the tokens that it sees. Part A is the text: it sees itself in both "
        "directions. The answers follow. They see the text and what was filled before."
    )
    message = gr.HTML(elem_id="picture-message", visible=False)
    picture = gr.Plot(show_label=False, format="png", elem_id="picture", visible=False)

    def draw(found: Result | None):
        try:
            return html(""), gr.Plot(page.draw(found), visible=True)
        except ValueError as error:
            return html(message_html(str(error))), gr.Plot(visible=False)

    on_model([tab.select], draw, [result], [message, picture])


def on_model(events: list[Callable], function: Callable, inputs: list, outputs: list):
    """Call a function on events. One call runs at a time, because all share the model."""
    for event in events:
        event(
            function,
            inputs,
            outputs,
            concurrency_limit=1,
            concurrency_id="model",
            show_progress="minimal",
            api_visibility="private",
        )
