"""The file of the profiles, their tables and picture, and the page that shows them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from modeling_glm.utils.files import write_whole
from modeling_glm.utils.plots import save_figure

from ..harness.machine import Machine
from ..harness.measuring import ROOT
from ..harness.report import ABSENT, files_of_machines, make_table, replace_blocks
from ..harness.results import show
from .categories import CATEGORIES
from .matmuls import LeastTime
from .measuring import WorkProfile

PAGE = ROOT / "docs" / "results" / "profile.md"
FILE = "profile_cpu"
SHOWN_SHARE = 0.06  # parts that are larger have their share written on them
COLORS = (
    "#1f4e79",
    "#5b9bd5",
    "#c55a11",
    "#70ad47",
    "#ffc000",
    "#7030a0",
    "#a5a5a5",
    "#d16d9e",
    "#2e8b8b",
    "#8b5a2b",
    "#bdb76b",
    "#404040",
    "#e0e0e0",
)


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """
    The profiles of a machine, as its JSON file holds them.

    Attributes:
        command: The command that measured them.
        machine: The machine and its limits.
        works: The profiles of every work by its name.
    """

    command: str
    machine: Machine
    works: dict[str, list[WorkProfile]]

    def write(self, path: Path):
        """Write the JSON file in one step."""
        write_whole(path, json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a JSON file."""
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        works = {
            name: [WorkProfile(**{**one, "least": LeastTime(**one["least"])}) for one in several]
            for name, several in content["works"].items()
        }
        return cls(command=content["command"], machine=Machine(**content["machine"]), works=works)

    def find(self, title: str) -> WorkProfile | None:
        """Find a profile by its title."""
        return next((one for several in self.works.values() for one in several if one.title == title), None)


def read_machines(folder: Path) -> dict[str, Profiles]:
    """Read the files of all machines, by their names. The first one is that without a name, if it is there."""
    return {name: Profiles.read(path) for name, path in files_of_machines(folder, FILE).items()}


def titles_of(several: Mapping[str, Profiles]) -> list[str]:
    """List the titles of all machines, each once."""
    found = [one.title for profiles in several.values() for works in profiles.works.values() for one in works]
    return list(dict.fromkeys(found))


def machines_table(several: Mapping[str, Profiles]) -> str:
    """Say which machine gave which figures, and what its limits are."""
    rows = [(name, found.machine.describe(), f"`{found.command}`") for name, found in several.items()]
    return make_table(("machine", "what it has", "measured by"), rows)


def limits_table(several: Mapping[str, Profiles]) -> str:
    """Compare every work with the limits of its machine."""
    rows = []
    for title in titles_of(several):
        for name, profiles in several.items():
            if (found := profiles.find(title)) is None:
                continue
            least = found.least
            shares = (least.compute_seconds, least.memory_seconds, least.seconds)
            rows.append(
                (
                    title,
                    name,
                    show(found.seconds),
                    show(least.flops / 1e9),
                    show(least.bytes / 1e9),
                    *(f"{share / found.seconds:.0%}" for share in shares),
                    f"{found.page_faults:,}",
                )
            )
    columns = ("work", "machine", "time, s", "matmuls, GFLOP", "their operands, GB")
    columns += ("share of the matmul peak", "share of the bandwidth", "share of both limits", "new memory pages")
    return make_table(columns, rows)


def parts_table(several: Mapping[str, Profiles], title: str) -> str:
    """Put the parts of a work on all machines side by side. PartTimes that take no time are left out."""
    found = {name: work for name, profiles in several.items() if (work := profiles.find(title)) is not None}
    rows = []
    for category in CATEGORIES:
        if not any(work.categories.get(category) for work in found.values()):
            continue
        cells = []
        for work in found.values():
            seconds = work.categories.get(category, 0.0)
            cells += [show(seconds), f"{seconds / work.profiled_seconds:.1%}"] if seconds else [ABSENT, ABSENT]
        rows.append((category, *cells))
    named = [""] if len(found) == 1 else [f", {name}" for name in found]
    return make_table(("part", *(f"{column}{name}" for name in named for column in ("time, s", "share"))), rows)


def all_parts(several: Mapping[str, Profiles]) -> str:
    """Make the tables of the parts of all works."""
    return "\n\n".join(f"### {title}\n\n{parts_table(several, title)}" for title in titles_of(several))


def update_page(page: Path, several: Mapping[str, Profiles]):
    """Write the tables into the blocks of the page, and the picture beside it."""
    picture = page.with_name(f"{FILE}.svg")
    draw(picture, several)
    replace_blocks(page, page_blocks(several, picture.name))


def page_blocks(several: Mapping[str, Profiles], picture: str) -> dict[str, str]:
    """Return the blocks of the page by name."""
    return {
        "picture": f"![Horizontal bars that are divided into the parts of the tables below]({picture})",
        "limits": limits_table(several),
        "parts": all_parts(several),
        "machines": machines_table(several),
    }


def draw(path: Path, several: Mapping[str, Profiles]):
    """Draw a bar for each work and machine, with a part for each category and a mark for the limit, as an SVG."""
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, so the backend of the caller stays

    bars: list[tuple[str, WorkProfile]] = [
        (title if len(several) == 1 else f"{title}\n{name}", found)
        for title in titles_of(several)
        for name, profiles in several.items()
        if (found := profiles.find(title)) is not None
    ]
    figure = Figure(figsize=(11, 2.2 + 0.75 * len(bars)), layout="constrained")
    axes = figure.subplots()
    left = [0.0] * len(bars)
    for category, color in zip(CATEGORIES, COLORS, strict=True):
        shares = [found.shares.get(category, 0.0) for _, found in bars]
        if any(shares):
            drawn = axes.barh(range(len(bars)), shares, left=left, height=0.6, color=color, label=category)
            labels = [f"{share:.0%}" if share >= SHOWN_SHARE else "" for share in shares]
            axes.bar_label(drawn, labels, label_type="center", fontsize=9, color=_readable(color))
            left = [start + share for start, share in zip(left, shares, strict=True)]
    limits = [min(1.0, found.least.seconds / found.seconds) for _, found in bars]
    for number, limit in enumerate(limits):
        label = "least time of the matmuls" if number == 0 else None
        axes.plot([limit, limit], [number - 0.4, number + 0.4], color="black", linewidth=2, label=label)
    _label_axes(axes, [title.replace(", ", "\n", 1) for title, _ in bars])
    with matplotlib.rc_context({"svg.hashsalt": "profile"}):  # the same figures give the same file
        save_figure(figure, path, format="svg", metadata={"Date": None})


def _label_axes(axes: Any, titles: Sequence[str]):
    axes.set_yticks(range(len(titles)), titles, fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25%", "50%", "75%", "100%"])
    axes.tick_params(left=False)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xlabel("share of the time")
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, -0.16), ncols=4, frameon=False, fontsize=9)


def _readable(color: str) -> str:
    """Return black or white, the one that can be read on a color."""
    red, green, blue = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 140 else "black"
