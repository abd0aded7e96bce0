"""Run scripts against a hub on loopback, in processes of their own."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.fake_hub import TOKEN, Commit, FakeHub, run_hub
from tests.support.paths import ROOT

SCRIPTS = ROOT / "tests" / "support" / "hub_scripts"


@contextmanager
def pushed_hub(work: Path, *steps: str) -> Iterator[tuple[FakeHub, dict[str, Any]]]:
    """Run steps of hub_scripts/push.py. Yields the hub afterwards, and what the script found."""
    with run_hub() as hub:
        run_script("push.py", work, sys.executable, hub, *steps, PYTHONPATH=str(ROOT))
        yield hub, json.loads((work / "pushed.json").read_text())


def use_without_package(work: Path, hub: FakeHub, *steps: str) -> dict[str, Any]:
    """Run steps of hub_scripts/without_package.py where everything is installed but this package."""
    packages = work / "packages"
    packages.mkdir()
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if "modeling_glm" not in entry.name:
                (packages / entry.name).symlink_to(entry)
    venv.EnvBuilder(with_pip=False, symlinks=True).create(work / "venv")
    site_packages = next((work / "venv").glob("lib/python*/site-packages"))
    (site_packages / "packages.pth").write_text(f"{packages}\n")
    run_script("without_package.py", work, work / "venv" / "bin" / "python", hub, *steps)
    return json.loads((work / "without_package.json").read_text())


def run_script(name: str, work: Path, python: str | Path, hub: FakeHub, *steps: str, **environment: str) -> None:
    """Run a script of hub_scripts against the hub, without the settings of the user who runs the tests."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "PYTHON", "TRANSFORMERS_"))}
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_TOKEN": TOKEN, "HF_HOME": str(work / "hf"), "HF_HUB_DISABLE_XET": "1"}
    settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [python, "-W", "error::DeprecationWarning:modeling_glm", SCRIPTS / name, work, *steps]
    done = subprocess.run(
        command, env={**kept, **settings, **environment}, cwd=work, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-5000:]


def whole_commits(hub: FakeHub, name: str) -> list[Commit]:
    """List the commits of a repository that hold a model and its tokenizer."""
    needed = {"config.json", "tokenizer.json"}
    return [commit for commit in hub.repos[f"writer/{name}"].history() if needed <= commit.files.keys()]


def last_commit(hub: FakeHub, name: str, ref: str = "main") -> Commit:
    return hub.repos[f"writer/{name}"].history(ref)[-1]


def read_metadata(card: Any) -> dict[str, Any]:
    """Parse the YAML at the top of a model card."""
    return yaml.safe_load(str(card).split("---")[1])
