"""The originals' tasks as data: their files, patterns, layouts and settings."""

import json

import pytest

from modeling_glm import DataCollatorForInfillingSeq2Seq
from modeling_glm.seq2seq.arguments import parse_arguments
from modeling_glm.seq2seq.metrics import METRICS
from modeling_glm.tokenization.patterns.syntax import field_names, parse
from modeling_glm.tokenization.seq2seq.layouts import OriginalLayout
from modeling_glm.tokenization.seq2seq.published import available_seq2seq_tasks, read_seq2seq_task
from modeling_glm.utils.yaml_text import read_yaml
from tests.support.original_files import read_golden
from tests.support.paths import ROOT
from tests.support.seq2seq_features import CASES, flag_of, name_of, write_files

TASKS = available_seq2seq_tasks()
# Beside those of the tasks that the script embeds.
EMBEDDED = ("names", "summaries")
RECIPES = [
    path for path in sorted((ROOT / "examples" / "recipes" / "seq2seq").glob("*.yaml")) if path.stem not in EMBEDDED
]
# What can be read by default, with every vocabulary.
DEFAULT = [
    case
    for case in CASES
    if ("error" in case or not any("error" in sample for sample in case["samples"]))
    and not {"--no-block-position", "--mask-pad-token", "--task-mask"} & set(case["flags"])
    and case["task"] != "customization"  # its files have empty lines
    and case["task"] != "extraction"  # its files have an answer too many
]


def test_all_tasks_of_the_originals_are_there():
    assert set(TASKS) == set(json.loads(read_golden("seq2seq/features.json", fixture=True))["files"])


@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_whole(name):
    task = read_seq2seq_task(name)
    assert task.name == name
    assert "train" in task.splits
    assert task.splits[:2] == ["train", "validation"]
    assert set(task.metrics) <= set(METRICS)
    assert any(blank in task.pattern for blank in ("[MASK]", "[sMASK]", "|blanks"))
    assert all(sentence.endswith(".") for sentence in task.differences)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipes_have_the_settings_of_their_task(path):
    recipe = read_yaml(path.read_text(encoding="utf-8"))
    task = read_seq2seq_task(recipe["task"])
    assert path.stem in (task.name, f"{task.name}-10b")
    assert {name: recipe[name] for name in task.settings} == task.settings
    assert recipe.get("metric_for_best_model", "loss") == task.best_metric
    # 16 texts a step, or more, of the authors' GPUs.
    assert recipe["per_device_train_batch_size"] * recipe["gradient_accumulation_steps"] % 16 == 0


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_script_takes_every_recipe(path, tmp_path):
    line = ["--recipe", path.stem, "--output_dir", str(tmp_path)]
    data, _, answers, training = parse_arguments("", line, recipes=path.parent)
    recipe = read_yaml(path.read_text(encoding="utf-8"))
    assert (data.task, data.max_source_length) == (recipe["task"], recipe["max_source_length"])
    assert (answers.num_beams, training.learning_rate) == (recipe["num_beams"], recipe["learning_rate"])


def test_every_task_with_settings_has_a_recipe():
    assert {path.stem.removesuffix("-10b") for path in RECIPES} == {
        name for name in TASKS if read_seq2seq_task(name).settings
    }


@pytest.mark.parametrize("case", DEFAULT, ids=name_of)
def test_rows_suit_the_collator(case, original_tokenizer, tmp_path):
    """By default, as the layout of GLM has them, with every vocabulary."""
    tokenizer = original_tokenizer(case["tokenizer"])
    task = read_seq2seq_task(case["task"])
    rows = task.read(
        write_files(case["task"], tmp_path),
        case["split"],
        tokenizer=tokenizer,
        max_source_length=case["src_seq_length"],
        mask_ratio=float(flag_of(case, "--blank-maskratio", "0.3")),
    )
    settings = task.collator_settings(
        tokenizer, max_source_length=case["src_seq_length"], max_target_length=case["tgt_seq_length"]
    )
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, **settings)
    batch = collator(rows)
    assert (batch["labels"] != -100).any(dim=1).all()
    assert batch["input_ids"].shape[1] <= case["src_seq_length"] + case["tgt_seq_length"]
    prompts = collator.prompts(rows)["input_ids"]
    assert prompts.shape[0] == len(rows)
    assert prompts.shape[1] <= case["src_seq_length"]
    for row in rows:
        assert set(row) >= {*field_names(parse(settings["pattern"])), "target", "references", "id"}
        assert "original" not in row
        assert all(isinstance(reference, str) for reference in row["references"])


@pytest.mark.parametrize("case", [case for case in DEFAULT if case["split"] != "train"], ids=name_of)
def test_the_originals_layout_does_not_need_their_faults(case, original_tokenizer, tmp_path):
    """A checkpoint that they fine-tuned is measured with the real answers."""
    tokenizer, task = original_tokenizer(case["tokenizer"]), read_seq2seq_task(case["task"])
    length, ratio = case["src_seq_length"], float(flag_of(case, "--blank-maskratio", "0.3"))
    rows = task.read(
        write_files(case["task"], tmp_path),
        case["split"],
        tokenizer=tokenizer,
        max_source_length=length,
        mask_ratio=ratio,
        original=True,
    )
    settings = task.collator_settings(
        tokenizer,
        original=True,
        max_source_length=length,
        max_target_length=case["tgt_seq_length"],
        mask_ratio=ratio,
    )
    batch = DataCollatorForInfillingSeq2Seq(tokenizer, **settings).evaluation_batch(rows)
    assert batch["input_ids"].shape[1] == length + case["tgt_seq_length"]
    assert (batch["labels"] != -100).any(dim=1).all()
    assert not [row for row in rows if "original" in row or "FAKE_ANSWER" in str(row)]


def test_masks_follow_the_vocabulary(original_tokenizer):
    task = read_seq2seq_task("cnn_dm")
    assert task.pattern_for(original_tokenizer("gpt2")) == "[sMASK] Content: {source|shorten}"
    assert task.pattern_for(original_tokenizer("gpt2_notask")) == "[MASK] Content: {source|shorten}"
    assert task.pattern_for(original_tokenizer("bert")) == "[MASK] Content: {source|shorten}"
    cmrc = read_seq2seq_task("cmrc")
    assert cmrc.pattern_for(original_tokenizer("chinese")) == cmrc.pattern


def test_layouts():
    assert read_seq2seq_task("xsum").layout_for() == "glm"
    assert read_seq2seq_task("xsum").layout_for(original=True) == OriginalLayout()
    assert read_seq2seq_task("customization").layout_for(original=True) == OriginalLayout(ends=True)
    assert read_seq2seq_task("extraction").layout_for(original=True) == OriginalLayout(begins=False)


def test_lengths(original_tokenizer):
    settings = read_seq2seq_task("gigaword").collator_settings(original_tokenizer("bert"))
    assert (settings["max_source_length"], settings["max_target_length"]) == (192, 32)
    blank = read_seq2seq_task("blank")
    assert blank.collator_settings(original_tokenizer("bert"), mask_ratio=0.1)["max_target_length"] == 200
    original = blank.collator_settings(original_tokenizer("bert"), original=True, mask_ratio=0.1)
    assert original["max_target_length"] == 25
    assert read_seq2seq_task("extraction").collator_settings(original_tokenizer("bert"))["max_source_length"] is None


def test_the_files_of_a_ratio(tmp_path):
    folder = write_files("blank", tmp_path)
    task = read_seq2seq_task("blank")
    assert len(task.read(folder, "test", mask_ratio=0.3)) == 3
    with pytest.raises(FileNotFoundError, match=r"There is no file .*test\.maskratio0\.5\.blank"):
        task.read(folder, "test", mask_ratio=0.5)


def test_squad_v1_looks_at_every_window_in_validation(original_tokenizer, tmp_path):
    folder, task = write_files("squad_v1", tmp_path), read_seq2seq_task("squad_v1")
    settings = {"tokenizer": original_tokenizer("roberta"), "max_source_length": 32}
    assert all(row["target"] != "N/A" for row in task.read(folder, "train", **settings))
    assert any(row["target"] == "N/A" for row in task.read(folder, "validation", **settings))
    assert all(
        row["target"] != "N/A" for row in task.read(folder, "validation", original=True, faults=True, **settings)
    )


def test_names_of_splits(tmp_path):
    folder, task = write_files("gigaword", tmp_path), read_seq2seq_task("gigaword")
    rows = [task.read(folder, split) for split in ("validation", "val", "valid", "dev")]
    assert all(other == rows[0] for other in rows)
    assert rows[0][0]["id"] == "dev-0"


@pytest.mark.parametrize("split", ["test", "evaluation", ""])
def test_a_missing_split(tmp_path, split):
    with pytest.raises(
        ValueError, match=rf"'squad' has no split '{split}': expected one of \['train', 'validation'\]"
    ):
        read_seq2seq_task("squad").read(tmp_path, split)


def test_a_missing_folder_and_a_missing_file(tmp_path):
    task = read_seq2seq_task("gigaword")
    with pytest.raises(
        FileNotFoundError, match=r"There is no folder .*nowhere: give the one with the files of 'gigaword'"
    ):
        task.read(tmp_path / "nowhere", "train")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*train\.source"):
        task.read(tmp_path, "train")


def test_the_originals_need_a_vocabulary(tmp_path):
    with pytest.raises(ValueError, match="original=True reads references through the vocabulary: give tokenizer"):
        read_seq2seq_task("xsum").read(tmp_path, "train", original=True)


def test_faults_are_those_of_the_originals(tmp_path):
    with pytest.raises(ValueError, match="faults=True reads as the originals do: set original=True too"):
        read_seq2seq_task("xsum").read(tmp_path, "train", faults=True)


def test_an_unknown_task():
    with pytest.raises(ValueError, match=r"Unknown task 'cnn': there are \['blank', 'cmrc', 'cnn_dm'.*give a pattern"):
        read_seq2seq_task("cnn")
