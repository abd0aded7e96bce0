"""`make space` makes a folder that runs as a Space of the hub."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.paths import ROOT


def test_it_asks_for_what_the_package_asks_for():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    wanted = {*config["options"]["install_requires"].split(), *config["options.extras_require"]["page"].split()}
    lines = (ROOT / "examples" / "space" / "requirements.txt").read_text().splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    assert listed == {line for line in wanted if not line.startswith("gradio")}  # which the Space brings


def test_its_gradio_is_the_one_that_is_tested():
    page = (ROOT / "examples" / "space" / "README.md").read_text(encoding="utf-8")
    settings = yaml.safe_load(page.split("---")[1])
    pinned = re.search(r"^gradio==(.*)$", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE).group(1)
    assert settings["sdk_version"] == pinned
    assert len(settings["short_description"]) <= 60  # the hub takes no more
    assert (ROOT / "examples" / settings["app_file"]).is_file()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_it_runs_from_its_folder_alone(tmp_path):
    pytest.importorskip("gradio")
    subprocess.run(["make", "--directory", ROOT, "space", f"SPACE={tmp_path}/space"], check=True, capture_output=True)
    script = """
import app, modeling_glm, modeling_glm.tokenization
print(modeling_glm.__file__)
print(modeling_glm.tokenization.__file__)
print(app.Page(modeling_glm.embedded_checkpoint(), "cpu").choose("HTTP status 404 is Not Found, a [MASK].", "client error\\nsuccess"))
"""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path / "space", env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    package, tokenization, shares = ran.stdout.splitlines()
    assert Path(package) == tmp_path / "space" / "modeling_glm" / "__init__.py"
    assert Path(tokenization) == tmp_path / "space" / "modeling_glm" / "tokenization" / "__init__.py"
    assert "client error" in shares
