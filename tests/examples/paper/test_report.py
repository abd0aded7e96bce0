"""The report: one for all tables, in JSON and Markdown."""

import json

import pytest

from examples.paper.report import format_figures, write_report
from examples.paper.tables import available_tables, read_table
from tests.support.paths import ROOT


def write_result(output, table, model, row, **changes):
    content = {"table": table, "row": row, "model": model, "data": "data", "size": 5153, "scores": {}, "changed": []}
    folder = output / table / model / row
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps({**content, "processes": 1, "seconds": 4000.4, **changes}))


def test_report(tmp_path):
    write_result(tmp_path, "lambada", "glm-10b", "unidirectional", scores={"accuracy": 67.0})
    write_result(tmp_path, "lambada", "glm-10b", "bidirectional", scores={"accuracy": 72.4}, processes=2)
    write_result(tmp_path, "gigaword", "glm-large", "test", size=1951, scores={"rouge1": 38.0, "rouge2": 19.7})
    (tmp_path / "gigaword" / "glm-large" / "unfinished").mkdir()
    write_report(tmp_path)
    assert (
        (tmp_path / "report.md").read_text()
        == """# The paper's tables, measured

2 reproduced, 2 not reproduced, 1 not comparable.

## Gigaword headlines, test set, ROUGE (section 3.3, table 3)

| model | row | measure | figure | found | difference | tolerance | verdict |
|---|---|---|--:|--:|--:|--:|---|
| glm-large | test | rouge1 | 38.6 | 38.0 | -0.6 | 0.5 | not reproduced |
| glm-large | test | rouge2 | 19.7 | 19.7 | +0.0 | 0.5 | reproduced |
| glm-large | test | rougeL | 36.0 |  |  | 0.5 | not comparable: the run has no such score |

- Figures: paper, table 3, from memory; ROUGE-1 agrees with notes on the paper
- The authors split words with CoreNLP and use files2rouge. Here it is rouge-score, which may differ by a few tenths.
- The authors' code reads padding behind a short source as text. Here it is hidden.
- glm-large, test: 1,951 examples of `data`, 1 process, 4,000 s

## LAMBADA, accuracy of the last word, without training (section 3.3, zero-shot language modelling)

| model | row | measure | figure | found | difference | tolerance | verdict |
|---|---|---|--:|--:|--:|--:|---|
| glm-10b | bidirectional | accuracy | 72.35 | 72.4 | +0.05 | 0.1 | reproduced |
| glm-10b | unidirectional | accuracy | 67.18 | 67.0 | -0.18 | 0.1 | not reproduced |

- Figures: README of the authors' repository, Language Modeling
- The paper shows the figures of smaller models only in a plot.
- glm-10b, bidirectional: 5,153 examples of `data`, 2 processes, 4,000 s
- glm-10b, unidirectional: 5,153 examples of `data`, 1 process, 4,000 s
"""
    )
    rows = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert [(row["table"], row["row"]) for row in rows] == [
        ("gigaword", "test"),
        ("lambada", "bidirectional"),
        ("lambada", "unidirectional"),
    ]
    assert rows[2]["findings"][0]["difference"] == pytest.approx(-0.18)


def test_nothing_has_run(tmp_path):
    write_report(tmp_path)
    assert json.loads((tmp_path / "report.json").read_text()) == {"rows": []}
    assert "0 reproduced" in (tmp_path / "report.md").read_text()


def test_a_damaged_result_is_named(tmp_path):
    write_result(tmp_path, "lambada", "glm-10b", "bidirectional")
    (tmp_path / "lambada" / "glm-10b" / "bidirectional" / "result.json").write_text('{"row": ')
    with pytest.raises(ValueError, match=r"bidirectional/result\.json is not JSON"):
        write_report(tmp_path)


@pytest.mark.parametrize("name", available_tables())
def test_the_guide_has_the_figures(name):
    """`python -m examples.paper` prints them."""
    guide = (ROOT / "docs" / "guides" / "reproduce_the_paper.md").read_text(encoding="utf-8")
    assert format_figures(read_table(name)) in guide
