"""
Print constraints for pip: the lowest version of every dependency that the package and its extra `all` claim.

    python .ci/lowest.py setup.cfg requirements.txt [--torch 2.13.0]

The tools of the tests have no claim and come from requirements.txt.
"""

import argparse
import configparser
import re

TOOLS = ["hypothesis", "mypy", "pytest", "pytest-xdist", "ruff", "selenium", "sentencepiece"]


def read_claims(path: str) -> dict[str, str]:
    """Map every package that setup.cfg asks for, but for the tools of developers, to its lowest version."""
    setup = configparser.ConfigParser()
    setup.read(path, encoding="utf-8")
    lines = [setup["options"]["install_requires"], *(setup["options.extras_require"][x] for x in ("all", "examples"))]
    claims = {}
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
    arguments = parser.parse_args()
    claims = read_claims(arguments.setup)
    if arguments.torch:
        claims["torch"] = arguments.torch
    with open(arguments.pinned, encoding="utf-8") as file:
        pinned = dict(line.strip().split("==") for line in file if "==" in line)
    claims |= {name: pinned[name] for name in TOOLS}
    for name, version in sorted(claims.items()):
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
