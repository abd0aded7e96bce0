"""The originals' seq2seq samples: their files written to folders, their tokenizers, the flags of each case."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from modeling_glm import GLMTokenizer
from modeling_glm.tokenization.seq2seq.published import read_seq2seq_task
from tests.support.original_files import read_golden, write_hub_folder

FEATURES = json.loads(read_golden("seq2seq/features.json"))
CASES = FEATURES["cases"]


def name_of(case: dict[str, Any]) -> str:
    """Name a case for a test: "squad-bert-train-40"."""
    flags = [flag.strip("-") for flag in case["flags"] if flag != "--seed" and flag != flag_of(case, "--seed")]
    return "-".join(map(str, (case["task"], case["tokenizer"], case["split"], case["src_seq_length"], *flags)))


def flag_of(case: dict[str, Any], name: str, default: str = "") -> str:
    """Return the value of a command line option of a case."""
    return case["flags"][case["flags"].index(name) + 1] if name in case["flags"] else default


def write_files(task: str, folder: Path) -> Path:
    """Write the files of a task."""
    for name, content in FEATURES["files"][task].items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8", newline="")
    return folder


def build_tokenizer(name: str, folder: Path) -> GLMTokenizer:
    """Build a tokenizer of the cases. "gpt2_notask" is GPT-2's vocabulary without task masks."""
    family = name.removesuffix("_notask")
    tokenizer = GLMTokenizer.from_pretrained(write_hub_folder(family, folder))
    if family != name:
        tokenizer.smask_token = tokenizer.gmask_token = None
    return tokenizer


def read_case(case: dict[str, Any], folder: Path, tokenizer: GLMTokenizer) -> list[dict[str, Any]]:
    """Read the rows of a case as the originals do."""
    return read_seq2seq_task(case["task"]).read(
        folder,
        case["split"],
        tokenizer=tokenizer,
        max_source_length=case["src_seq_length"],
        mask_ratio=float(flag_of(case, "--blank-maskratio", "0.3")),
        seed=int(flag_of(case, "--seed")),
        original=True,
        faults=True,
    )


def collator_settings(case: dict[str, Any], tokenizer: GLMTokenizer) -> dict[str, Any]:
    """Return the arguments of the collator for a case, in the originals' layout."""
    task = read_seq2seq_task(case["task"])
    settings = task.collator_settings(
        tokenizer,
        original=True,
        max_source_length=case["src_seq_length"],
        max_target_length=None if task.reader == "blanks" else case["tgt_seq_length"],
        mask_ratio=float(flag_of(case, "--blank-maskratio", "0.3")),
    )
    switches = {
        "mask_padding": "--mask-pad-token" in case["flags"],
        "block_positions": "--no-block-position" not in case["flags"],
    }
    return {**settings, "layout": replace(settings["layout"], **switches)}
