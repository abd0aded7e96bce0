"""
Check a release before it is published.

    python .ci/release.py contents dist       # what is in the wheel and in the source archive
    python .ci/release.py version v0.2.0      # the tag, the version and the changelog agree
    python .ci/release.py readme URL v0.2.0   # links of README.md lead to the repository, for the page of the package
"""

import configparser
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

COMMAND = "modeling_glm_command.py"  # the console script starts in it, beside the package
CHECKPOINT = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md")
SOURCES = (
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "RELEASING.md",
    "benchmarks/__main__.py",
    "docs/index.md",
    "examples/01_quickstart.py",
    "requirements.txt",
    "tests/test_structure.py",
    ".ci/run",
)


def find_faults_of_wheel(names: Iterable[str]) -> list[str]:
    """Name the files that a wheel must not have, and those that it lacks."""
    names = set(names)
    tops = {name.partition("/")[0] for name in names}
    expected = r"modeling_glm(-.*\.dist-info)?|" + re.escape(COMMAND)
    faults = [f"{top} in the wheel" for top in sorted(tops) if not re.fullmatch(expected, top)]
    faults += [
        f"{name} in the wheel"
        for name in sorted(names)
        if re.search(r"(^|/)(tests?|benchmarks|examples|docs)/|(^|/)(test_\w+|conftest)\.py$", name)
    ]
    needed = [f"modeling_glm/glm_tiny/{name}" for name in CHECKPOINT]
    needed += [COMMAND, "modeling_glm/py.typed", "modeling_glm/tokenization/__init__.py"]
    return faults + [f"{name} missing in the wheel" for name in needed if name not in names]


def find_faults_of_source(names: Iterable[str]) -> list[str]:
    """Name the files that a source archive lacks. Names begin with the folder of the archive."""
    found = {name.partition("/")[2] for name in names}
    return [f"{name} missing in the source archive" for name in SOURCES if name not in found]


def find_faults_of_version(tag: str, version: str, changelog: str) -> list[str]:
    """Name what disagrees: the tag, the version of the package, and the headings of the changelog."""
    faults = [] if tag == f"v{version}" else [f"the tag is {tag}, but the version is {version}: expected v{version}"]
    if not re.search(rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$", changelog, flags=re.MULTILINE):
        faults.append(f"CHANGELOG.md has no heading '## {version} (year-month-day)'")
    return faults


def with_whole_links(text: str, repository: str, tag: str) -> str:
    """Return a page whose relative links and pictures lead to the files of a tag in the repository."""
    base = repository.rstrip("/")

    def lead(match: re.Match) -> str:
        picture, label, target = match.groups()
        return f"{picture}[{label}]({base}/{'raw' if picture else 'blob'}/{tag}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)]+)\)", lead, text)


def main(arguments: list[str]) -> list[str]:
    """Do one of the checks. Returns the faults."""
    match arguments:
        case ["contents", folder]:
            (wheel,) = Path(folder).glob("*.whl")
            (source,) = Path(folder).glob("*.tar.gz")
            with zipfile.ZipFile(wheel) as opened, tarfile.open(source) as archive:
                return find_faults_of_wheel(opened.namelist()) + find_faults_of_source(archive.getnames())
        case ["version", tag]:
            code = Path("modeling_glm/__init__.py").read_text(encoding="utf-8")
            version = re.search(r'^__version__ = "(.*)"$', code, flags=re.MULTILINE)[1]
            return find_faults_of_version(tag, version, Path("CHANGELOG.md").read_text(encoding="utf-8"))
        case ["readme", repository, tag]:
            setup = configparser.ConfigParser()
            setup.read("setup.cfg", encoding="utf-8")
            if repository not in setup["metadata"]["project_urls"]:
                return [f"project_urls in setup.cfg lack the repository: add 'Source = {repository}'"]
            page = Path("README.md")
            page.write_text(with_whole_links(page.read_text(encoding="utf-8"), repository, tag), encoding="utf-8")
            return []
    raise SystemExit(__doc__)


if __name__ == "__main__":
    faults = main(sys.argv[1:])
    if faults:
        sys.exit("\n".join(faults))
