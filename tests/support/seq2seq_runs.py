"""Short seq2seq runs, in this process or in several."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Seq2SeqTrainingArguments, set_seed

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.runs.checkpoints import disconnect
from modeling_glm.seq2seq.trainer import GLMSeq2SeqTrainer
from tests.support.models import make_text_model

WORDS = ["red", "green", "blue", "black", "white", "gold", "pink", "grey"]


def make_rows(count: int) -> list[dict[str, str]]:
    """Write sources of different lengths, and targets that are their words in reverse."""
    rows = []
    for number in range(count):
        words = [WORDS[(number * 5 + place * (number + 2)) % len(WORDS)] for place in range(1 + number % 5)]
        rows.append({"source": " ".join(words), "target": " ".join(reversed(words))})
    return rows


def make_config(tokenizer: GLMTokenizer, **settings: Any) -> GLMConfig:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 64}
    dropout = {f"{name}_dropout": 0.0 for name in ("embedding", "attention", "hidden")}
    return GLMConfig(vocab_size=len(tokenizer), **{**sizes, **dropout, **tokenizer.special_token_ids, **settings})


def make_ending_model(tokenizer: GLMTokenizer, by: float = 7.0) -> GLMForConditionalGeneration:
    """Make a model of random weights that ends its answers after some tokens."""
    model = make_text_model(tokenizer)
    end = model.get_input_embeddings().weight[tokenizer.eop_token_id]
    with torch.no_grad():
        model.glm.transformer.final_layernorm.bias += by * end / end.norm() ** 2  # raises the logits of the end
    return model


def generate_alone(model: Any, collator: DataCollatorForInfillingSeq2Seq, row: Mapping[str, Any], **settings: Any):
    """Call `generate` for one row without padding, and return Part B of its best answer up to the end."""
    prompt = collator.prompts([row])
    ids = model.generate(**prompt, **settings)[0, prompt["input_ids"].shape[1] :].tolist()
    ends = (model.config.eop_token_id, model.config.eos_token_id)
    stop = next((place for place, token_id in enumerate(ids) if token_id in ends), len(ids))
    return ids[: stop + 1]


def read_written(rows: Any) -> list[list[int]]:
    """Read the rows of a table that is padded with -100, without the padding."""
    written = []
    for row in rows.tolist():
        stop = row.index(-100) if -100 in row else len(row)
        assert set(row[stop:]) <= {-100}
        written.append(row[:stop])
    return written


def make_arguments(folder: Path, **settings: Any) -> Seq2SeqTrainingArguments:
    defaults = {
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 3,
        "predict_with_generate": True,
        "learning_rate": 1e-2,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
    }
    return Seq2SeqTrainingArguments(str(folder), **{**defaults, **settings})


def train_short_run(tokenizer_folder: str, folder: str):
    """Train four steps with two checkpoints, or resume, and save the model to FOLDER/model."""
    tokenizer = GLMTokenizer.from_pretrained(tokenizer_folder)
    set_seed(1)
    model = GLMForConditionalGeneration(make_config(tokenizer, hidden_dropout=0.1))
    arguments = make_arguments(
        Path(folder) / "run",
        max_steps=4,
        save_strategy="steps",
        save_steps=2,
        eval_strategy="steps",
        eval_steps=1,
        generation_max_length=6,
        label_smoothing_factor=0.1,
    )
    rows = make_rows(10)
    collator = DataCollatorForInfillingSeq2Seq(tokenizer)
    trainer = GLMSeq2SeqTrainer(
        model,
        arguments,
        collator,
        train_dataset=rows,
        eval_dataset=rows[:3],
        compute_metrics=lambda prediction: {"rows": len(prediction.predictions)},
    )
    trainer.train(resume_from_checkpoint=True)
    trainer.save_model(str(Path(folder) / "model"))


def evaluate_together(tokenizer_folder: str, folder: str, counts: Sequence[int]):
    """Evaluate and predict in a process of a group, and write what the first one finds to FOLDER/found.json."""
    tokenizer = GLMTokenizer.from_pretrained(tokenizer_folder)
    set_seed(1)
    model = GLMForConditionalGeneration(make_config(tokenizer))
    trainer = GLMSeq2SeqTrainer(
        model,
        make_arguments(Path(folder), per_device_eval_batch_size=2, include_for_metrics=["inputs"]),
        DataCollatorForInfillingSeq2Seq(tokenizer),
        compute_metrics=lambda prediction: {"rows": len(prediction.predictions), "sources": len(prediction.inputs)},
    )
    found = []
    for count in counts:
        rows = make_rows(count)
        output = trainer.predict(rows, max_new_tokens=count)
        metrics = trainer.evaluate(rows, max_new_tokens=count)
        found.append(
            {
                "processes": trainer.args.world_size,
                "predictions": output.predictions.tolist(),
                "label_ids": output.label_ids.tolist(),
                "metrics": {name: metrics[f"eval_{name}"] for name in ("rows", "sources", "loss")},
            }
        )
    if trainer.is_world_process_zero():
        (Path(folder) / "found.json").write_text(json.dumps(found))
    del trainer
    disconnect()
