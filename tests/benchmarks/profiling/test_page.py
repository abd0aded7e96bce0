"""File, tables, picture and page of the profiles."""

from dataclasses import replace

import pytest

from benchmarks.harness.report import MAIN
from benchmarks.profiling import page as pages
from benchmarks.profiling.categories import CATEGORIES, MATMULS, PYTHON
from benchmarks.profiling.page import Profiles, limits_table, machines_table, parts_table, read_machines, update_page

NAMES = ("picture", "limits", "parts", "machines")
BLOCKS = "".join(f"<!-- {name}: begin --><!-- {name}: end -->\n" for name in NAMES)


@pytest.fixture
def laptop(profiles, profile) -> Profiles:
    """Another machine, on which everything takes half of the time, and which also measured something else."""
    halved = {name: seconds / 2 for name, seconds in profile.categories.items()}
    faster = replace(profile, seconds=0.8, profiled_seconds=1.0, categories=halved)
    works = {"training": [faster], "scoring": [replace(faster, title="Scoring, Base")]}
    return replace(profiles, machine=replace(profiles.machine, device="Other CPU"), works=works)


def test_file_holds_all_of_it(profiles, tmp_path):
    profiles.write(tmp_path / "profile_cpu.json")
    assert Profiles.read(tmp_path / "profile_cpu.json") == profiles
    assert read_machines(tmp_path) == {MAIN: profiles}


def test_parts_of_one_machine(profiles):
    assert parts_table({MAIN: profiles}, "Training step, Base") == (
        f"| part | time, s | share |\n| --- | --- | --- |\n| {MATMULS} | 1.5 | 75.0% |\n| {PYTHON} | 0.5 | 25.0% |"
    )


def test_two_machines_stand_side_by_side(profiles, laptop, tmp_path):
    profiles.write(tmp_path / "profile_cpu.json")
    laptop.write(tmp_path / "profile_cpu_laptop.json")
    (tmp_path / "page.md").write_text(BLOCKS)
    several = read_machines(tmp_path)
    assert list(several) == [MAIN, "laptop"]
    update_page(tmp_path / "page.md", several)
    text = (tmp_path / "page.md").read_text()
    assert "| part | time, s, main | share, main | time, s, laptop | share, laptop |" in text
    assert f"| {MATMULS} | 1.5 | 75.0% | 0.75 | 75.0% |" in text
    assert "### Scoring, Base\n\n| part | time, s | share |" in text
    for name, found in several.items():
        assert f"| {name} | {found.machine.describe()} | `python -m benchmarks profile` |" in text
    assert "](profile_cpu.svg)" in text
    picture = (tmp_path / "profile_cpu.svg").read_text()
    update_page(tmp_path / "page.md", several)
    assert (tmp_path / "page.md").read_text() == text
    assert (tmp_path / "profile_cpu.svg").read_text() == picture


def test_limits_are_shares_of_the_time(profiles):
    assert limits_table({MAIN: profiles}).splitlines()[2] == (
        "| Training step, Base | main | 1.6 | 300 | 10 | 62% | 31% | 75% | 1,234 |"
    )
    assert "Some CPU, 2 cores, 1 threads" in machines_table({MAIN: profiles})


def test_every_category_has_a_color():
    assert len(set(pages.COLORS)) == len(CATEGORIES)


def test_page_has_the_figures_of_its_files():
    """The page has blocks also where nothing is measured yet."""
    text = pages.PAGE.read_text(encoding="utf-8")
    several = read_machines(pages.PAGE.parent)
    shown = pages.page_blocks(several, "profile_cpu.svg") if several else dict.fromkeys(NAMES, "")
    assert [name for name, content in shown.items() if content not in text] == []
    assert [name for name in NAMES if text.count(f"<!-- {name}: begin -->") != 1] == []
