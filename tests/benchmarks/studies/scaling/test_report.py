"""The tables, from the measurements that the page shows."""

import json
import re

import pytest

from benchmarks.studies.scaling import report
from benchmarks.studies.scaling.report import all_tables, show_seconds
from tests.support.paths import ROOT

PAGE = ROOT / "docs" / "results" / "scaling.md"


@pytest.fixture(scope="module")
def measured():
    return json.loads(PAGE.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def tables(measured):
    return all_tables(measured)


def cells(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_page_shows_the_tables(tables):
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables.items():
        assert f"<!-- {name}: begin -->\n\n{table}\n\n<!-- {name}: end -->" in text, name


def test_measured_losses_are_equal(tables):
    assert "*Base*: 12 layers of width 768" in tables["work"]
    difference = re.search(r"by at most (\S+),", tables["work"])
    assert float(difference[1]) < 1e-4


def test_measured_bytes_are_those_of_the_theory(measured, tables):
    rows = cells(tables["bytes"])
    assert [row[:2] for row in rows] == [
        [str(count), name] for count in report.counts_of(measured) for name in ("DDP", "ZeRO 1", "ZeRO 2", "FSDP 2")
    ]
    assert all(0 <= float(row[5].rstrip("%")) < 0.1 for row in rows)


def test_ratios_of_the_text(tables):
    """FSDP 2 sends 1.4 times the bytes of DDP with NCCL and 1.9 times with gloo, and ZeRO 1 sends 1.5 times."""
    two = {row[1]: [float(cell.replace(",", "")) for cell in (row[4], row[6])] for row in cells(tables["bytes"])[:4]}
    gloo, nccl = (two["FSDP 2"][number] / two["DDP"][number] for number in (0, 1))
    assert (round(gloo, 1), round(nccl, 1)) == (1.9, 1.4)
    assert two["ZeRO 1"][1] / two["DDP"][1] == pytest.approx(1.5, abs=1e-3)


def test_embeddings_are_the_share_of_the_text():
    for preset, share in (("glm-base", 0.22), ("glm-large", 0.1)):
        load = report.preset_load(preset)
        assert load.outer / load.parameters == pytest.approx(share, abs=0.01)


def test_glm_large_stands_first_among_the_checks(tables):
    first = cells(tables["published"])[0]
    assert first[:2] == ["GLM-Large", "64"]
    assert first[3] == "2.50 days"
    assert first[5] in tables["errors"]


def test_predictions_are_of_all_strategies(tables):
    rows = cells(tables["strategies"])
    assert len(rows) == 16
    assert sum("does not fit" in row[2] for row in rows) == 2
    assert [row[0] for row in cells(tables["gpus"])] == ["1", "8", "64", "128", "512"]


def test_wall_times_are_shown_if_the_machine_was_idle(measured, tables):
    first, *others = measured["runs"].items()
    idle = {**measured, "runs": dict([(first[0], {**first[1], "load": 0.1}), *others])}
    busy = {**measured, "runs": dict([(first[0], {**first[1], "load": 5.0}), *others])}
    assert [row[:2] for row in cells(all_tables(idle)["wall times"])] == [
        row[:2] for row in cells(tables["cpu times"])
    ]
    assert all_tables(busy)["wall times"].startswith("Other work had the cores during these runs (load average 5.0 on")


def test_more_processes_are_compared_by_both_clocks(measured):
    runs = measured["runs"]
    several = {**measured, "runs": {"1": {**runs["1"], "load": 0.1}, "2": runs["2"], "4": runs["2"]}}
    rows = cells(report.more_processes_table(several))
    assert [row[1] for row in rows] == ["CPU"] * 4 + ["wall"] * 5
    # Four processes are predicted to need three times as long for the bytes, and these did not.
    assert float(rows[-1][3]) == pytest.approx(3 * float(rows[-1][4]), rel=0.1)
    two = {**measured, "runs": {name: runs[name] for name in "12"}}
    assert report.more_processes_table(two) == "More than two processes are not measured."


@pytest.mark.parametrize(
    ("seconds", "shown"), [(216_000, "2.50 days"), (31_260, "8.68 h"), (2640, "44 min"), (12.345, "12.35 s")]
)
def test_times_have_units(seconds, shown):
    assert show_seconds(seconds) == shown
