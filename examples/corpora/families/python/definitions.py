"""Modules, classes and functions of the standard library, read from its source."""

import ast
import functools
import re
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Definition:
    """
    A module, class or function in the source of the standard library.

    Attributes:
        module: Full name of its module.
        name: Its name within the module; empty for the module itself.
        parameters: Names of the parameters of a function.
        base: Base class of a class with exactly one.
        doc: Its docstring.
    """

    module: str
    name: str
    parameters: tuple[str, ...] | None = None
    base: str = ""
    doc: str = ""

    @property
    def key(self) -> str:
        return f"python:{self.module}.{self.name}" if self.name else f"python:{self.module}"


_LEFT_OUT = re.compile(r"(^|\.)(tests?|idlelib|lib2to3|turtledemo|site-packages|_\w+|this|antigravity)(\.|$)")


@functools.cache
def read_sources() -> dict[str, str]:
    """Return the source of every pure Python module of the standard library."""
    root = Path(sysconfig.get_path("stdlib"))
    sources: dict[str, str] = {}
    # Installed packages may lie below, and are many.
    tops = [path for path in root.iterdir() if path.stem in sys.stdlib_module_names]
    paths = [path for top in tops for path in ([top] if top.suffix == ".py" else top.rglob("*.py"))]
    for path in sorted(paths):
        module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
        if not _LEFT_OUT.search(module):
            sources[module] = path.read_text(encoding="utf-8", errors="replace")
    return sources


@functools.cache
def find_definitions() -> tuple[Definition, ...]:
    """Return the modules, classes and functions of `read_sources`, in the order of their source."""
    found: list[Definition] = []
    for module, source in read_sources().items():
        tree = ast.parse(source)
        found.append(Definition(module=module, name="", doc=ast.get_docstring(tree) or ""))
        found.extend(_definitions_in(tree, module, ""))
    return tuple(found)


def _definitions_in(node: ast.Module | ast.ClassDef, module: str, prefix: str) -> Iterator[Definition]:
    for child in node.body:
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = [argument.arg for argument in child.args.args + child.args.kwonlyargs]
            doc = ast.get_docstring(child) or ""
            yield Definition(module=module, name=prefix + child.name, parameters=tuple(parameters), doc=doc)
        elif isinstance(child, ast.ClassDef):
            base = ast.unparse(child.bases[0]) if len(child.bases) == 1 else ""
            yield Definition(module=module, name=prefix + child.name, base=base, doc=ast.get_docstring(child) or "")
            yield from _definitions_in(child, module, f"{prefix}{child.name}.")


def is_public(item: Definition) -> bool:
    """Return whether a name is public. Codecs are left out, because all of them define the same names."""
    hidden = any(part.startswith("_") for part in item.name.split("."))
    return not hidden and not item.module.startswith("encodings.")
