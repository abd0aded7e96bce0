"""The tables of the ablation."""

from benchmarks.studies.ablation.report import show_tables
from benchmarks.studies.ablation.variants import VARIANTS


def make_run(nll, hits, causal=False):
    blanks = {"nll": nll, "tokens": [2, 2], "hits": hits, "blanks": [1, 1]}
    measured = dict.fromkeys(("one", "several", "sentence", "document"), blanks)
    measured |= {} if causal else {"reversed": blanks}
    return {"parameters": 1_230_000, "measured": {"austen": measured, "bible": measured}}


def test_tables_show_means_and_differences():
    rows = {
        "mixture": [make_run([4.0, 6.0], [1, 0]), make_run([4.4, 6.4], [1, 1])],
        "causal-pieces": [make_run([5.0, 7.0], [0, 0], causal=True), make_run([5.4, 7.4], [0, 1], causal=True)],
    }
    lines = show_tables(rows, {"prose": ["austen", "bible"]}).splitlines()
    assert lines[0] == "### Prose"
    tables = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    first, several = tables[2:4], tables[6:8]
    assert first[0][:6] == ["mixture", "1.23M", "2.600 ± 0.141", "–", "75.0 ± 35.4", "–"]
    # Each loss is higher by 0.5 nats per token. Each seed has one hit of two less in each source, and the same texts.
    assert first[1][:5] == ["causal, loss on the pieces", "1.23M", "3.100 ± 0.141", "+0.500 ± 0.000", "25.0 ± 35.4"]
    assert first[1][5].startswith("-50.0 ± ")
    assert first[1][6] == VARIANTS["causal-pieces"].claim
    assert several[0][5:] == ["2.600 ± 0.141", "–"]
    assert several[1][5:] == ["–", "–"]


def test_without_the_mixture_there_are_no_differences():
    table = show_tables({"no-shuffling": [make_run([4.0, 6.0], [1, 0])]}, {"prose": ["austen"]})
    assert "| without shuffling | 1.23M | 2.500 | – | 50.0 | – |" in table
