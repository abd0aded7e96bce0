"""The seq2seq tasks of the originals as the golden data show them: patterns, layouts, and the rows of their samples."""

from typing import Any

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMTokenizer

SUMMARISE = "[sMASK] Content: {source|shorten}"
ANSWER = " {question} [sMASK]. {source|shorten}"
OPEN = {"begins": False}
# For each task its pattern, and the switches of its layout.
TASKS: dict[str, tuple[str, dict[str, bool]]] = {
    "cnn_dm": (SUMMARISE, {}),
    "cnn_dm_original": (SUMMARISE, {}),
    "gigaword": (SUMMARISE, {}),
    "xsum": (SUMMARISE, {}),
    "squad_generation": ("{passage|shorten_around:answer} [sMASK] Answer: {answer|inline}", {}),
    "squad": (ANSWER, {}),
    "squad_v1": (ANSWER, {}),
    "cmrc": ("问题：{question|inline}答案： [MASK]{source|shorten}", {}),
    "customization": ("{source|shorten_start} [sMASK]", {"ends": True}),
    "extraction": ("{source|blanks|shorten}", OPEN),
    "blank": (" {source|blanks|shorten}", OPEN),
}


def read_flag(flags: list[str], name: str) -> str:
    """Return the value of a command line option of the originals."""
    return flags[flags.index(name) + 1]


def make_collator(
    tokenizer: GLMTokenizer, task: str, flags: list[str], lengths: tuple[int, int], task_masks: bool = True
) -> DataCollatorForInfillingSeq2Seq:
    """
    Make the collator of a task in the originals' layout.

    Args:
        tokenizer: The tokenizer.
        task: A key of `TASKS`.
        flags: The command line options.
        lengths: Those of both parts.
        task_masks: Whether `[sMASK]` is used where the vocabulary has it.
    """
    pattern, switches = TASKS[task]
    if not task_masks or tokenizer.smask_token is None:
        pattern = pattern.replace("[sMASK]", "[MASK]")
    source_length, target_length = lengths
    if task == "blank":
        target_length = int(source_length * float(read_flag(flags, "--blank-maskratio")))
    layout = {
        **switches,
        "mask_padding": "--mask-pad-token" in flags,
        "block_positions": "--no-block-position" not in flags,
    }
    return DataCollatorForInfillingSeq2Seq(
        tokenizer, pattern, max_source_length=source_length, max_target_length=target_length, layout=layout
    )


def make_row(task: str, sample: dict[str, Any]) -> dict[str, Any]:
    """Make the row of a golden sample."""
    source, target, meta = sample["text_a"], sample["text_b"], sample["meta"]
    if task == "squad_generation":
        return {"passage": f"{source} Question:", "answer": meta["answer"], "target": meta["question"]}
    if task in ("squad", "squad_v1", "cmrc"):
        return {"source": source, "question": meta["question"].strip(), "target": meta["ref"]}
    return {"source": source, "target": target.split("|") if task == "extraction" else target}
