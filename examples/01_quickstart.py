#!/usr/bin/env python
"""
Try GLM on a CPU in a few minutes: fill blanks, choose among answers, continue a text, fine-tune.

Without arguments it runs on the embedded checkpoint (`examples/glm-tiny`, 3 million parameters, trained on facts that ship
with Python) and compares it with simple baselines on held-out text. With --model it fills, chooses and continues with any
GLM.

    python examples/01_quickstart.py
    python examples/01_quickstart.py --model path/or/hub-id
"""

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from corpora.comparisons import COMPARISON_LABELS, COMPARISON_PATTERN, make_comparisons
from corpora.measuring.held_out import error_ratio, hide_words, measure_held_out
from rich.console import Console
from rich.progress import Progress
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    HfArgumentParser,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)
from transformers.utils.logging import disable_progress_bar

from modeling_glm import DataCollatorForCloze, PatternVerbalizer, choose, fill_blanks
from modeling_glm.checkpoints.embedded import embedded_checkpoint, is_embedded
from modeling_glm.runs.lock import require_folder
from modeling_glm.utils.files import whole_folder
from modeling_glm.utils.help import HelpFormatter
from modeling_glm.utils.plots import plot_losses
from modeling_glm.utils.precision import has_fast_bf16

# The embedded checkpoint knows facts that ship with Python.
EMBEDDED_QUESTIONS = {
    "HTTP status 404 is Not Found, a [MASK].": ["client error", "server error", "success", "redirection"],
    "GREEK SMALL LETTER OMEGA WITH TONOS is a letter of the [MASK] script.": [
        "Latin",
        "Greek",
        "Cyrillic",
        "Armenian",
    ],
    "The number 7352 is written seven thousand [MASK] hundred and fifty-two.": ["two", "three", "five"],
}
EMBEDDED_STARTS = ["The number 4836 is written", "In Roman numerals, 1987 is", "CYRILLIC SMALL LETTER ZHE is"]
GENERAL_TEXTS = [
    "Paris is the [MASK] of France.",
    "The sun rises in the [MASK] and sets in the [MASK].",
    "A dog has four [MASK] and one [MASK].",
]
GENERAL_QUESTIONS = {
    "Water boils at one hundred [MASK].": ["degrees", "meters", "people"],
    "Ice is [MASK].": ["cold", "hot"],
}
GENERAL_STARTS = ["Once upon a time there was a king who"]

out = Console(highlight=False, soft_wrap=True)
progress = Console(stderr=True)


@dataclass
class QuickstartArguments:
    """The model to try, and how long to try it."""

    model: str = field(default=embedded_checkpoint(), metadata={"help": "Folder or hub id of a GLM."})
    output_dir: str = field(default="runs/quickstart", metadata={"help": "Folder for the fine-tuned model."})
    blanks: int = field(default=500, metadata={"help": "Number of held-out blanks to measure on."})
    steps: int = field(default=150, metadata={"help": "Steps of fine-tuning, with 64 examples each."})


class StepProgress(TrainerCallback):
    """Show the steps of a Trainer as one bar."""

    def __init__(self, bar: Progress, steps: int):
        self.bar = bar
        self.task = bar.add_task("fine-tuning", total=steps)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(self.task, completed=state.global_step)


def heading(text: str):
    out.print(f"\n{text}\n{'-' * len(text)}", markup=False)


def fill(model, tokenizer, texts: list[str], truths: list[list[str]] | None = None):
    """Fill several blanks of unknown length in each text. All texts go in one batch."""
    for number, (filling,) in enumerate(fill_blanks(model, tokenizer, texts, max_new_tokens_per_blank=12)):
        answers = [answer.text for answer in filling.answers]
        truth = truths[number] if truths else answers
        marks = [f"<{a}>" if a == t else f"<{a} (not {t})>" for a, t in zip(answers, truth, strict=True)]
        shown = filling.text
        for answer, mark in reversed(list(zip(filling.answers, marks, strict=True))):
            shown = f"{shown[: answer.start]}{mark}{shown[answer.end :]}"
        out.print(f"  {texts[number]}\n    -> {shown}", markup=False)


def choose_answers(model, tokenizer, questions: dict[str, list[str]]):
    """Choose among answers for a blank."""
    found = choose(model, tokenizer, list(questions), list(questions.values()))
    for text, choices in zip(questions, found, strict=True):
        ranked = ", ".join(f"{choice.text} {choice.probability:.1%}" for choice in choices)
        out.print(f"  {text}\n    -> {ranked}", markup=False)


def continue_texts(model, tokenizer, starts: list[str]):
    """Continue texts: put a blank at their end and fill it."""
    mask = tokenizer.gmask_token or tokenizer.mask_token
    found = fill_blanks(model, tokenizer, [f"{text} {mask}" for text in starts], max_new_tokens_per_blank=40)
    for text, (filling,) in zip(starts, found, strict=True):
        out.print(f"  {text} ...\n    -> {text} <{filling.answers[0].text}>", markup=False)


def measure(model, tokenizer, count: int):
    """Measure exact match and loss on held-out blanks, beside simple baselines."""
    with progress.status(f"Measuring {count} held-out blanks ..."):
        rows = measure_held_out(model, tokenizer, count)
    out.print(f"  {count} blanks of 1 to 3 words in held-out text.")
    out.print("  The baselines know how many words are missing; GLM has to find out.\n")
    out.print(f"  {'':24}{'exact match':>12}{'in facts':>10}{'in prose':>10}{'nats per token':>16}")
    for row in rows:
        out.print(f"  {row.name:24}{row.all:>12.1%}{row.facts:>10.1%}{row.prose:>10.1%}{row.loss:>16.2f}")
    out.print(f"\n  GLM makes {1 - error_ratio(rows):.0%} fewer errors than the best baseline.")


def fine_tune(model_name: str, tokenizer, steps: int, target: Path):
    """Fine-tune on a new cloze question with Trainer, save the model with its task, and load it again."""
    set_seed(0)
    model = AutoModelForMultipleChoice.from_pretrained(model_name, dtype=torch.float32)
    task = PatternVerbalizer(COMPARISON_PATTERN, dict(zip(COMPARISON_LABELS, COMPARISON_LABELS, strict=True)))
    collator = DataCollatorForCloze(tokenizer, task)
    held_out = make_comparisons(400, held_out=True, seed=1)
    with tempfile.TemporaryDirectory() as scratch, Progress(console=progress, transient=True) as bar:
        trainer = Trainer(
            model,
            TrainingArguments(
                scratch,
                max_steps=steps,
                per_device_train_batch_size=64,
                per_device_eval_batch_size=100,
                learning_rate=5e-4,
                lr_scheduler_type="linear",
                warmup_steps=steps // 10,
                bf16=has_fast_bf16(),
                use_cpu=not torch.cuda.is_available(),
                logging_steps=max(1, steps // 20),
                save_strategy="no",
                remove_unused_columns=False,
                report_to="none",
                disable_tqdm=True,
            ),
            data_collator=collator,
            train_dataset=make_comparisons(64 * steps, held_out=False, seed=0),
            eval_dataset=held_out,
            compute_metrics=lambda output: {"accuracy": (output.predictions.argmax(-1) == output.label_ids).mean()},
            callbacks=[StepProgress(bar, steps)],
        )
        trainer.remove_callback(PrinterCallback)  # the bar is enough
        before = trainer.evaluate()["eval_accuracy"]
        trainer.train()
        after = trainer.evaluate()["eval_accuracy"]
    model = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # without the autocast of training
    out.print(f"  accuracy on {len(held_out)} held-out pairs: {before:.1%} before, {after:.1%} after {steps} steps")

    with whole_folder(target) as folder:
        model.save_pretrained(folder)
        task.attach(tokenizer).save_pretrained(folder)
        plot_losses(
            trainer.state.log_history, folder / "loss.png", "Fine-tuning on comparisons of numbers", per="example"
        )
    reloaded = AutoModelForMultipleChoice.from_pretrained(target).eval()
    batch = collator(held_out[:50])
    with torch.inference_mode():
        same = torch.allclose(model.eval()(**batch).logits, reloaded(**batch).logits, atol=1e-4)
    if not same:
        raise RuntimeError(f"The model saved in {target} gives other answers than the one in memory.")
    out.print(f"  saved in {target} and loaded again: same answers. The loss curve is {target / 'loss.png'}")


def main():
    args: QuickstartArguments
    parser = HfArgumentParser(QuickstartArguments, description=__doc__, formatter_class=HelpFormatter)
    (args,) = parser.parse_args_into_dataclasses()
    try:
        target = require_folder(args.output_dir, "--output_dir")
    except ValueError as error:
        sys.exit(f"error: {error}")
    embedded = is_embedded(args.model)
    disable_progress_bar()  # loading the weights takes less time than drawing the bar
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model, dtype=torch.float32).eval()
    out.print(f"{args.model}: {model.num_parameters():,} parameters, {len(tokenizer):,} tokens")

    heading("(a) Fill blanks")
    if embedded:
        fill(model, tokenizer, *hide_words(5, seed=7))
        out.print()
        measure(model, tokenizer, args.blanks)
    else:
        fill(model, tokenizer, GENERAL_TEXTS)
    heading("(b) Choose among answers")
    choose_answers(model, tokenizer, EMBEDDED_QUESTIONS if embedded else GENERAL_QUESTIONS)
    heading("(c) Continue a text")
    continue_texts(model, tokenizer, EMBEDDED_STARTS if embedded else GENERAL_STARTS)
    if embedded:
        heading("(d) Fine-tune on a new question")
        fine_tune(args.model, tokenizer, args.steps, target)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Nothing is left half-written.")
