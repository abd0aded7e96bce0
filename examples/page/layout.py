"""Lay out the page: its tabs, and what happens when a button is clicked."""

import itertools
import re
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any

import gradio as gr

from modeling_glm.checkpoints.embedded import is_embedded, sample_texts

from .logic import Page, Question, Result
from .turns import MOST_QUESTIONS, Stopped
from .views import busy_html, message_html, picture_html, result_html, shares_html, summary

# Turn a click on an element with data attributes into a Gradio event that carries them. The new result replaces the
# button with the focus of the keyboard, so the one in its place gets it.
ON_CLICK = """
let focused = null;
watch("value", () => {
    if (focused && document.activeElement === document.body) element.querySelector(focused)?.focus();
});
element.addEventListener("click", (event) => {
    const target = event.target.closest("[data-filling], [data-alternative], [data-release]");
    if (!target || target.closest("fieldset:disabled")) return;
    mark(element.closest(".asking"), "old");
    const { filling, blank = target.dataset.release } = target.dataset;
    focused = filling ? `[data-filling="${filling}"] button` : `[data-blank="${blank}"]`;
    trigger("select", { ...target.dataset });
});
"""
# Screen readers read changes of this element aloud.
ON_LOAD_STATUS = 'element.setAttribute("role", "status"); element.setAttribute("aria-live", "polite");'
KINDS = {
    "mask_token": "a word or a few words",
    "smask_token": "a sentence",
    "gmask_token": "the rest of the text",
}
STOPPED = "<p>Stopped.</p>"
RUNS = itertools.count()


def build(page: Page, name: str) -> gr.Blocks:
    """Build the page for a model that was loaded from `name`."""
    samples = sample_texts(name)
    size = f"{page.model.num_parameters():,} parameters"
    toy = ", a toy that knows words, numbers, dates and times" if is_embedded(name) else ""
    with gr.Blocks(title="GLM fills blanks") as blocks:
        gr.Markdown(
            f"# GLM fills blanks\n{Path(name).name}: {size}{toy}.\n\n"
            "A blank is a gap in a text. The model reads what stands before and behind it, and fills it with any number "
            f"of words. Write a blank as `{page.tokenizer.mask_token}` or `___`."
        )
        result = gr.State(None)
        with gr.Tab("Fill", elem_classes="asking"):
            build_fill(page, result, samples.fill)
        with gr.Tab("Choose", elem_classes="asking"):
            build_choose(page, samples.choose)
        with gr.Tab("What the model sees") as tab:
            build_picture(page, result, tab)

        def leave(request: gr.Request):
            for tab in ("fill", "choose"):
                page.turns.stop(asker(request, tab))

        blocks.unload(leave)
    blocks.queue(max_size=2 * MOST_QUESTIONS)
    return blocks


def build_fill(page: Page, result: gr.State, texts: list[str]):
    """Build the tab that fills texts and offers alternatives."""
    with gr.Group(elem_classes="question"):
        text = gr.Textbox(texts[0], label="A text with blanks", lines=2, elem_id="text")
    build_inserts(page, text, [name for name in KINDS if getattr(page.tokenizer, name, None) in page.masks], "insert")
    with gr.Row():
        fill = gr.Button("Fill (Ctrl+Enter)", variant="primary", elem_id="fill", elem_classes="ask")
        stop = gr.Button("Stop", visible=False, elem_id="stop")
        reset = gr.Button("Reset what you set", visible=False, elem_id="reset")
    progress, status, message = build_news("fill")
    shown = gr.HTML(elem_id="result", js_on_load=ON_CLICK, visible=False)
    examples = build_examples(texts, text, texts, "fill-examples")
    with gr.Accordion("Settings", open=False, elem_id="settings", elem_classes="question"):
        with gr.Row():
            number = gr.Slider(1, 10, 3, step=1, label="Fillings")
            longest = gr.Slider(1, min(64, page.longest_answer), 16, step=1, label="Longest answer in tokens")
        with gr.Row():
            method = gr.Radio(["Likeliest", "Drawn"], value="Likeliest", label="Answers")
            beams = gr.Slider(1, 32, 8, step=1, label="Beams (likeliest)")
        with gr.Row():
            temperature = gr.Slider(0.1, 2, 1, step=0.1, label="Temperature (drawn)")
            seed = gr.Number(0, label="Seed (drawn)", precision=0, minimum=0, maximum=2**32 - 1)
        pattern = gr.Textbox(
            label="Pattern",
            info="A regular expression that every answer must match, such as [0-9]+",
            max_lines=1,
            elem_id="pattern",
        )
    settings = [text, number, longest, method, beams, temperature, seed, pattern]
    outputs = [result, progress, status, message, shown, reset, stop]

    async def ask(found, text, number, longest, method, beams, temperature, seed, pattern, request: gr.Request):
        question = Question(
            text=text or "",
            number=number,
            longest=longest,
            sample=method == "Drawn",
            beams=beams,
            temperature=temperature,
            seed=seed or 0,
            pattern=pattern or "",  # browsers send None for a box that was never opened
        )
        async for update in answer(page, request, found, lambda: page.view(page.fill(question)), keep=False):
            yield update

    async def click(found: Result | None, event: gr.EventData, request: gr.Request):
        def change() -> Result:
            numbers = read_click(event)
            if "filling" in numbers:
                return page.choose_filling(found, numbers["filling"])
            if "release" in numbers:
                return page.release(found, numbers["release"])
            return page.put_alternative(found, numbers["blank"], numbers["alternative"])

        async for update in answer(page, request, found, lambda: page.view(change())):
            yield update

    async def release_all(found: Result | None, request: gr.Request):
        async for update in answer(page, request, found, lambda: page.view(page.release(found))):
            yield update

    def check(found, text, *others):
        *others, pattern = others
        return [
            valid(""),
            valid(page.refuse(text or "")),
            *(valid("") for _ in others),
            valid(page.refuse_pattern(pattern or "")),
        ]

    events = [fill.click, text.submit, pattern.submit, examples.load_input_event.then]
    on_model(events, ask, [result, *settings], outputs, check)
    on_model([shown.select], click, [result], outputs)
    on_model([reset.click], release_all, [result], outputs)
    on_stop(stop, page, "fill")


def build_examples(examples: list, inputs: Any, labels: list[str], elem_id: str) -> gr.Examples:
    """Build examples with a button for each, which the keyboard reaches, too."""
    return gr.Examples(
        examples, inputs, label="Examples", example_labels=labels, elem_id=elem_id, api_visibility="private"
    )


def build_inserts(page: Page, text: gr.Textbox, names: list[str], elem_id: str):
    """Build buttons that insert a blank into a text where the cursor is."""
    with gr.Row(elem_id=elem_id):
        for name in names:
            mask = getattr(page.tokenizer, name)
            kind = f" for {KINDS[name]}" if len(names) > 1 else ""
            button = gr.Button(f"Insert {mask}{kind}", size="sm")
            script = f"(text) => insertBlank({text.elem_id!r}, {mask!r}, text)"
            button.click(None, [text], [text], js=script, api_visibility="private")


def build_news(name: str) -> tuple[gr.HTML, gr.HTML, gr.HTML]:
    """Build what tells of a question: its progress, its result for screen readers, and what went wrong."""
    progress = gr.HTML(elem_id=f"{name}-progress", visible=False)
    status = gr.HTML(elem_id=f"{name}-status", elem_classes="hidden-text", js_on_load=ON_LOAD_STATUS)
    return progress, status, gr.HTML(elem_id=f"{name}-message", visible=False)


def read_click(event: gr.EventData) -> dict[str, int]:
    """
    Read what was clicked: the number of a filling, of a blank to release, or of a blank and its other answer.

    Raises:
        ValueError: For data that the page does not send.
    """
    found = {name: _carried(event, name) for name in ("filling", "release", "blank", "alternative")}
    for names in (("filling",), ("release",), ("blank", "alternative")):
        values = [found[name] for name in names]
        if all(isinstance(value, str | int) and re.fullmatch("[0-9]{1,4}", str(value)) for value in values):
            return {name: int(value) for name, value in zip(names, values, strict=True)}
    raise ValueError(
        f"The click carries {str(found)[:100]}: expected the number of a filling, of a blank to release, or of a blank and "
        "its alternative. Load the page again."
    )


def _carried(event: gr.EventData, name: str) -> Any:
    try:
        return getattr(event, name, None)
    except TypeError:  # the event carries nothing, or no fields
        return None


async def answer(
    page: Page, request: gr.Request, before: Result | None, values: Callable[[], Iterable[Result]], keep: bool = True
) -> AsyncIterator[tuple]:
    """
    Update the tab that fills texts while its question is answered.

    Args:
        page: The page.
        request: Tells who asks.
        before: The result that is shown.
        values: Computes the result, and again with more in it.
        keep: Whether the old result stays after an error.
    """

    def update(
        found: Result | None, stage: str = "", message: str = "", told: str = "", new: bool = True, progress: str = ""
    ) -> tuple:
        given = found is not None and bool(found.question.given)
        return (
            found if new else gr.skip(),
            html(busy_html(stage) or progress),
            gr.HTML(told or message or "Working"),
            html(message_html(message)),
            html(result_html(found, next(RUNS)) if found else "") if new else gr.skip(),
            gr.Button(visible=given) if new else gr.skip(),
            gr.Button(visible=bool(stage)),
        )

    found = before
    try:
        async for news in page.turns.follow(asker(request, "fill"), values):
            found = news.values[-1] if news.values else found
            told = summary(found) if found and not news.stage else ""
            yield update(found, news.stage, told=told, new=bool(news.values))
    except Stopped:
        yield update(found, told="Stopped", progress=STOPPED)
    except ValueError as error:
        yield update(found if keep else None, message=explain(error))
    except Exception as error:  # the page must not stay busy
        yield update(found, message=f"The model failed: {error}")
        raise


def asker(request: gr.Request, tab: str) -> str:
    """Name who asks: a visitor may ask one question in each tab."""
    return f"{tab} {request.session_hash}"


def explain(error: ValueError) -> str:
    """Say what is wrong. The page has one text, so its number is left out."""
    return str(getattr(error, "reason", error))


def html(content: str) -> gr.HTML:
    """Show some HTML, or hide the element if there is none."""
    return gr.HTML(content, visible=bool(content))


def valid(message: str) -> dict[str, Any]:
    """Accept an input, or refuse it with a message. The server then answers with status 422."""
    return gr.validate(not message, message)


def build_choose(page: Page, samples: dict[str, list[str]]):
    """Build the tab that compares choices."""
    texts = [[text, "\n".join(choices)] for text, choices in samples.items()]
    with gr.Group(elem_classes="question"):
        text = gr.Textbox(texts[0][0], label="A text with one blank", lines=2, elem_id="choose-text")
        choices = gr.Textbox(texts[0][1], label="Choices, one on each line", lines=4, elem_id="choices")
    build_inserts(page, text, ["mask_token"], "choose-insert")
    with gr.Row():
        choose = gr.Button("Choose (Ctrl+Enter)", variant="primary", elem_id="choose", elem_classes="ask")
        stop = gr.Button("Stop", visible=False, elem_id="choose-stop")
    progress, status, message = build_news("choose")
    chart = gr.HTML(elem_id="chart", visible=False)
    labels = [f"{text} {', '.join(choices)}?" for text, choices in samples.items()]
    examples = build_examples(texts, [text, choices], labels, "choose-examples")

    async def compare(text: str, choices: str, request: gr.Request):
        shares: dict[str, float] = {}
        problem = told = progress = ""
        try:
            async for news in page.turns.follow(
                asker(request, "choose"), lambda: [page.choose(text or "", choices or "")]
            ):
                shares = news.values[-1] if news.values else shares
                if news.stage:
                    yield html(busy_html(news.stage)), gr.HTML("Working"), html(""), gr.skip(), gr.Button(visible=True)
            told = f"The likeliest choice is {next(iter(shares))}." if shares else ""
        except Stopped:
            told, progress = "Stopped", STOPPED
        except ValueError as error:
            problem = explain(error)
        except Exception as error:  # the page must not stay busy
            problem = f"The model failed: {error}"
        shown = html(shares_html(shares, next(RUNS)) if shares else "")
        yield html(progress), gr.HTML(told or problem), html(message_html(problem)), shown, gr.Button(visible=False)

    def check(text, choices):
        return [valid(page.refuse(text or "")), valid(page.refuse("", choices or ""))]

    events = [choose.click, text.submit, choices.submit, examples.load_input_event.then]
    on_model(events, compare, [text, choices], [progress, status, message, chart, stop], check)
    on_stop(stop, page, "choose")


def build_picture(page: Page, result: gr.State, tab: gr.Tab):
    """Build the tab with the attention layout of the chosen filling. It is drawn when the tab is opened."""
    gr.Markdown(
        "Each row is a token, and its coloured cells are the tokens that it sees. Part A is the text: it sees itself in both "
        "directions. The answers follow. They see the text and what was filled before."
    )
    message = gr.HTML(elem_id="picture-message", visible=False)
    picture = gr.HTML(elem_id="picture", visible=False)

    async def draw(found: Result | None, request: gr.Request):
        drawn = ""
        try:
            async for news in page.turns.follow(asker(request, "picture"), lambda: [page.draw(found)]):
                drawn = "".join(map(picture_html, news.values)) or drawn
        except ValueError as error:
            return html(message_html(explain(error))), html("")
        return html(""), html(drawn)

    on_model([tab.select], draw, [result], [message, picture])


def on_model(
    events: list[Callable], function: Callable, inputs: list, outputs: list, validator: Callable | None = None
):
    """Call a function on events. Calls of several visitors run at the same time and take turns with the model."""
    for event in events:
        event(
            function,
            inputs,
            outputs,
            validator=validator,
            concurrency_limit=MOST_QUESTIONS,
            concurrency_id="model",
            trigger_mode="multiple",  # a new question stops the old one
            show_progress="hidden",
            api_visibility="private",
        )


def on_stop(button: gr.Button, page: Page, tab: str):
    """Stop the question of a visitor at a click, without waiting in the queue."""

    def stop_question(request: gr.Request):
        page.turns.stop(asker(request, tab))

    button.click(stop_question, None, None, queue=False, show_progress="hidden", api_visibility="private")
