"""The rows and the collator that arguments name. `tests/examples/test_seq2seq.py` runs the script as a whole."""

import json

import pytest

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.seq2seq.arguments import Seq2SeqAnswerArguments, Seq2SeqDataArguments
from modeling_glm.seq2seq.run import Embedded, load_data, read_search
from modeling_glm.seq2seq.sources import Columns, Seq2SeqData
from modeling_glm.seq2seq.training import Seq2SeqSettings
from tests.support.seq2seq_features import write_files
from tests.support.seq2seq_runs import make_rows

ROWS = make_rows(20)
EMBEDDED = Seq2SeqData(name="toy", columns=Columns(), train=ROWS, validation=ROWS[:2], test=ROWS[:3])


@pytest.fixture
def load(saved):
    """Load what arguments name, for the small model or another one."""

    def load(model=saved, layout="glm", lengths=(None, None), **arguments):
        source, target = lengths
        settings = Seq2SeqSettings(model=str(model), layout=layout, max_source_length=source, max_target_length=target)
        embedded = Embedded(model=saved, tasks={"toy": lambda: EMBEDDED})
        return load_data(Seq2SeqDataArguments(**arguments), settings, GLMTokenizer.from_pretrained(saved), embedded)

    return load


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return str(path)


def test_the_first_embedded_task_is_the_default(load):
    data, collator = load()
    assert data is EMBEDDED
    assert collator.pattern == "{source|shorten} [gMASK]"
    assert load(task="toy")[0] is EMBEDDED


def test_files_have_the_pattern_of_the_arguments(load, lines):
    data, collator = load(
        train_file=lines, test_file=lines, source="target", target=["source"], pattern="{source} [MASK]"
    )
    assert (collator.pattern, collator.target) == ("{target} [MASK]", "source")
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 2, 20)


def test_files_have_the_pattern_of_the_model(load, lines, tmp_path, saved):
    tokenizer = GLMTokenizer.from_pretrained(saved)
    DataCollatorForInfillingSeq2Seq(tokenizer, "{target} [MASK]", target="source").save_pretrained(tmp_path / "model")
    data, collator = load(model=tmp_path / "model", test_file=lines)
    assert (collator.pattern, collator.target, data.columns.targets) == ("{target} [MASK]", "source", ("source",))
    _, collator = load(model=tmp_path / "model", predict_file=lines, pattern="{source} [sMASK]")
    assert collator.pattern == "{source} [sMASK]"
    DataCollatorForInfillingSeq2Seq(tokenizer, "{id} [MASK] [MASK]", target="source + target").save_pretrained(
        tmp_path / "two"
    )
    rows = [{"id": "x", **row} for row in ROWS]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data, collator = load(model=tmp_path / "two", test_file=str(tmp_path / "more.jsonl"))
    assert data.test[0]["source + target"] == [ROWS[0]["source"], ROWS[0]["target"]]
    assert collator.target == "source + target"


def test_another_target_keeps_all_else_of_the_model(load, lines, tmp_path, saved):
    settings = {"max_source_length": 20, "max_target_length": 6, "truncation": "last", "layout": "original"}
    tokenizer = GLMTokenizer.from_pretrained(saved)
    carried = DataCollatorForInfillingSeq2Seq(tokenizer, "{source|shorten} [sMASK]", **settings)
    carried.save_pretrained(tmp_path / "model")
    data, collator = load(model=tmp_path / "model", test_file=lines, source="source", target=["target"])
    assert data.test
    _, other = load(model=tmp_path / "model", predict_file=lines, target=["other"])
    assert (collator.target, other.target) == ("target", "other")
    for found in (collator, other):
        assert found.pattern == "{source|shorten} [sMASK]"
        assert all(getattr(found, name) == getattr(carried, name) for name in settings)
    with pytest.raises(
        ValueError, match=r"--source body: the model carries the pattern .* reads the columns \['source'\]"
    ):
        load(model=tmp_path / "model", test_file=lines, source="body")
    assert load(model=tmp_path / "model", test_file=lines, lengths=(16, 6))[1].max_source_length == 16


def test_a_layout_that_is_given_comes_before_that_of_the_model(load, lines, tmp_path, saved):
    tokenizer = GLMTokenizer.from_pretrained(saved)
    DataCollatorForInfillingSeq2Seq(tokenizer, max_source_length=20, max_target_length=6).save_pretrained(tmp_path)
    assert load(model=tmp_path, test_file=lines)[1].layout == "glm"
    assert load(model=tmp_path, test_file=lines, layout="original")[1].layout != "glm"


@pytest.mark.parametrize("layout", ["glm", "original"])
def test_tasks_of_the_originals(load, tmp_path, layout):
    folder = write_files("gigaword", tmp_path)
    data, collator = load(task="gigaword", data_dir=str(folder), layout=layout, lengths=(32, 16))
    assert data.name == "gigaword"
    assert data.metrics == ("rouge",)
    assert data.train
    assert data.validation
    assert data.test
    assert collator.pattern == "[sMASK] Content: {source|shorten}"
    assert (collator.layout == "glm") == (layout == "glm")
    row = data.test[0]
    assert data.columns.references(row) == [row["references"]]
    assert len(collator.encode(data.train[0])["input_ids"]) == 48 if layout == "original" else True


def test_a_test_file_may_be_missing(load, tmp_path):
    folder = write_files("xsum", tmp_path)
    data, _ = load(task="xsum", data_dir=str(folder), lengths=(32, 16))
    assert data.to_report[0] == "test"
    folder = write_files("gigaword", tmp_path / "other")
    (folder / "test.source").unlink()
    data, _ = load(task="gigaword", data_dir=str(folder), lengths=(32, 16))
    assert data.to_report[0] == "validation"
    (folder / "train.source").unlink()
    with pytest.raises(FileNotFoundError, match=r"train\.source"):
        load(task="gigaword", data_dir=str(folder), lengths=(32, 16))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"task": "toy", "train_file": "x.csv"}, "Give only one of --task, --dataset and files"),
        ({"dataset": "a/b", "train_file": "x.csv"}, "Give only one of --task, --dataset and files"),
        ({"task": "toy", "pattern": "{a} [MASK]"}, "Task 'toy' has its own pattern and columns"),
        ({"task": "nothing"}, "Unknown task 'nothing': expected one of toy, blank, cmrc"),
        ({"task": "xsum"}, "Task 'xsum' needs --data_dir"),
        ({"data_dir": "xsum"}, "--data_dir xsum: the task 'toy' has no files. Name a task of the originals"),
        ({"train_file": "x.csv", "pattern": "{a [MASK]"}, r"^Pattern '\{a \[MASK\]' has a single '\{'"),
    ],
)
def test_errors(load, arguments, message):
    with pytest.raises(ValueError, match=message):
        load(**arguments)


def test_search(ending):
    model = GLMForConditionalGeneration.from_pretrained(ending)
    found = read_search(Seq2SeqAnswerArguments(num_beams=3, min_new_tokens=2), model)
    assert (found.num_beams, found.min_new_tokens, found.length_penalty, found.original_search) == (3, 2, 1.0, False)
    assert read_search(Seq2SeqAnswerArguments(original_search=True), model).original_search
