"""
The kinds of results. Each kind is one table, whose columns mean the same in every row.

The first `keys` columns say what a row is about. The one behind them is the most important figure.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from modeling_glm.utils.files import write_whole

from .machine import Machine


@dataclass(frozen=True, kw_only=True)
class Speed:
    """
    The time of some work, compared with a peer that took turns with it.

    Attributes:
        work: What was done.
        peer: What it is compared with.
        ratio: Time of the peer over our time, the median over the rounds. Above 1 is faster.
        low, high: The smallest and the largest ratio of a round.
        ours, theirs: Medians in seconds.
    """

    columns: ClassVar = ("work", "compared with", "times as fast", "lowest to highest", "here, s", "there, s")
    keys: ClassVar = 2

    work: str
    peer: str
    ratio: float
    low: float
    high: float
    ours: float
    theirs: float

    @classmethod
    def from_seconds(cls, work: str, peer: str, ours: Sequence[float], theirs: Sequence[float]) -> Self:
        """Compare the seconds of two runs, round by round."""
        ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
        return cls(
            work=work,
            peer=peer,
            ratio=statistics.median(ratios),
            low=min(ratios),
            high=max(ratios),
            ours=statistics.median(ours),
            theirs=statistics.median(theirs),
        )

    @property
    def cells(self) -> tuple[str, ...]:
        spread = f"{show_ratio(self.low)} to {show_ratio(self.high)}"
        return self.work, self.peer, show_ratio(self.ratio), spread, show(self.ours), show(self.theirs)

    @property
    def summary(self) -> str:
        return f"{show_ratio(self.ratio)} times as fast"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """
    The peak memory of some work, compared with a peer.

    Attributes:
        work: What was done.
        peer: What it is compared with.
        ours, theirs: Bytes by which the process grew.
    """

    columns: ClassVar = ("peak memory of", "compared with", "share of its memory", "here, GiB", "there, GiB")
    keys: ClassVar = 2

    work: str
    peer: str
    ours: float
    theirs: float

    @property
    def cells(self) -> tuple[str, ...]:
        share = f"{self.ours / self.theirs:.0%}"
        return self.work, self.peer, share, show(self.ours / 2**30), show(self.theirs / 2**30)

    @property
    def summary(self) -> str:
        return f"{self.ours / self.theirs:.0%} of the memory"


@dataclass(frozen=True, kw_only=True)
class LimitShare:
    """
    How close some work comes to a limit of the machine.

    Attributes:
        work: What was done.
        limit: Which limit: the matmul peak or the memory bandwidth.
        share: Share of the limit in the best round.
        seconds: Seconds of the best round.
    """

    columns: ClassVar = ("work", "limit", "share of the limit", "best time, s")
    keys: ClassVar = 2

    work: str
    limit: str
    share: float
    seconds: float

    @property
    def cells(self) -> tuple[str, ...]:
        return self.work, self.limit, f"{self.share:.0%}", show(self.seconds)

    @property
    def summary(self) -> str:
        return f"{self.share:.0%} of the {self.limit}"


@dataclass(frozen=True, kw_only=True)
class Quality:
    """
    The quality of a changed model in held-out blanks, compared with the unchanged one.

    Attributes:
        work: What was changed.
        blanks: Number of blanks.
        loss, peer_loss: Cross entropy in nats per token, changed and unchanged.
        exact, peer_exact: Share of exact matches, changed and unchanged.
    """

    columns: ClassVar = (
        "weights",
        "held-out blanks",
        "exact match",
        "exact match in fp32",
        "loss, nats per token",
        "loss in fp32",
    )
    keys: ClassVar = 2

    work: str
    blanks: int
    loss: float
    peer_loss: float
    exact: float
    peer_exact: float

    @property
    def cells(self) -> tuple[str, ...]:
        losses = f"{self.loss:.3f}", f"{self.peer_loss:.3f}"
        return self.work, str(self.blanks), f"{self.exact:.1%}", f"{self.peer_exact:.1%}", *losses

    @property
    def summary(self) -> str:
        return f"exact match {self.exact:.1%} against {self.peer_exact:.1%}"


@dataclass(frozen=True, kw_only=True)
class Growth:
    """
    How the cost of some work grows with its size: the exponent fitted over several sizes.

    Attributes:
        work: What was done.
        size: What was varied.
        sizes: Its values.
        measured: Exponent of the measured time or memory.
        expected: Exponent of the number of operations, or of the memory if it grew in proportion.
    """

    columns: ClassVar = ("work", "by", "sizes", "exponent measured", "exponent of the arithmetic")
    keys: ClassVar = 3

    work: str
    size: str
    sizes: list[int]
    measured: float
    expected: float

    @property
    def cells(self) -> tuple[str, ...]:
        sizes = ", ".join(map(str, self.sizes))
        return self.work, self.size, sizes, f"{self.measured:.2f}", f"{self.expected:.2f}"

    @property
    def summary(self) -> str:
        return f"exponent {self.measured:.2f}"


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """
    How the memory of a process grows while it does something many times, after a warm-up of a third.

    Attributes:
        work: What was done.
        times: How often.
        bytes_each: Bytes by which the process grew each time: the slope of a line through its sizes.
        objects_each: The same of its Python objects.
    """

    columns: ClassVar = ("repeated", "times", "grown in all, MiB", "grown each time, KiB", "objects each time")
    keys: ClassVar = 2

    work: str
    times: int
    bytes_each: float
    objects_each: float

    @property
    def cells(self) -> tuple[str, ...]:
        grown = self.bytes_each * self.times / 2**20
        each = f"{self.bytes_each / 1024:.2f}", f"{self.objects_each:.2f}"
        return self.work, f"{self.times:,}", f"{grown:.1f}", *each

    @property
    def summary(self) -> str:
        return f"grown by {self.bytes_each * self.times / 2**20:.1f} MiB over {self.times:,} times"


@dataclass(frozen=True, kw_only=True)
class Value:
    """
    A number without a peer.

    Attributes:
        work: What was measured.
        value: The number.
        unit: Its unit, or "share" for a part of 1.
    """

    columns: ClassVar = ("measured", "value")
    keys: ClassVar = 1

    work: str
    value: float
    unit: str

    @property
    def cells(self) -> tuple[str, ...]:
        return self.work, self.summary

    @property
    def summary(self) -> str:
        return f"{self.value:.1%}" if self.unit == "share" else f"{show(self.value)} {self.unit}"


Result = Speed | Memory | LimitShare | Quality | Growth | Repetition | Value
KINDS: dict[str, type[Result]] = {
    kind.__name__: kind for kind in (Speed, Memory, LimitShare, Quality, Growth, Repetition, Value)
}


@dataclass(frozen=True, kw_only=True)
class Results:
    """
    The results of a run, as its JSON file holds them.

    Attributes:
        command: The command that measured them.
        machine: The machine and its limits.
        suites: The results of every suite by its name.
    """

    command: str
    machine: Machine
    suites: dict[str, list[Result]]

    def find(self, suite: str, kind: type[Result], work: str, peer: str = "") -> Result | None:
        """Find a result by its work and its peer; None if there is none."""
        for result in self.suites.get(suite, []):
            if isinstance(result, kind) and result.work == work and getattr(result, "peer", "") == peer:
                return result
        return None

    def write(self, path: Path):
        """Write the JSON file, in one step, so that a stopped run leaves the old file or the new one."""
        suites = {
            suite: [{"kind": type(result).__name__, **asdict(result)} for result in results]
            for suite, results in self.suites.items()
        }
        content = {"command": self.command, "machine": asdict(self.machine), "suites": suites}
        write_whole(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a JSON file."""
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        suites = {
            suite: [KINDS[entry.pop("kind")](**entry) for entry in entries]
            for suite, entries in content["suites"].items()
        }
        return cls(command=content["command"], machine=Machine(**content["machine"]), suites=suites)


def show(number: float) -> str:
    """Show three significant digits: 0.0219, 1.95, 37.5, 1,230."""
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}"


def show_ratio(ratio: float) -> str:
    """Show two decimals below 10 and one above: 1.95, 37.5."""
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"
