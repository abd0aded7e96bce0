"""Files of the form of BIG-bench, with made-up sentences."""

import json

import pytest

from examples.peers.agreement import FILES

SOCIAL = [
    {"input": "Ada lent Bo a book.  What will Bo do? ", "target_scores": {"read it": 1, "eat it": 0, "fly": 0}},
    {"input": "Cy swept the yard. How does Cy feel? ", "target_scores": {"blue as ink": 0, "tired": 1, "flat": 0}},
]
PAIRS = [
    {"input": "The robots ", "target_scores": {"hum": 1, "hums": 0}, "comment": "plural"},
    {"input": "the lamp near the doors ", "target_scores": {"glow all night.": 0, "glows all night.": 1}},
    {"input": "the lamp ", "target_scores": {"glows": 0}},  # such lines are in the files: nothing is right
]
SENTENCES = [
    ("The crate does not fit in the van because it is too wide.", "it", "the crate"),
    ("The crate does not fit in the van because it is too narrow.", "it", "the van"),
    ("Zora waved at Mina. She was leaving.", "She", "zora"),
    ("Zora waved at Mina. She was arriving.", "She", "mina"),
]


def why(sentence: str, pronoun: str, meant: str, right: bool) -> dict:
    """Write an example of winowhy."""
    text = f"{sentence} The '{pronoun}' refers to {meant} because a reason stands here."
    return {"input": text, "target_scores": {"correct": int(right), "incorrect": int(not right)}}


@pytest.fixture
def questions(tmp_path, monkeypatch):
    """Write the files, and return their folder."""
    folder = tmp_path / "data" / "bigbench"
    (folder / "subject_verb_agreement").mkdir(parents=True)
    contents = {"social_iqa": SOCIAL, **{f"subject_verb_agreement/{name}": PAIRS for name in FILES}}
    contents["winowhy"] = [why(*sentence, right) for sentence in SENTENCES for right in (True, False)]
    for name, examples in contents.items():
        (folder / f"{name}.json").write_text(json.dumps({"name": name, "examples": examples}))
    monkeypatch.setenv("GLM_DATA", str(tmp_path / "data"))
    return folder
