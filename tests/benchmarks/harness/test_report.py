"""Tables, page and picture, and that the page has the figures of its file."""

import re
from dataclasses import replace

import pytest
from matplotlib import image

from benchmarks.harness import report
from benchmarks.harness.results import Growth, Results, Speed

MEASURED = report.PAGE.with_name("performance_cpu.json")
MARKS = "before <!-- headlines: begin --> old <!-- headlines: end --> <!-- tables: begin --><!-- tables: end --> "
MARKS += "<!-- machines: begin --><!-- machines: end --> after"


@pytest.fixture
def headline(monkeypatch) -> report.Headline:
    chosen = report.Headline(task="Train", against="GPT-2", suite="training", work="a step", peer="GPT-2")
    missing = replace(chosen, peer="BERT")
    monkeypatch.setattr(report, "HEADLINES", (chosen, missing))
    return chosen


def test_kinds_have_tables_of_their_own(results):
    assert report.suite_tables(results.suites["quantization"]) == (
        "| weights | held-out blanks | exact match | exact match in fp32 | loss, nats per token | loss in fp32 |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| int8 | 40 | 72.5% | 75.0% | 0.610 | 0.600 |\n\n"
        "| work | compared with | times as fast | lowest to highest | here, s | there, s |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| a step | GPT-2 | 2.00 | 1.00 to 3.00 | 2 | 4 |"
    )


def test_kinds_that_alternate_share_their_table(results):
    step, memory, share = results.suites["training"]
    tables = report.suite_tables([step, memory, step, share])
    assert tables.count("times as fast") == 1
    assert tables.count("| a step | GPT-2 | 2.00 |") == 2


def test_headlines_put_the_result_first(results, headline):
    assert report.headline_table(results).splitlines()[2:] == ["| 2.00 times as fast | Train | GPT-2 |"]


def test_page_is_updated_between_its_marks(results, headline, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(MARKS)
    report.update_page(page, {report.MAIN: results})
    once = page.read_text()
    assert once.startswith("before <!-- headlines: begin -->\n\n| result |")
    assert "| padding | 5.0% |\n\n<!-- tables: end -->" in once
    assert once.endswith("without bf16 instructions | `python -m benchmarks run` |\n\n<!-- machines: end --> after")
    report.update_page(page, {report.MAIN: results})
    assert page.read_text() == once


def test_page_without_marks_is_refused(results, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- headlines: begin --> <!-- headlines: end -->")
    with pytest.raises(ValueError, match="tables: begin"):
        report.update_page(page, {report.MAIN: results})
    assert page.read_text() == "<!-- headlines: begin --> <!-- headlines: end -->"


def test_page_has_the_figures_of_its_file():
    measured = Results.read(MEASURED)
    page = report.PAGE.read_text(encoding="utf-8")
    assert report.headline_table(measured) in page
    assert report.all_tables(measured) in page
    files = report.files_of_machines(report.PAGE.parent, "performance_cpu")
    assert next(iter(files)) == report.MAIN
    assert report.machines_table({name: Results.read(path) for name, path in files.items()}) in page


def test_files_of_machines(tmp_path):
    assert report.files_of_machines(tmp_path, "profile") == {}
    others = {name: tmp_path / f"profile_{name}.json" for name in ("desk", "laptop")}
    for path in (*others.values(), tmp_path / "profile.svg", tmp_path / "performance.json"):
        path.touch()
    assert report.files_of_machines(tmp_path, "profile") == others
    (tmp_path / "profile.json").touch()
    assert list(report.files_of_machines(tmp_path, "profile")) == [report.MAIN, "desk", "laptop"]


def test_machines_stand_side_by_side(results):
    faster = Speed.from_seconds("a step", "GPT-2", ours=[1.0], theirs=[5.0])
    growth = Growth(work="a step", size="layers", sizes=[3, 6], measured=0.9, expected=0.93)
    only_here = Speed.from_seconds("only here", "GPT-2", ours=[1.0], theirs=[1.0])
    suites = {"training": [faster, only_here], "growth": [growth]}
    other = replace(results, machine=replace(results.machine, device="Other CPU"), suites=suites)
    assert report.machines_table({"main": results, "laptop": other}) == (
        "| machine | what it has | measured by |\n"
        "| --- | --- | --- |\n"
        "| main | Some CPU, 2 cores, 1 threads, without bf16 instructions | `python -m benchmarks run` |\n"
        "| laptop | Other CPU, 2 cores, 1 threads, without bf16 instructions | `python -m benchmarks run` |\n\n"
        "| work | compared with | times as fast, main | times as fast, laptop |\n"
        "| --- | --- | --- | --- |\n"
        "| a step | GPT-2 | 2.00 | 5.00 |\n"
        "| only here | GPT-2 | – | 1.00 |\n\n"
        "| work | by | sizes | exponent measured, main | exponent measured, laptop |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| a step | layers | 3, 6 | 0.81 | 0.90 |"
    )


def test_text_of_the_page_quotes_its_tables():
    page = report.PAGE.read_text(encoding="utf-8")
    text = re.sub(r"<!-- (\w+): begin -->.*?<!-- \1: end -->", "", page, flags=re.DOTALL)
    quoted = re.findall(r"(\d+\.\d+) times as fast", text)
    assert quoted == ["0.72", "0.92", "0.27"]
    tables = report.all_tables(Results.read(MEASURED))
    assert all(f"| {number} |" in tables for number in quoted)


def test_every_headline_is_measured():
    measured = Results.read(MEASURED)
    assert 8 <= len(report.HEADLINES) <= 10
    for headline in report.HEADLINES:
        (speed,) = (
            result
            for result in measured.suites[headline.suite]
            if isinstance(result, Speed) and (result.work, result.peer) == (headline.work, headline.peer)
        )
        assert report.find_speed(measured, headline) == speed
        assert 0 < speed.low <= speed.ratio <= speed.high


def test_every_result_beside_a_headline_is_measured():
    measured = Results.read(MEASURED)
    extras = [(headline.suite, headline.extra) for headline in report.HEADLINES if headline.extra]
    assert extras
    found = [measured.find(suite, extra.kind, extra.work, extra.peer) for suite, extra in extras]
    assert [(type(result), result.work) for result in found] == [(extra.kind, extra.work) for _, extra in extras]


def test_picture_has_a_bar_for_each_headline(results, headline, tmp_path):
    report.draw(tmp_path / "picture.png", results)
    height, width, _ = image.imread(tmp_path / "picture.png").shape
    assert (width, height) == (9 * 120, round((1.2 + 0.52) * 120))


def test_mean_and_spread_of_one_value():
    assert report.mean_and_spread([27.8], 1) == "27.8"
    assert report.mean_and_spread([1.0, 3.0], 2) == "2.00 ± 1.41"
