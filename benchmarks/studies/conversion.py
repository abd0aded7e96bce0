"""
Time the conversion of a checkpoint of the authors' training against a plain copy of its bytes, and measure its memory.

    python -m benchmarks.studies.conversion --layers 12

A conversion compares the bytes with their checksums, looks for NaN and infinities, and writes safetensors. The copy reads the
same file and writes it. Both wait until the disk has what they wrote. They take turns, and find the file in the page cache if
it fits.
"""

import argparse
import os
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from modeling_glm import GLMModel, convert_checkpoint

from ..harness.machine import describe_this_machine
from ..harness.measuring import PeakMemory, run_alone, take_turns
from ..harness.report import suite_tables
from ..harness.results import Memory, Speed, Value
from ..harness.shapes import LARGE, Shape, build_glm, glm_config

COPIED = 2**24  # bytes that the plain copy reads and writes at a time


def make_shape(layers: int) -> Shape:
    """Make a shape as wide as Large."""
    return replace(LARGE, layers=layers)


def write_source(path: Path, shape: Shape) -> None:
    """Write a checkpoint in fp16 as the authors' training does."""
    torch.save({"iteration": 1, "module": OrderedDict(build_glm(GLMModel, shape).half().state_dict())}, path)


def copy_plainly(source: Path, target: Path) -> None:
    """
    Read a file and write its bytes to a new one, as a conversion does. `shutil.copyfile` leaves this to the file system,
    which may share the blocks.
    """
    target.unlink(missing_ok=True)
    with open(source, "rb", buffering=0) as read, open(target, "wb", buffering=0) as written:
        while block := read.read(COPIED):
            written.write(block)
        os.fsync(written.fileno())


def convert(source: str, target: str, shape: Shape) -> None:
    convert_checkpoint(source, target, config=glm_config(shape), overwrite=True)


def measure_memory(source: str, target: str, layers: int) -> dict[str, float]:
    """Measure by how much a process grows that converts. Call it in a separate process."""
    torch.isfinite(torch.ones(64)).all()  # loads what torch loads on first use
    with PeakMemory() as memory:
        convert(source, target, make_shape(layers))
    return {"grown": memory.grown}


def compare(folder: Path, layers: int, rounds: int) -> list[Speed | Value | Memory]:
    """Compare conversion and copy of a checkpoint with a number of layers."""
    source, target, copied = (folder / name for name in ("source.pt", "target", "copied.pt"))
    shape = make_shape(layers)
    write_source(source, shape)
    size = source.stat().st_size
    runs = {
        "convert": partial(convert, str(source), str(target), shape),
        "copy": partial(copy_plainly, source, copied),
    }
    seconds = take_turns(runs, rounds)
    copied.unlink()
    grown = run_alone(measure_memory, str(source), str(target), layers)["grown"]
    work = f"convert a checkpoint of {size / 1e9:.2g} GB in fp16"
    speed = Speed.from_seconds(work, "a plain copy of the file", seconds["convert"], seconds["copy"])
    return [
        speed,
        Value(work=work, value=size / speed.ours / 1e6, unit="MB per second"),
        Memory(work=work, peer="the file", ours=grown, theirs=size),
    ]


def main(arguments: Sequence[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12, help="layers of width 1024 (by default 12: 0.4 GB)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args(arguments)
    print(describe_this_machine())
    with tempfile.TemporaryDirectory() as folder:
        print(suite_tables(compare(Path(folder), args.layers, args.rounds)))


if __name__ == "__main__":
    from benchmarks.studies import conversion  # a new process finds its functions by the name of the module

    conversion.main()
