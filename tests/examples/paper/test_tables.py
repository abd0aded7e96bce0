"""The tables hold together: rows, measures, figures, recipes."""

from statistics import mean

import pytest

from examples.paper.programs import PROGRAMS, RECIPES
from examples.paper.tables import PaperRow, PaperTable, PublishedModel, available_tables, read_table
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.seq2seq.arguments import read_recipe

ORDER = ["superglue", "cnn_dm", "xsum", "gigaword", "question_generation", "yahoo", "lambada", "wikitext"]
# What table 1 of the paper gives as averages.
AVERAGES = {"base": 70.7, "large": 77.0, "doc": 75.7, "410m": 78.0, "515m": 78.8, "roberta-large": 82.9}


def test_all_tables_are_here():
    assert available_tables() == ORDER


@pytest.mark.parametrize("name", ORDER)
def test_figures_belong_to_rows(name):
    table = read_table(name)
    assert table.program in PROGRAMS
    assert (table.batch_size is not None) == PROGRAMS[table.program].trains
    assert table.data
    for model, published in table.models.items():
        assert model in PRESETS
        assert published.source
        assert set(published.figures) == set(table.rows)
        assert set(published.rows) <= set(table.rows)
        for row, measures in published.figures.items():
            assert set(measures) == {*table.rows[row].tolerance, *table.rows[row].unmeasured}


@pytest.mark.parametrize("name", [name for name in ORDER if read_table(name).program == "seq2seq"])
def test_batches_are_those_of_the_recipes(name):
    table = read_table(name)
    row = next(iter(table.rows))
    for model in table.models:
        name = table.settings_of(row, model)["recipe"]
        recipe = read_recipe(name, RECIPES)
        devices = 4 if name.endswith("-10b") else 1  # as these recipes say
        on_device = recipe["per_device_train_batch_size"] * recipe["gradient_accumulation_steps"]
        assert table.batch_size_of(row, model) == on_device * devices


def test_superglue_batches():
    """The authors' task files give 64 examples to ReCoRD and MultiRC, and 16 to the others."""
    table = read_table("superglue")
    batches = {row: table.batch_size_of(row, "glm-large") for row in table.rows}
    assert {row for row, size in batches.items() if size == 64} == {"record", "multirc"}
    assert set(batches.values()) == {16, 64}


@pytest.mark.parametrize("model", AVERAGES)
def test_superglue_averages(model):
    """The average over tasks, each with the mean of its scores, is that of the paper."""
    figures = read_table("superglue").models[f"glm-{model}"].figures
    assert mean(mean(scores.values()) for scores in figures.values()) == pytest.approx(AVERAGES[model], abs=0.0501)


def test_settings_add_up():
    """Those of a row override those of the table, those of the model both, and those of the model's row all."""
    table = PaperTable(
        name="t",
        title="",
        place="",
        program="lambada",
        data="",
        notes=[],
        settings={"a": 0, "b": 0, "c": 0, "d": 0},
        rows={
            "r": PaperRow(tolerance={}, settings={"b": 1, "c": 1, "d": 1}, batch_size=6),
            "s": PaperRow(tolerance={}),
        },
        models={
            "m": PublishedModel(source="", figures={}, settings={"c": 2, "d": 2}, rows={"r": {"d": 3}}, batch_size=8)
        },
        batch_size=4,
    )
    assert table.settings_of("r", "m") == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert table.settings_of("s", "m") == {"a": 0, "b": 0, "c": 2, "d": 2}
    assert table.settings_of("r", "own") == {"a": 0, "b": 1, "c": 1, "d": 1}
    assert (table.batch_size_of("r", "m"), table.batch_size_of("r", "own"), table.batch_size_of("s", "own")) == (
        8,
        6,
        4,
    )
    assert table.figures_of("r", "own") == {}


def test_no_such_table(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no recipe glue: give a YAML file or one of cnn_dm, "):
        read_table("glue")
    (tmp_path / "bad.yaml").write_text("rows: [", encoding="utf-8")
    with pytest.raises(ValueError, match=r"bad\.yaml is not YAML"):
        read_table("bad", tmp_path)
