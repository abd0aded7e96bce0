"""
The rooms of the house and what they import, read from the code. `python -m tests.support.structure` prints the floor plan.
"""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.uploaded import MODEL_CODE

UPLOADED = {name.removesuffix(".py") for name in MODEL_CODE}
# Beside the uploaded files, the root of the package holds these three.
ENTRANCES = {"__init__", "__main__", "registration"}

# What each room may import. "core" is the model that travels to the hub.
MAY_IMPORT = {
    "core": set(),
    "tokenization": set(),
    "utils": {"core", "tokenization", "precision"},
    "hub": {"core", "tokenization", "utils"},
    "runs": {"core", "tokenization", "utils"},
    "cloze": {"core", "tokenization", "utils", "runs"},
    "constraints": {"core", "tokenization", "utils"},
    "decision": {"core", "tokenization", "utils", "cloze"},
    "filling": {"core", "tokenization", "utils", "cloze", "constraints", "precision"},  # choose takes a Calibration
    "inspection": {"core", "tokenization", "utils", "filling"},
    "serving": {"core", "tokenization", "utils", "cloze", "filling"},
    "seq2seq": {"core", "tokenization", "utils", "hub", "runs", "constraints", "filling"},
    "evaluation": {"core", "tokenization", "utils", "cloze", "filling", "seq2seq"},
    "pretraining": {"core", "tokenization", "utils", "hub", "inspection", "runs"},
    "checkpoints": {"core", "tokenization", "utils", "hub"},
    "export": {"core", "tokenization", "utils"},
    "cpu_functions": {"core", "precision"},
    "precision": {"core"},
    "cli": {
        "precision",
        "core",
        "tokenization",
        "utils",
        "hub",
        "runs",
        "cloze",
        "constraints",
        "filling",
        "inspection",
        "pretraining",
        "checkpoints",
        "export",
        "seq2seq",
        "evaluation",
    },
}
MAY_IMPORT["entrances"] = set(MAY_IMPORT)


def find_modules() -> dict[str, Path]:
    """Find every module of the installed package, by its name there."""
    found = {}
    for folder, package in (("modeling_glm", "modeling_glm"), ("tokenization", "modeling_glm.tokenization")):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = find_modules()


def room_of(module: str) -> str:
    """Name the room: `modeling_glm.filling.fill` is in "filling", `modeling_glm.layout_glm` in "core"."""
    parts = module.split(".")
    if len(parts) == 1 or parts[1] in ENTRANCES:
        return "entrances"
    return "core" if parts[1] in UPLOADED else parts[1]


def imports_of(module: str) -> Iterator[str]:
    """Yield the modules of the package that a module imports, at any depth of its code."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            # Level 1 is the package of the module, each further level one above.
            parts = package.split(".")
            above = parts[: len(parts) - node.level + 1] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                target = f"{source}.{alias.name}"
                if target in MODULES or source in MODULES:
                    yield target if target in MODULES else source


def read_graph() -> dict[str, set[str]]:
    """Map every module to the modules of the package that it imports."""
    return {module: set(imports_of(module)) for module in MODULES}


def room_graph() -> dict[str, set[str]]:
    """Map every room to the rooms that its modules import."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, targets in read_graph().items():
        rooms[room_of(module)] |= {room_of(target) for target in targets} - {room_of(module)}
    return dict(rooms)


def floors() -> list[list[str]]:
    """List the rooms by floor, lowest first: a room stands one floor above the highest room that it imports."""
    graph = room_graph()
    height: dict[str, int] = {}
    for room in TopologicalSorter(graph).static_order():
        height[room] = 1 + max((height[below] for below in graph.get(room, ())), default=-1)
    return [sorted(room for room in height if height[room] == floor) for floor in range(max(height.values()) + 1)]


def count_files() -> dict[str, int]:
    """Count the Python files of every folder."""
    folders = Counter()
    for folder in ("modeling_glm", "tokenization", "examples", "benchmarks", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            folders[path.parent.relative_to(ROOT).as_posix()] += 1
    return dict(sorted(folders.items()))


def print_floor_plan() -> None:
    graph = room_graph()
    print("Rooms by floor, highest first, and the rooms that each imports:\n")
    for number, rooms in reversed(list(enumerate(floors()))):
        for room in rooms:
            print(f"  floor {number}  {room:13} <- {', '.join(sorted(graph.get(room, ()))) or 'nothing of ours'}")
    print("\nPython files by folder:\n")
    for folder, number in count_files().items():
        print(f"  {number:3}  {folder}/")


if __name__ == "__main__":
    print_floor_plan()
