#!/usr/bin/env python
"""
Try GLM on a CPU in a few minutes: fill blanks, choose among answers, continue a text, fine-tune.

Without arguments it runs on the embedded checkpoint (`examples/glm-tiny`, 7 million parameters, trained on facts that ship
with Python, on small documents about words, and on the Bible and Jane Austen), and measures how often it is right. With
--model it fills, chooses and continues with any GLM.

    python examples/01_quickstart.py
    python examples/01_quickstart.py --model path/or/hub-id
"""

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from corpora.comparisons import COMPARISON_LABELS, COMPARISON_PATTERN, make_comparisons
from corpora.measuring.families import measure_families
from corpora.measuring.sample import read_sample
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
from modeling_glm.checkpoints.embedded import embedded_checkpoint, is_embedded, sample_texts
from modeling_glm.runs.lock import require_folder
from modeling_glm.utils.files import whole_folder
from modeling_glm.utils.help import HelpFormatter
from modeling_glm.utils.plots import plot_losses
from modeling_glm.utils.precision import has_fast_bf16

out = Console(highlight=False, soft_wrap=True)
progress = Console(stderr=True)


@dataclass
class QuickstartArguments:
    """The model to try, and how long to try it."""

    model: str = field(default=embedded_checkpoint(), metadata={"help": "Folder or hub id of a GLM."})
    output_dir: str = field(default="runs/quickstart", metadata={"help": "Folder for the fine-tuned model."})
    blanks: int = field(default=50, metadata={"help": "Number of blanks of each family to measure on."})
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


def fill(model, tokenizer, texts: list[str]):
    """Fill several blanks of unknown length in each text. All texts go in one batch."""
    for text, (filling,) in zip(texts, fill_blanks(model, tokenizer, texts, max_new_tokens_per_blank=12), strict=True):
        shown = filling.text
        for answer in reversed(filling.answers):
            shown = f"{shown[: answer.start]}<{answer.text}>{shown[answer.end :]}"
        out.print(f"  {text}\n    -> {shown}", markup=False)


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
    """Measure exact match on blanks of every family, beside a back-off n-gram."""
    sample = {family: blanks[:count] for family, blanks in read_sample().items()}
    with progress.status(f"Measuring {sum(map(len, sample.values()))} blanks ..."):
        rows = measure_families(model, tokenizer, sample)
    out.print(
        '  How often the answer is exactly right, in blanks that no training text has filled (except "from memory").'
    )
    out.print("  The n-gram knows how many words are missing. GLM has to find out, unless it is told.\n")
    out.print(f"  {'':30}{'blanks':>8}{'GLM':>8}{'told':>8}{'n-gram':>8}")
    for row in rows:
        shares = "".join(f"{share:>8.0%}" for share in (row.exact_match, row.told_length, row.ngram))
        out.print(f"  {row.family:30}{row.blanks:>8}{shares}")


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

    samples = sample_texts(args.model)
    heading("(a) Fill blanks")
    fill(model, tokenizer, samples.fill)
    if embedded:
        out.print()
        measure(model, tokenizer, args.blanks)
    heading("(b) Choose among answers")
    choose_answers(model, tokenizer, samples.choose)
    heading("(c) Continue a text")
    continue_texts(model, tokenizer, samples.start)
    if embedded:
        heading("(d) Fine-tune on a new question")
        fine_tune(args.model, tokenizer, args.steps, target)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Nothing is left half-written.")
