"""
Use models without this package, with transformers and torch alone. The tests of modeling_glm/hub run this script.

    python without_package.py WORK_FOLDER STEP ...

A step is the name of a function in this file. WORK_FOLDER/local holds a model, and WORK_FOLDER/commits.json names commits
of repositories on the hub of HF_ENDPOINT. The results go to WORK_FOLDER/without_package.json.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path

import torch
from transformers import AutoModelForMultipleChoice, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

TEXT = "The quick brown [MASK] jumps over the [MASK] dog."
CHOICES = [[" fox", " dog", " lazy cat"]]

work = Path(sys.argv[1])


def load(auto_class, source, **kwargs):
    return auto_class.from_pretrained(source, trust_remote_code=True, **kwargs)


def use(source, **kwargs) -> dict:
    """Fill blanks and score choices."""
    tokenizer = load(AutoTokenizer, source, **kwargs)
    model = load(AutoModelForSeq2SeqLM, source, **kwargs)
    chooser = load(AutoModelForMultipleChoice, source, **kwargs)
    inputs = tokenizer([TEXT], return_tensors="pt")
    with torch.no_grad():
        filled = model.generate(**inputs, max_new_tokens_per_blank=5)
        scores = chooser(**tokenizer.build_inputs_for_multiple_choice(inputs, CHOICES)).logits
    return {
        "ids": filled.tolist(),
        "answers": tokenizer.decode_blanks(filled),
        "scores": scores.tolist(),
        "module": type(model).__module__,
    }


def run_card(source: Path):
    """Run the code of the card, changed as the card says for readers without the package."""
    card = (source / "README.md").read_text(encoding="utf-8")
    names: dict = {}
    for block in re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL):
        code = block.replace("import modeling_glm\n", "")
        code = re.sub(r"from_pretrained\((.*?)\)", r"from_pretrained(\1, trust_remote_code=True)", code)
        exec(compile(code, "README.md", "exec"), names)
    return sorted(name for name in names if not name.startswith("_"))


def save_again(source: Path, target: Path) -> dict:
    load(AutoModelForSeq2SeqLM, source).save_pretrained(target)
    load(AutoTokenizer, source).save_pretrained(target)
    return use(target)


def push_again(source: Path, repo_id: str):
    load(AutoModelForSeq2SeqLM, source).push_to_hub(repo_id)
    load(AutoTokenizer, source).push_to_hub(repo_id)


def use_local():
    found["local"] = use(work / "local")
    found["saved_again"] = save_again(work / "local", work / "saved-again")
    found["card"] = run_card(work / "local")
    push_again(work / "local", "writer/again")
    push_again(work / "local", "writer/remote-code")
    found["pushed_again"] = use("writer/remote-code")


def decide_local():
    """Answer WORK_FOLDER/request.json with the pipeline of the library."""
    decide = pipeline("decision", model=str(work / "local"), trust_remote_code=True)
    found["decided"] = decide(json.loads((work / "request.json").read_text()))
    found["module"] = type(decide.model).__module__


def use_commits():
    commits = json.loads((work / "commits.json").read_text())
    found["commits"] = {oid: use(repo_id, revision=oid) for repo_id, oid in commits}


found: dict = {"installed": importlib.util.find_spec("modeling_glm") is not None}
for step in sys.argv[2:]:
    globals()[step]()
(work / "without_package.json").write_text(json.dumps(found))
