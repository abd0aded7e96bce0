"""What a release must be: the files in the archives, agreement of versions, links that lead somewhere, lowest versions."""

import importlib.util
import subprocess
import sys

import pytest
import yaml

import modeling_glm
from tests.support.paths import ROOT

GOOD_WHEEL = [
    "modeling_glm/__init__.py",
    "modeling_glm/py.typed",
    "modeling_glm/tokenization/__init__.py",
    *(
        f"modeling_glm/glm_tiny/{name}"
        for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "README.md")
    ),
    "modeling_glm-0.2.0.dist-info/METADATA",
    "modeling_glm_command.py",
]


def load_script(name: str):
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release, lowest = load_script("release"), load_script("lowest")


def test_a_good_wheel_has_no_faults():
    assert release.find_faults_of_wheel(GOOD_WHEEL) == []


@pytest.mark.parametrize(
    "name",
    [
        "tests/test_structure.py",
        "benchmarks/__main__.py",
        "modeling_glm/tests/test_x.py",
        "modeling_glm/filling/test_fill.py",
        "modeling_glm/examples/app.py",
        "tokenization/__init__.py",
        "modeling_glm_other.py",
    ],
)
def test_a_stray_file_in_the_wheel_is_found(name):
    faults = release.find_faults_of_wheel([*GOOD_WHEEL, name])
    assert faults
    assert all("in the wheel" in fault for fault in faults)


@pytest.mark.parametrize(
    "missing", ["modeling_glm/glm_tiny/model.safetensors", "modeling_glm/py.typed", "modeling_glm_command.py"]
)
def test_a_missing_file_in_the_wheel_is_found(missing):
    assert release.find_faults_of_wheel({*GOOD_WHEEL} - {missing}) == [f"{missing} missing in the wheel"]


def test_files_of_the_source_archive_exist():
    assert all((ROOT / name).is_file() for name in release.SOURCES)
    names = [f"modeling_glm-0.2.0/{name}" for name in release.SOURCES]
    assert release.find_faults_of_source(names) == []
    assert release.find_faults_of_source(names[1:]) == ["CHANGELOG.md missing in the source archive"]


def test_tag_version_and_changelog_agree():
    changelog = "# Changelog\n\n## 0.2.0 (2026-12-01)\n"
    assert release.find_faults_of_version("v0.2.0", "0.2.0", changelog) == []
    (fault,) = release.find_faults_of_version("v0.2.1", "0.2.0", changelog)
    assert fault == "the tag is v0.2.1, but the version is 0.2.0: expected v0.2.0"
    (fault,) = release.find_faults_of_version("v0.2.0", "0.2.0", "## 0.2.0 (unreleased)\n")
    assert fault == "CHANGELOG.md has no heading '## 0.2.0 (year-month-day)'"


def test_the_checks_read_this_repository(monkeypatch):
    monkeypatch.chdir(ROOT)
    (fault, *_) = release.main(["version", "v1"])
    assert fault.endswith(f"expected v{modeling_glm.__version__}")
    (fault,) = release.main(["readme", "https://example.org/nobody/nothing", "v1"])
    assert fault == "project_urls in setup.cfg lack the repository: add 'Source = https://example.org/nobody/nothing'"


def test_links_of_the_page_are_whole():
    text = "[a](docs/a.md#b) ![p](docs/p.svg) [c](https://x.org/c) [d](#d)"
    assert release.with_whole_links(text, "https://x.org/r/", "v1") == (
        "[a](https://x.org/r/blob/v1/docs/a.md#b) ![p](https://x.org/r/raw/v1/docs/p.svg) [c](https://x.org/c) [d](#d)"
    )


def test_claims_are_read_with_their_lowest_versions(tmp_path):
    setup = tmp_path / "setup.cfg"
    head = "[options]\ninstall_requires =\n    a>=1.0\n    {}\n[options.extras_require]\nall =\n    c>=3\nexamples =\n"
    setup.write_text(head.format("b>=2.1"))
    assert lowest.read_claims(setup) == {"a": "1.0", "b": "2.1", "c": "3"}
    for wrong, message in (("b", "claims no lowest version"), ("a>=2.0", "two lowest versions, 1.0 and 2.0")):
        setup.write_text(head.format(wrong))
        with pytest.raises(SystemExit, match=message):
            lowest.read_claims(setup)


def test_constraints_have_every_claim():
    command = [sys.executable, ".ci/lowest.py", "setup.cfg", "requirements.txt", "--torch", "2.13.0"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    claims = lowest.read_claims(ROOT / "setup.cfg") | {"torch": "2.13.0"}
    assert {f"{name}=={version}" for name, version in claims.items()} < set(printed)


def test_constraints_of_some_extras_have_the_lowest_of_these_alone():
    """Exporters and decisions are tested with the pinned Transformers, and with the lowest version of what they need."""
    command = [sys.executable, ".ci/lowest.py", "setup.cfg", "requirements.txt", "--only", "export", "serve"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    printed = dict(line.split("==") for line in done.stdout.split())
    lowered = lowest.read_claims(ROOT / "setup.cfg", ["export", "serve"])
    assert {"onnx", "onnxruntime", "onnxscript", "fastapi", "openai"} <= lowered.keys()
    assert lowered.items() <= printed.items()
    assert printed.keys() == {*lowered, *lowest.TOOLS, *lowest.LIBRARIES}
    requirements = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    assert f"\ntransformers=={printed['transformers']}\n" in requirements
    with pytest.raises(SystemExit, match="has no extra 'exports': expected some of"):
        lowest.read_claims(ROOT / "setup.cfg", ["exports"])


def test_workflows_and_citation_are_yaml():
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert [path.name for path in workflows] == ["ci.yml", "release.yml"]
    for path in workflows:
        assert yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"], path
    publish = yaml.safe_load(workflows[1].read_text(encoding="utf-8"))["jobs"]["publish"]
    assert publish["permissions"] == {"id-token": "write"}  # trusted publishing, and nothing else
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["preferred-citation"]["year"] == 2022
