"""Read the tables of the paper: what to run, with which settings, and which figures to expect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_glm.utils.recipes import read_recipe_file

TABLES = Path(__file__).parent / "tables"
Settings = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class PaperRow:
    """
    Describe one run of a table.

    Attributes:
        tolerance: The measures to compare, and by how much a figure may differ in either direction.
        settings: What this row adds to the settings of the table.
        size: The number of examples on which the figures were measured, if it is known.
        unmeasured: Measures of the paper that nothing computes here, and why.
        batch_size: Examples in a training step, if they are not those of the table.
    """

    tolerance: Mapping[str, float]
    settings: Settings = field(default_factory=dict)
    size: int | None = None
    unmeasured: Mapping[str, str] = field(default_factory=dict)
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """
    Hold the figures of a published checkpoint.

    Attributes:
        source: Where the figures stand.
        figures: The figures, by row and measure.
        settings: What this model adds to the settings of the table.
        rows: What it adds to the settings of single rows.
        batch_size: Examples in a training step, if they are not those of the row.
    """

    source: str
    figures: Mapping[str, Mapping[str, float]]
    settings: Settings = field(default_factory=dict)
    rows: Mapping[str, Settings] = field(default_factory=dict)
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class PaperTable:
    """
    Describe a table of the paper.

    Attributes:
        name: Its name on the command line.
        title: What it measures.
        place: Where it stands in the paper.
        program: What runs a row: a name in `PROGRAMS`.
        data: Which files it needs, and where they come from.
        notes: What differs from how the authors measured.
        settings: The settings of all rows.
        rows: Its rows, by name.
        models: The checkpoints with figures in it, by their published names.
        batch_size: Examples in a training step, over all devices; None if nothing is trained.
        unit: What the size of a row counts.
    """

    name: str
    title: str
    place: str
    program: str
    data: str
    notes: Sequence[str]
    settings: Settings
    rows: Mapping[str, PaperRow]
    models: Mapping[str, PublishedModel]
    batch_size: int | None = None
    unit: str = "examples"

    def settings_of(self, row: str, model: str) -> dict[str, Any]:
        """Return the settings of a row for a model, which need not be in the table."""
        published = self.models.get(model)
        of_model = {**published.settings, **published.rows.get(row, {})} if published else {}
        return {**self.settings, **self.rows[row].settings, **of_model}

    def batch_size_of(self, row: str, model: str) -> int | None:
        """Return the number of examples in a training step: that of the model, else of the row, else of the table."""
        published = self.models.get(model)
        return (published and published.batch_size) or self.rows[row].batch_size or self.batch_size

    def figures_of(self, row: str, model: str) -> Mapping[str, float]:
        """Return the figures of a row for a model, by measure."""
        return self.models[model].figures.get(row, {}) if model in self.models else {}


def available_tables() -> list[str]:
    """List the names of the tables, in the order of the paper."""
    return sorted((path.stem for path in TABLES.glob("*.yaml")), key=lambda name: read_table(name).place)


def read_table(name: str, folder: Path = TABLES) -> PaperTable:
    """
    Read a table.

    Raises:
        FileNotFoundError: If there is none of this name.
        ValueError: For a file that is not YAML.
    """
    _, content = read_recipe_file(name, folder)
    rows = {str(key): PaperRow(**row) for key, row in content.pop("rows").items()}
    models = {}
    for key, model in content.pop("models").items():
        figures = {str(row): measures for row, measures in model.pop("figures").items()}
        models[key] = PublishedModel(figures=figures, **model)
    return PaperTable(name=name, rows=rows, models=models, **content)


__all__ = ["TABLES", "PaperRow", "PaperTable", "PublishedModel", "Settings", "available_tables", "read_table"]
