#!/usr/bin/env python
"""
A page on which blanks are filled: fillings, alternatives to click, choices, and what the model sees.

It runs on this machine and asks nothing of any other, unless the model is one of the hub or `--share` is given. Without
arguments it shows the embedded checkpoint (`examples/glm-tiny`), a toy that knows facts which ship with Python.

    pip install 'modeling-glm[app]'
    python examples/app.py
    python examples/app.py --model path/or/hub-id --device cuda
"""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported

import gradio as gr
from app_logic import Page, Question, Result
from app_views import CSS, message_html, result_html
from transformers import HfArgumentParser
from transformers.utils.logging import disable_progress_bar

EMBEDDED = Path(__file__).parent / "glm-tiny"
# For the embedded checkpoint, facts of the kind that it knows; for others, general knowledge.
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
# A click in the HTML of the fillings becomes an event with the numbers that its element carries.
ON_CLICK = """
element.addEventListener("click", (event) => {
    const target = event.target.closest("[data-filling], [data-alternative], [data-release]");
    if (target) trigger("select", { ...target.dataset });
});
"""


@dataclass
class Arguments:
    """What to show, and where."""

    model: str = field(
        default=os.environ.get("GLM_MODEL", str(EMBEDDED)),
        metadata={"help": "Folder or hub id of a GLM; by default what the variable GLM_MODEL names, or the toy."},
    )
    device: str | None = field(
        default=None, metadata={"help": "Such as cpu or cuda:1. Without it: an accelerator if there is one."}
    )
    dtype: str | None = field(
        default=None,
        metadata={
            "help": "Of the weights. Without it: float32 on a CPU, else the checkpoint's.",
            "choices": ["float16", "bfloat16", "float32"],
        },
    )
    port: int | None = field(default=None, metadata={"help": "Without it: the first free one from 7860 on."})
    host: str | None = field(
        default=None,
        metadata={"help": "Address to listen on; 0.0.0.0 lets other machines in. Without it: only this one."},
    )
    share: bool = field(default=False, metadata={"help": "Also make a public link, through a server of Gradio's."})
    open: bool = field(default=False, metadata={"help": "Also open the page in the browser."})


def build(page: Page, name: str) -> gr.Blocks:
    """The layout, and what happens on it."""
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
    """The tab on which texts are filled and alternatives clicked."""
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
    """What the tab of fillings shows: what is found, or else what it showed before, and what went wrong."""
    found, message = before, ""
    try:
        found = find()
    except ValueError as error:
        message = message_html(str(error))
    given = found is not None and bool(found.question.given)
    return found, html(message), html(result_html(found) if found else ""), gr.Button(interactive=given)


def html(content: str) -> gr.HTML:
    """Some HTML, which takes no room when there is none."""
    return gr.HTML(content, visible=bool(content))


def build_choose(page: Page, texts: list[list[str]]):
    """The tab on which choices are compared."""
    text = gr.Textbox(texts[0][0], label="A text with one blank", lines=2, elem_id="choose-text")
    choices = gr.Textbox(texts[0][1], label="Choices, one on each line", lines=4, elem_id="choices")
    choose = gr.Button("Choose", variant="primary", elem_id="choose")
    message = gr.HTML(elem_id="choose-message", visible=False)
    chart = gr.Label(label="Probabilities beside each other", elem_id="chart", visible=False)
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
    """The tab with the layout of the chosen filling: drawn when it is opened."""
    gr.Markdown(
        "Every row is a token, and the coloured cells are what it sees. Part A is the text, which sees itself in both "
        "directions; behind it come the answers, which see the text and what was filled before."
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
    """Has events call a function. One call runs at a time: they share the model."""
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


def main():
    args: Arguments
    (args,) = HfArgumentParser(Arguments).parse_args_into_dataclasses()
    disable_progress_bar()  # of weight loading: too fast to be of use
    blocks = build(Page(args.model, args.device, args.dtype), args.model)
    blocks.launch(
        server_name=args.host,
        server_port=args.port,
        share=args.share,
        inbrowser=args.open,
        ssr_mode=False,
        footer_links=["gradio", "settings"],
        theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css=CSS,
    )


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        sys.exit(f"error: {error}")
