"""Compare scores with the figures of the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .tables import PaperTable

REPRODUCED, NOT_REPRODUCED, NOT_COMPARABLE = "reproduced", "not reproduced", "not comparable"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """
    Hold one figure of the paper beside the score that was found.

    Attributes:
        measure: Name of the measure.
        verdict: "reproduced", "not reproduced" or "not comparable".
        tolerance: By how much they may differ.
        expected: The figure of the paper, if it has one.
        found: The score, if there is one.
        source: Where the figure stands.
        reason: Why they cannot be compared.
    """

    measure: str
    verdict: str
    tolerance: float | None = None
    expected: float | None = None
    found: float | None = None
    source: str = ""
    reason: str = ""

    @property
    def difference(self) -> float | None:
        """The score minus the figure."""
        if self.expected is None or self.found is None:
            return None
        return self.found - self.expected


def compare(table: PaperTable, result: Mapping[str, Any]) -> list[Finding]:
    """
    Compare the scores of a row with the figures of its model.

    Args:
        table: The table.
        result: The result of a row, see `run_row`: `row`, `model`, `scores`, `size` and `changed`.

    Returns:
        A finding for every measure of the row.
    """
    row = table.rows[result["row"]]
    figures = table.figures_of(result["row"], result["model"])
    model = table.models.get(result["model"])
    reason = _why_not_comparable(table, result)
    findings = []
    for measure in [*row.tolerance, *row.unmeasured]:
        expected, found = figures.get(measure), result["scores"].get(measure)
        why = row.unmeasured.get(measure) or reason
        if expected is None:
            why = why or f"there is no figure of {result['model']}"
        elif found is None:
            why = why or "the run has no such score"
        tolerance = row.tolerance.get(measure)
        verdict = NOT_COMPARABLE
        if not why:
            # Figures have one or two digits behind the point, so a difference of exactly the tolerance counts.
            verdict = REPRODUCED if round(abs(found - expected), 6) <= tolerance else NOT_REPRODUCED
        source = model.source if model and expected is not None else ""
        findings.append(
            Finding(
                measure=measure,
                verdict=verdict,
                tolerance=tolerance,
                expected=expected,
                found=found,
                source=source,
                reason=why or "",
            )
        )
    return findings


def count_verdicts(findings: Sequence[Finding]) -> str:
    """Say how many figures have each verdict: "2 reproduced, 0 not reproduced, 1 not comparable"."""
    found = [finding.verdict for finding in findings]
    return ", ".join(f"{found.count(verdict)} {verdict}" for verdict in (REPRODUCED, NOT_REPRODUCED, NOT_COMPARABLE))


def _why_not_comparable(table: PaperTable, result: Mapping[str, Any]) -> str:
    """Say why no score of a row can be compared; an empty text if they can."""
    size = table.rows[result["row"]].size
    if result["model"] not in table.models:
        return f"{result['model']} is not a model of this table"
    if result["changed"]:
        return f"other settings than the table's: {', '.join(result['changed'])}"
    if size is not None and result["size"] != size:
        return f"the data have {result['size']:,} {table.unit}, those of the paper {size:,}"
    return ""


__all__ = ["NOT_COMPARABLE", "NOT_REPRODUCED", "REPRODUCED", "Finding", "compare", "count_verdicts"]
