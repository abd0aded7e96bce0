"""Small weights and files of the right form for the tables of the paper, and their programs in the process of the test."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from modeling_glm import GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.cli.main import main
from tests.support.models import make_model
from tests.support.original_files import read_golden
from tests.support.scripts import run_script
from tests.support.seq2seq_features import write_files

# By task: its folder, and the labels of its examples in turn.
SUPERGLUE: dict[str, tuple[str, list[Any]]] = {
    "boolq": ("BoolQ", [True, False]),
    "cb": ("CB", ["entailment", "contradiction", "neutral"]),
    "copa": ("COPA", [0, 1]),
    "multirc": ("MultiRC", []),
    "record": ("ReCoRD", []),
    "rte": ("RTE", ["entailment", "not_entailment"]),
    "wic": ("WiC", [True, False]),
    "wsc": ("WSC", [True, True, False]),
}
PAIRS = {"question_generation": "squad_generation", "yahoo": "blank"}
# For weights with 128 positions, and a test of a second.
SHORT_TRAINING = {"max_steps": 1, "disable_tqdm": True, "report_to": "none", "dataloader_pin_memory": False}
SHORT_PAIRS = {
    **SHORT_TRAINING,
    "max_source_length": 60,
    "max_target_length": 12,
    "min_new_tokens": 0,
    "num_beams": 2,
    "predict_with_generate": False,
    "metric_for_best_model": "loss",
    "show": 0,
}
SHORT: dict[str, dict[str, Any]] = {
    "superglue": {**SHORT_TRAINING, "max_length": 100, "save_strategy": "no"},
    "yahoo": {**SHORT_PAIRS, "num_beams": 1},
    "lambada": {"max_length": 60},
    "wikitext": {"window": 60, "stride": 15},
}


def short_settings(table: str) -> dict[str, Any]:
    """Return settings that make a run of a table short."""
    return SHORT.get(table, SHORT_PAIRS)


def write_weights(folder: Path, tokenizer: GLMTokenizer) -> Path:
    """Write a model of random weights with its tokenizer."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 128}
    ids = tokenizer.special_token_ids
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **sizes, **ids)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def write_data(table: str, folder: Path) -> Path:
    """Write the data of a table, and return what --data names."""
    folder.mkdir(parents=True)
    if table == "superglue":
        return _write_superglue(folder)
    if table == "lambada":
        lines = [
            json.dumps({"text": f"the quick brown fox saw {word} and jumped over {word}"})
            for word in ("Rome", "the dog")
        ]
        path = folder / "lambada_test.jsonl"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path
    if table == "wikitext":
        path = folder / "wiki.test.tokens"
        path.write_text(
            " \n = The fox = \n \n The quick brown fox jumps over 1 @,@ 234 dogs . \n" * 4, encoding="utf-8"
        )
        return path
    write_files(PAIRS.get(table, table), folder)
    if table == "yahoo":  # the shipped files have blanks for every share of words
        of_30 = folder / "blank" / "test.maskratio0.3.blank"
        for ratio in (0.1, 0.2, 0.4, 0.5):
            of_30.with_name(f"test.maskratio{ratio}.blank").write_bytes(of_30.read_bytes())
    return folder


def _write_superglue(folder: Path) -> Path:
    golden = json.loads(read_golden("superglue/patterns.json"))
    for task, (name, labels) in SUPERGLUE.items():
        (folder / name).mkdir()
        for split, count in (("train", 20), ("val", 3)):  # a tenth of 20 is held out
            rows = []
            for number in range(count):
                row = {**golden[task]["raw"], "idx": number}
                if task == "copa":  # in training its examples come a second time, with the same idx for all
                    row["premise"] += f" {number}"
                if task in ("multirc", "record"):  # examples of the same text and question stay together
                    row["passage"] = {**row["passage"], "text": f"{row['passage']['text']} {number}"}
                if labels:
                    row["label"] = labels[number % len(labels)]
                rows.append(json.dumps(row, ensure_ascii=False) + "\n")
            (folder / name / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")
    return folder


def start_here(command: Sequence[str]) -> int:
    """Run the command of a program in this process, without pictures, and return its exit status."""
    python, *words = command
    assert python == sys.executable
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("modeling_glm.cloze.report.plot_confusion", lambda *_: None)
        patch.setattr("modeling_glm.utils.plots.plot_losses", lambda *_, **__: None)
        try:
            if words[0] == "-m":
                patch.setattr(sys, "argv", words[1:])
                main()
            else:
                run_script(Path(words[0]).name, *words[1:])  # sets sys.argv
        except SystemExit as stop:
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)
            return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0
