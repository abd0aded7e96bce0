"""Run the rows of a table, one after the other. The same call again resumes."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modeling_glm.configuration_glm import PRESETS
from modeling_glm.evaluation.report import find_versions
from modeling_glm.runs.fine_tuning import require_same_description
from modeling_glm.runs.lock import hold_run, require_folder
from modeling_glm.utils.files import write_whole

from .programs import PROGRAMS
from .report import RESULT, write_report
from .tables import PaperTable
from .weights import OWN, check_weights

# Settings of machines: they change no result beyond rounding, or only the draw of one.
NEUTRAL = frozenset(
    ("batch_size", "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_checkpointing")
    + ("bf16", "fp16", "tf32", "dtype", "device", "use_cpu", "deepspeed", "fsdp", "seed")
    + ("dataloader_num_workers", "dataloader_pin_memory", "disable_tqdm", "logging_steps", "report_to", "show")
    + ("save_steps", "save_total_limit")
)
DEFAULT_BATCH = 4  # examples on a device at a time, as in the authors' scripts


def start_process(command: Sequence[str]) -> int:
    """Run a command to its end, and return its exit status."""
    return subprocess.run(command, check=False).returncode


@dataclass(frozen=True, kw_only=True)
class TableRun:
    """
    Describe what to run.

    Args:
        table: The table.
        model: The published name of the model, or "own".
        weights: Its folder, or its repository on the hub.
        data: The folder or the file with the data.
        output: Folder for all results.
        changed: Settings in place of the table's. The figures are then not comparable, unless the settings are neutral.
        processes: Number of processes that share a training.
        sizes: The sizes of the published models.
        start: Runs a command, and returns its exit status.

    Raises:
        ValueError: For a model that the table does not have, and for an output folder that is a file.
    """

    table: PaperTable
    model: str
    weights: str
    data: Path
    output: Path
    changed: Mapping[str, Any] = field(default_factory=dict)
    processes: int = 1
    sizes: Mapping[str, Mapping[str, int]] = field(default_factory=lambda: PRESETS, repr=False)
    start: Callable[[Sequence[str]], int] = start_process

    def __post_init__(self):
        known = [*self.table.models, OWN]
        if self.model not in known:
            raise ValueError(
                f"--model {self.model}: {self.table.name} has figures of {', '.join(known[:-1])}; or {OWN!r}."
            )
        if self.processes < 1:
            raise ValueError(f"--processes {self.processes}: expected at least 1.")
        require_folder(self.output, "--output")

    @property
    def folder(self) -> Path:
        """The folder of the results, one folder a row."""
        return self.output / self.table.name / self.model

    def settings_of(self, row: str) -> dict[str, Any]:
        """
        Return all settings of a row, with the batch of a step divided among the processes.

        Raises:
            ValueError: If the batch cannot be divided.
        """
        settings = {**self.table.settings_of(row, self.model), **self.changed}
        total = self.table.batch_size_of(row, self.model)
        if total is None or "gradient_accumulation_steps" in self.changed:
            return settings
        on_device = settings.setdefault("per_device_train_batch_size", min(DEFAULT_BATCH, total))
        if on_device < 1 or total % (on_device * self.processes):
            raise ValueError(
                f"A step of {self.table.name} has {total} examples: {on_device} on each of {self.processes} processes do not "
                "divide them. Choose other --processes, or --set per_device_train_batch_size=..."
            )
        return {**settings, "gradient_accumulation_steps": total // (on_device * self.processes)}

    def run(self, rows: Sequence[str] = ()) -> int:
        """
        Run rows that are not finished, and write the report after each.

        Everything that can be checked is checked for all rows before the first one starts.

        Args:
            rows: Names of rows; by default all.

        Returns:
            The number of rows that failed.

        Raises:
            FileNotFoundError: If weights or data are missing.
            FolderInUseError: If another run uses the folder of this model.
            ValueError: For an unknown row, weights of another size, data of another form, settings that do not go together,
                and a folder that holds results of other settings.
        """
        rows = list(rows or self.table.rows)
        if unknown := [row for row in rows if row not in self.table.rows]:
            raise ValueError(f"--rows {unknown[0]}: {self.table.name} has the rows {', '.join(self.table.rows)}.")
        check_weights(self.model, self.weights, {name: self.sizes[name] for name in self.table.models})
        with hold_run(self.folder):
            todo = [row for row in rows if not (self.folder / row / RESULT).is_file()]
            sizes = {row: self._count(row) for row in todo}
            for row in rows:  # after the data are checked, so that a wrong folder can be corrected
                self._describe(row)
            failed = 0
            for number, row in enumerate(todo, start=1):
                print(f"{self.table.name}, {self.model}, {row}: row {number} of {len(todo)}", flush=True)
                failed += not self._run_row(row, sizes[row])
                write_report(self.output, self.table)
            if not todo:
                print(f"All rows are finished: the report is in {self.output}.")
                write_report(self.output, self.table)
        return failed

    def _describe(self, row: str) -> None:
        """Describe a row in its folder. Raises a `ValueError` if it began with other settings, weights or data."""
        folder = self.folder / row
        folder.mkdir(parents=True, exist_ok=True)
        machine = {*NEUTRAL - {"seed"}, "gradient_accumulation_steps"}
        lasting = {name: value for name, value in self.settings_of(row).items() if name not in machine}
        weights = str(Path(self.weights).absolute()) if Path(self.weights).is_dir() else self.weights
        run = {"settings": lasting, "weights": weights, "data": self.data.absolute()}
        require_same_description(folder / "row.json", run)

    def _find_changed(self, row: str) -> list[str]:
        """Name the settings that make scores not comparable."""
        of_table = self.table.settings_of(row, self.model)
        return sorted(
            name
            for name, value in self.changed.items()
            if name not in NEUTRAL and (name not in of_table or of_table[name] != value)
        )

    def _count(self, row: str) -> int:
        try:
            return PROGRAMS[self.table.program].count(self.settings_of(row), self.weights, self.data)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"Row {row}: {error} --data needs: {self.table.data} Choose rows with --rows."
            ) from error
        except (ValueError, OSError) as error:
            raise ValueError(f"Row {row}: {error}") from error

    def _run_row(self, row: str, size: int) -> bool:
        """Run one row, and write its result. Returns whether it succeeded."""
        program, folder, settings = PROGRAMS[self.table.program], self.folder / row, self.settings_of(row)
        work = folder / "run"
        work.mkdir(exist_ok=True)
        command = [*self._interpreter(program.trains), *program.command(settings, self.weights, self.data, work)]
        started = time.monotonic()
        if status := self.start(command):
            print(f"{row} failed with exit status {status}: see its message above.", file=sys.stderr)
            return False
        result = {
            "table": self.table.name,
            "row": row,
            "model": self.model,
            "weights": self.weights,
            "data": str(self.data),
            "size": size,
            "scores": program.scores(work),
            "settings": settings,
            "changed": self._find_changed(row),
            "processes": self.processes,
            "command": command,
            "seconds": round(time.monotonic() - started, 1),
            "versions": find_versions(),
        }
        write_whole(folder / RESULT, json.dumps(result, indent=2) + "\n")
        return True

    def _interpreter(self, trains: bool) -> list[str]:
        if self.processes > 1 and trains:
            return [sys.executable, "-m", "accelerate.commands.launch", "--num_processes", str(self.processes)]
        return [sys.executable]


__all__ = ["NEUTRAL", "TableRun", "start_process"]
