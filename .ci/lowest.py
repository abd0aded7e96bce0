"""
Print constraints for pip: the lowest version of every dependency that the package and its extra `all` claim.

    python .ci/lowest.py setup.cfg requirements.txt [--torch 2.13.0]
    python .ci/lowest.py setup.cfg requirements.txt --only export page serve

The tools of the tests have no claim and come from requirements.txt. With `--only` the lowest versions are those of the named
extras alone, and Transformers and torch come from requirements.txt: their lowest versions lack what these extras are for.
"""

import argparse
import configparser
import re
from collections.abc import Sequence

EXTRAS = ("all", "examples")
LIBRARIES = ["torch", "transformers"]
TOOLS = ["hypothesis", "mypy", "pytest", "pytest-xdist", "ruff", "selenium", "sentencepiece"]


def read_claims(path: str, only: Sequence[str] = ()) -> dict[str, str]:
    """Map every package that setup.cfg asks for, or some extras do, but for the tools of developers, to its lowest version."""
    setup = configparser.ConfigParser()
    setup.read(path, encoding="utf-8")
    extras = setup["options.extras_require"]
    if unknown := [name for name in only if name not in extras]:
        raise SystemExit(f"{path} has no extra {unknown[0]!r}: expected some of {', '.join(extras)}.")
    lines = [extras[name] for name in only or EXTRAS]
    if not only:
        lines.append(setup["options"]["install_requires"])
    claims: dict[str, str] = {}
    for line in "\n".join(lines).split():
        found = re.fullmatch(r"([\w.-]+)>=([\d.]+)", line)
        if not found:
            raise SystemExit(f"{path}: {line!r} claims no lowest version. Expected name>=version.")
        name, version = found.groups()
        if claims.setdefault(name, version) != version:
            raise SystemExit(f"{path}: {name} has two lowest versions, {claims[name]} and {version}.")
    return claims


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("setup")
    parser.add_argument("pinned")
    parser.add_argument("--torch", help="Version of torch, where the index of pip has no CPU build of the lowest one.")
    parser.add_argument("--only", nargs="+", metavar="EXTRA", help="Extras whose lowest versions are wanted.")
    arguments = parser.parse_args()
    with open(arguments.pinned, encoding="utf-8") as file:
        pinned = dict(line.strip().split("==") for line in file if "==" in line)
    claims = read_claims(arguments.setup, arguments.only or ())
    if arguments.torch:
        claims["torch"] = arguments.torch
    claims |= {name: pinned[name] for name in [*TOOLS, *(LIBRARIES if arguments.only else ())]}
    for name, version in sorted(claims.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
