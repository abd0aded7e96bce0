"""What the command `modeling-glm` imports, and when."""

import ast
import json
import subprocess
import sys

import pytest

import modeling_glm
from modeling_glm.cli.package import import_package
from tests.support.paths import ROOT

# Runs command lines one after the other, and prints on the last line how each ended and what was imported.
RUN = """
import contextlib, io, json, sys
from modeling_glm_command import main
codes = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["modeling-glm", *arguments]
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            main()
            codes.append(0)
        except SystemExit as ended:
            codes.append(ended.code or 0)
print()
print(json.dumps([codes, sorted(sys.modules)]))
"""
# Libraries that are installed for other jobs, and parts of ours and of Transformers that filling does not need.
NOT_FOR_FILLING = {
    *("datasets", "gradio", "lm_eval", "matplotlib", "pandas", "peft", "rouge_score", "sacrebleu", "sklearn"),
    *("torchvision", "transformers.trainer", "transformers.models.bert"),
    *("modeling_glm.evaluation", "modeling_glm.pretraining", "modeling_glm.seq2seq.trainer"),
}


def run_commands(*commands: list[str]) -> tuple[list[int], set[str], str]:
    """Run command lines in one new process. Returns their exit codes, the imported modules and what was printed."""
    completed = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(commands)], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert completed.returncode == 0, completed.stderr
    *printed, last = completed.stdout.strip().splitlines()
    codes, modules = json.loads(last)
    return codes, set(modules), "\n".join(printed)


def modules_of_a_pipeline() -> set[str]:
    """Return what is imported by a program that uses pipelines of Transformers, and nothing else."""
    code = "import json, sys; from transformers import GenerationMixin, pipeline; print(json.dumps([*sys.modules]))"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    return set(json.loads(completed.stdout))


def test_help_and_wrong_usage_import_no_torch():
    codes, modules, printed = run_commands(
        ["--version"],
        ["--help"],
        ["fill", "--help"],
        ["evaluate", "choices", "--help"],
        ["konvert"],
        ["fill", "model", "--num-answers", "none"],
    )
    assert codes == [0, 0, 0, 0, 2, 2]
    assert printed.splitlines()[0] == f"modeling-glm {modeling_glm.__version__}"
    assert "modeling_glm.cli.evaluation" in modules
    assert not {"numpy", "tokenizers", "torch", "transformers", "modeling_glm.registration"} & modules


@pytest.mark.slow
def test_fill_registers_glm_and_imports_nothing_for_other_jobs():
    codes, modules, printed = run_commands(["fill", "examples/glm-tiny", "The hour is [MASK]."])
    assert codes == [0]
    assert json.loads(printed.strip())["text"] == "The hour is [MASK]."
    assert {"modeling_glm.registration", "transformers.pipelines"} <= modules
    # Older versions of Transformers import some of them for every pipeline.
    assert not NOT_FOR_FILLING & (modules - modules_of_a_pipeline())


def test_the_package_is_run_once():
    config_class = modeling_glm.GLMConfig
    import_package()
    assert modeling_glm.GLMConfig is config_class


def test_nothing_heavy_is_imported_at_the_top():
    allowed = {"rich", "typer", *sys.stdlib_module_names}
    names = sorted((ROOT / "modeling_glm" / "cli").glob("*.py"))
    assert names
    for path in names:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                assert node.module.split(".")[0] in allowed, f"{path.name} imports {node.module}"
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 1, f"{path.name} imports {node.module} of the package: import it in the function"
            elif isinstance(node, ast.Import):
                assert {name.name.split(".")[0] for name in node.names} <= allowed, path.name
