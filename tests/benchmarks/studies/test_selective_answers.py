"""The study of prediction sets and of the most confident answers."""

import numpy as np
import pytest

from benchmarks.harness.report import read_block
from benchmarks.studies import selective_answers
from benchmarks.studies.real_tasks import budgets
from benchmarks.studies.selective_answers import bounds_of_coverage
from tests.support.models import save_small_chooser
from tests.support.real_tasks import write_real_data


@pytest.fixture(scope="module")
def model(tokenizer, tmp_path_factory) -> str:
    """The folder of a model of random weights."""
    return save_small_chooser(tokenizer, tmp_path_factory.mktemp("small") / "small-glm")


def test_bounds_hold_in_all_but_two_of_a_thousand_draws():
    """The scores of right labels are uniform: draws of both sets, and the quantile of the first."""
    generator, fitted, tested, coverage = np.random.default_rng(0), 50, 200, 0.8
    place = int(np.ceil((fitted + 1) * coverage)) - 1
    edges = np.sort(generator.random((20_000, fitted)), axis=1)[:, place]
    covered = (generator.random((20_000, tested)) <= edges[:, None]).mean(1)
    low, high = bounds_of_coverage(coverage, fitted, tested)
    assert 0.0005 < np.mean((covered < low) | (covered > high)) < 0.004


@pytest.mark.filterwarnings("ignore:The temperature that fits")  # random weights
def test_tables_go_into_the_page(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GLM_DATA", str(write_real_data(tmp_path / "data", count=160)))
    monkeypatch.setattr(selective_answers, "SHOTS", "32")
    monkeypatch.setitem(budgets.FEW, "32", budgets.Budget(epochs=1, batch_size=16))
    monkeypatch.setattr(selective_answers, "COVERAGES", (0.5,))
    page = tmp_path / "page.md"
    page.write_text("".join(f"<!-- {name}: begin -->\n<!-- {name}: end -->\n" for name in ("sets", "selective")))
    selective_answers.main(["--tasks", "trec", "--model", model, "--write", str(page)])
    assert capsys.readouterr().out.startswith(selective_answers.describe_this_machine())
    *_, row = read_block(page, "sets").splitlines()
    name, asked, found, _, size = (cell.strip() for cell in row.strip("|").split("|"))
    assert (name, asked) == ("trec", "50%")
    assert 0 <= float(found.rstrip("%")) <= 100
    assert 0 <= float(size) <= 6
    *_, row = read_block(page, "selective").splitlines()
    assert len(row.strip("|").split("|")) == 1 + len(selective_answers.ANSWERED)
