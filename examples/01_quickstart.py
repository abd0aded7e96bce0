#!/usr/bin/env python
"""
GLM in five minutes on a CPU: fill blanks, rank choices, continue a text, fine-tune.

Everything goes through the classes that Transformers users know. Without arguments it runs on the embedded checkpoint
(`examples/glm-tiny`, 3 million parameters, trained on facts that ship with Python) and compares it with trivial
baselines on text that it has never seen. With `--model` it fills, ranks and continues with any GLM.

    python examples/01_quickstart.py
    python examples/01_quickstart.py --model path/or/hub-id
"""

import random
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from corpora import build_splits
from corpora.baselines import MASK
from corpora.held_out import error_ratio, measure_held_out
from transformers import (
    AutoModelForMultipleChoice,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    HfArgumentParser,
    Trainer,
    TrainingArguments,
    set_seed,
)
from transformers.utils.logging import disable_progress_bar

from modeling_glm.utils.files import whole_folder  # importing the package makes the Auto classes know GLM
from modeling_glm.utils.inference import answer_blanks
from modeling_glm.utils.plots import plot_losses
from modeling_glm.utils.precision import has_fast_bf16

HERE = Path(__file__).parent
EMBEDDED = HERE / "glm-tiny"

# For the embedded checkpoint, facts of the kind that it knows; for others, general knowledge.
EMBEDDED_CHOICES = (
    [
        "HTTP status 404 is Not Found, a [MASK].",
        "GREEK SMALL LETTER OMEGA WITH TONOS is a letter of the [MASK] script.",
        "The number 7352 is written seven thousand [MASK] hundred and fifty-two.",
    ],
    [
        [" client error", " server error", " success", " redirection"],
        [" Latin", " Greek", " Cyrillic", " Armenian"],
        [" two", " three", " five"],
    ],
)
EMBEDDED_STARTS = ["The number 4836 is written", "In Roman numerals, 1987 is", "CYRILLIC SMALL LETTER ZHE is"]
GENERAL_BLANKS = [
    "Paris is the [MASK] of France.",
    "The sun rises in the [MASK] and sets in the [MASK].",
    "A dog has four [MASK] and one [MASK].",
]
GENERAL_CHOICES = (
    ["Water boils at one hundred [MASK].", "Ice is [MASK]."],
    [[" degrees", " meters", " people"], [" cold", " hot"]],
)
GENERAL_STARTS = ["Once upon a time there was a king who"]


@dataclass
class Arguments:
    """What to run on."""

    model: str = field(default=str(EMBEDDED), metadata={"help": "Folder or hub id of a GLM."})
    output_dir: str = field(default="runs/quickstart", metadata={"help": "Where the fine-tuned model goes."})
    blanks: int = field(default=500, metadata={"help": "Held-out blanks to measure on."})
    steps: int = field(default=150, metadata={"help": "Steps of fine-tuning, 64 examples each."})


def heading(text: str):
    print(f"\n{text}\n{'-' * len(text)}")


def fill(model, tokenizer, texts: list[str]):
    """(a) Several blanks of unknown length in one text, all texts in one batch."""
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    answers = tokenizer.decode_blanks(model.generate(**inputs))
    for text, row in zip(texts, answers, strict=True):
        print(f"  {text}\n    -> {tokenizer.fill(text, [f'<{answer}>' for answer in row])}")


def rank(model_name: str, tokenizer, texts: list[str], choices: list[list[str]]):
    """(b) Choices for a blank with their probabilities."""
    model = AutoModelForMultipleChoice.from_pretrained(model_name, dtype=torch.float32).eval()
    inputs = tokenizer(texts, return_tensors="pt", padding=True)
    with torch.inference_mode():
        logits = model(**tokenizer.build_inputs_for_multiple_choice(inputs, choices)).logits
    for text, row, probabilities in zip(texts, choices, logits.softmax(-1).tolist(), strict=True):
        ranked = sorted(zip(probabilities, row, strict=False), reverse=True)
        print(f"  {text}\n    -> " + ", ".join(f"{choice.strip()} {share:.1%}" for share, choice in ranked))


def continue_text(model, tokenizer, texts: list[str]):
    """(c) A text goes on from [gMASK]."""
    mask = tokenizer.gmask_token or tokenizer.mask_token
    for text in texts:
        inputs = tokenizer(f"{text} {mask}", return_tensors="pt")
        (answer,), *_ = tokenizer.decode_blanks(model.generate(**inputs, max_new_tokens_per_blank=40))
        print(f"  {text} ...\n    -> {text} <{answer}>")


def measure(model, tokenizer, count: int):
    """Exact match and loss of blanks in held-out text, beside trivial baselines."""
    print(f"  {count} blanks of 1 to 3 words in text that was held out from training.")
    print("  The baselines are told how many words are missing; GLM has to find out.\n")
    rows = measure_held_out(model, tokenizer, count)
    print(f"  {'':24}{'exact match':>12}{'in facts':>10}{'in prose':>10}{'nats per token':>16}")
    for row in rows:
        print(f"  {row.name:24}{row.all:>12.1%}{row.facts:>10.1%}{row.prose:>10.1%}{row.loss:>16.2f}")
    print(f"\n  GLM makes {error_ratio(rows):.0%} of the errors of the best baseline.")


def show_held_out(model, tokenizer, count: int):
    """Held-out facts with several blanks each, filled, beside the truth."""
    generator = random.Random(7)
    documents = [document for document in build_splits()[1] if document.family != "prose"]
    for document in generator.sample(documents, count):
        words = document.text.split()
        positions = sorted(generator.sample(range(1, len(words) - 1), 3))
        positions = [p for p, q in zip(positions, [*positions[1:], 10**9], strict=True) if q - p > 1]
        masked = [MASK + word[len(word.rstrip(".,:;")) :] if i in positions else word for i, word in enumerate(words)]
        text = " ".join(masked)
        truth = [words[position].rstrip(".,:;") for position in positions]
        answers = answer_blanks(model, tokenizer, [text], max_new_tokens_per_blank=12)[0]
        marks = [
            f"<{answer}>" if answer == right else f"<{answer} (not {right})>"
            for answer, right in zip(answers, truth, strict=True)
        ]
        print(f"  {text}\n    -> {tokenizer.fill(text, marks)}")


CHOICES = [" larger", " smaller"]


def comparisons(count: int, held_out: bool, seed: int) -> list[dict]:
    """Pairs of numbers and how they compare: a question that pretraining never asked. A pair is in one split only."""
    generator = random.Random(seed)
    examples = []
    while len(examples) < count:
        first, second = generator.sample(range(10, 1000), 2)
        if ((first * 1000 + second) % 7 == 0) == held_out:
            examples.append({"pair": (first, second), "label": int(first < second)})
    return examples


class ComparisonCollator:
    """Pairs of numbers as clozes for [`GLMForMultipleChoice`]."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        texts = ["The number {} is [MASK] than {}.".format(*example["pair"]) for example in examples]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True)
        batch = self.tokenizer.build_inputs_for_multiple_choice(inputs, [CHOICES] * len(examples))
        return {**batch, "labels": torch.tensor([example["label"] for example in examples])}


def fine_tune(model_name: str, tokenizer, steps: int, target: Path):
    """(d) Cloze fine-tuning with Trainer, from a question never seen before to a saved model."""
    set_seed(0)
    model = AutoModelForMultipleChoice.from_pretrained(model_name, dtype=torch.float32)
    collator = ComparisonCollator(tokenizer)
    held_out = comparisons(400, held_out=True, seed=1)
    with tempfile.TemporaryDirectory() as scratch:
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
            ),
            data_collator=collator,
            train_dataset=comparisons(64 * steps, held_out=False, seed=0),
            eval_dataset=held_out,
            compute_metrics=lambda output: {"accuracy": (output.predictions.argmax(-1) == output.label_ids).mean()},
        )
        before = trainer.evaluate()["eval_accuracy"]
        trainer.train()
        after = trainer.evaluate()["eval_accuracy"]
    model = trainer.accelerator.unwrap_model(model, keep_fp32_wrapper=False)  # without the autocast of training
    print(f"\n  accuracy on {len(held_out)} held-out pairs: {before:.1%} before, {after:.1%} after {steps} steps")

    with whole_folder(target) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        plot_losses(
            trainer.state.log_history, folder / "loss.png", "Fine-tuning on comparisons of numbers", per="example"
        )
    reloaded = AutoModelForMultipleChoice.from_pretrained(target).eval()
    batch = collator(held_out[:50])
    with torch.inference_mode():
        same = torch.allclose(model.eval()(**batch).logits, reloaded(**batch).logits, atol=1e-4)
    if not same:
        raise RuntimeError(f"The model saved in {target} gives other answers than the one in memory.")
    print(f"  saved in {target}, reloaded: same answers. The loss curve is {target / 'loss.png'}")


def main():
    (args,) = HfArgumentParser(Arguments).parse_args_into_dataclasses()
    embedded = Path(args.model).resolve() == EMBEDDED.resolve()
    disable_progress_bar()  # of weight loading: too fast to be of use
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForSeq2SeqLM.from_pretrained(args.model, dtype=torch.float32).eval()
    print(f"{args.model}: {model.num_parameters():,} parameters, {len(tokenizer):,} tokens")

    heading("(a) Fill blanks")
    if embedded:
        show_held_out(model, tokenizer, 5)
        print()
        measure(model, tokenizer, args.blanks)
    else:
        fill(model, tokenizer, GENERAL_BLANKS)
    heading("(b) Rank choices for a blank")
    rank(args.model, tokenizer, *(EMBEDDED_CHOICES if embedded else GENERAL_CHOICES))
    heading("(c) Continue a text")
    continue_text(model, tokenizer, EMBEDDED_STARTS if embedded else GENERAL_STARTS)
    if embedded:
        heading("(d) Fine-tune on a new question")
        fine_tune(args.model, tokenizer, args.steps, Path(args.output_dir))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped. Nothing is left half-written.")
