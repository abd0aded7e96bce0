"""ONNX Runtime fills, scores and chooses as the model does, also where torch is not installed."""

import json
import random
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from modeling_glm import ORTFiller, choose, fill_blanks, score_fillings

# They share an export of the embedded model.
pytestmark = pytest.mark.slow
WORDS = ["fox", "the lazy dog", "Paris", "1987", "capital", "of France", "not", "Rome jumps"]
WITHOUT_TORCH = """
import importlib.util, json, sys
packages, folder, work = sys.argv[1:]
sys.path[:0] = [folder, packages]
from ort_filler import ORTFiller
filler, texts = ORTFiller(folder), json.load(open(work))
filled = filler.fill(texts["fill"], max_new_tokens_per_blank=8)
chosen = filler.choose(texts["choose"], texts["choices"])
scored = filler.score(*texts["score"])
assert "torch" not in sys.modules and importlib.util.find_spec("torch") is None
assert "modeling_glm" not in sys.modules and importlib.util.find_spec("modeling_glm") is None
print(json.dumps({
    "fill": [[list(answer.token_ids) for answer in filling.answers] for filling in filled],
    "texts": [filling.text for filling in filled],
    "choose": [[choice.index, choice.log_prob] for choice in chosen],
    "score": [filling.log_prob for filling in scored],
}))
"""


def make_texts(count: int) -> list[str]:
    """Make texts of different lengths with one to three blanks."""
    draw = random.Random(0)
    texts = []
    for _ in range(count):
        parts = [draw.choice(WORDS) for _ in range(draw.randint(1, 6))]
        for _ in range(draw.randint(1, 3)):
            parts.insert(draw.randint(0, len(parts)), draw.choice(["[MASK]", "[sMASK]", "[MASK]."]))
        texts.append(" ".join(parts))
    return texts


@pytest.fixture(scope="module")
def filler(exported, text_tokenizer):
    return ORTFiller(exported["onnx"].target, text_tokenizer, num_threads=1)


@pytest.fixture(scope="module")
def expected(text_model, text_tokenizer):
    texts = make_texts(100)
    return texts, fill_blanks(text_model, text_tokenizer, texts, max_new_tokens_per_blank=8)


def test_100_texts_are_filled_as_by_the_model(filler, expected):
    texts, fillings = expected
    found = filler.fill(texts, max_new_tokens_per_blank=8)
    lengths = set()
    for filling, (wanted,) in zip(found, fillings, strict=True):
        assert [answer.token_ids for answer in filling.answers] == [answer.token_ids for answer in wanted.answers]
        assert filling.text == wanted.text
        assert [answer.text for answer in filling.answers] == [answer.text for answer in wanted.answers]
        for answer, other in zip(filling.answers, wanted.answers, strict=True):
            assert answer.token_log_probs == pytest.approx(other.token_log_probs, abs=1e-4)
            lengths.add(len(answer.token_ids))
        assert filling.log_prob == pytest.approx(wanted.log_prob, abs=1e-3)
    assert len(lengths) > 3  # some answers end by themselves
    assert max(lengths) == 8  # others at the limit


def test_the_batch_size_does_not_change_the_answers(filler, expected):
    texts = expected[0][:7]
    together = filler.fill(texts, max_new_tokens_per_blank=4)
    assert [filler.fill(text, max_new_tokens_per_blank=4).text for text in texts] == [each.text for each in together]
    assert filler.fill([]) == []


@pytest.mark.parametrize(
    ("text", "fillings"),
    [
        ("The [MASK] runs.", ["fox", " fox", "lazy dog", ""]),
        ("[MASK] is [sMASK] of [MASK].", [["Paris", "the capital", "France"], ["1", "2", "3"]]),
        ("[MASK] [MASK] [MASK] [MASK] [MASK]", [["fox"] * 5, ["the", "dog", "is", "not", "found"]]),
    ],
)
def test_scores_are_those_of_the_model(filler, text_model, text_tokenizer, text, fillings):
    found = filler.score(text, fillings)
    wanted = score_fillings(text_model, text_tokenizer, text, fillings)
    assert [each.text for each in found] == [each.text for each in wanted]
    for filling, other in zip(found, wanted, strict=True):
        assert [answer.token_ids for answer in filling.answers] == [answer.token_ids for answer in other.answers]
        assert filling.log_prob == pytest.approx(other.log_prob, abs=1e-4)


def test_a_single_filling_is_not_read_letter_by_letter(filler):
    assert filler.score("The [MASK] runs.", "fox") == filler.score("The [MASK] runs.", ["fox"])


def test_choices_are_those_of_the_model(filler, text_model, text_tokenizer):
    texts = ["The [MASK] runs.", "Rome is the [MASK] of Italy, and not found [MASK]."[:33], "[gMASK]"]
    for choices in (WORDS, [["fox", "dog"], ["capital", "1987", " not"], ["Paris"]]):
        found, wanted = filler.choose(texts, choices), choose(text_model, text_tokenizer, texts, choices)
        for of_text, others in zip(found, wanted, strict=True):
            assert [each.index for each in of_text] == [each.index for each in others]
            for choice, other in zip(of_text, others, strict=True):
                assert choice.log_prob == pytest.approx(other.log_prob, abs=1e-4)
                assert choice.probability == pytest.approx(other.probability, abs=1e-4)


def test_int8_loads_by_the_same_class_and_changes_little(exported, filler, text_tokenizer):
    quantized = ORTFiller(exported["int8"].target, text_tokenizer, num_threads=1)
    assert exported["int8"].num_bytes < exported["onnx"].num_bytes
    text, answers = "The [MASK] runs.", ["fox", "lazy dog"]
    for filling, exact in zip(quantized.score(text, answers), filler.score(text, answers), strict=True):
        assert filling.log_prob == pytest.approx(exact.log_prob, rel=0.05)  # CPUs without VNNI round more
        assert filling.log_prob != exact.log_prob
    assert "[MASK]" not in quantized.fill(text, max_new_tokens_per_blank=3).text


def test_it_needs_neither_torch_nor_this_package(exported, filler, expected, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    for folder in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(folder).iterdir():
            if not entry.name.startswith(("torch", "functorch", "modeling_glm", "__editable__", "__pycache__")):
                (packages / entry.name).symlink_to(entry)
    texts = expected[0][:10]
    asked = {
        "fill": texts,
        "choose": "The [MASK] runs.",
        "choices": WORDS,
        "score": ["[MASK] is [MASK].", [["Paris", "found"], ["The fox", "lazy"]]],
    }
    work = tmp_path / "texts.json"
    work.write_text(json.dumps(asked), encoding="utf-8")
    completed = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WITHOUT_TORCH, packages, exported["onnx"].target, work],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "OMP_NUM_THREADS": "1"},
    )
    assert completed.returncode == 0, completed.stderr
    found = json.loads(completed.stdout)
    wanted = filler.fill(texts, max_new_tokens_per_blank=8)
    assert found["fill"] == [[list(answer.token_ids) for answer in filling.answers] for filling in wanted]
    assert found["texts"] == [filling.text for filling in wanted]
    chosen = filler.choose(asked["choose"], WORDS)
    assert [index for index, _ in found["choose"]] == [choice.index for choice in chosen]
    assert [value for _, value in found["choose"]] == pytest.approx([choice.log_prob for choice in chosen], abs=1e-4)
    assert found["score"] == pytest.approx([each.log_prob for each in filler.score(*asked["score"])], abs=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda filler: filler.fill(["[MASK]", "no blank"]), "Text 1 has no blank: put one of "),
        (lambda filler: filler.fill("the fox " * 60 + "[MASK]"), "tokens, but the position table holds 65"),
        (lambda filler: filler.fill(["[MASK]", 3]), "Text 1 is 3, of type int: expected a string"),
        (
            lambda filler: filler.fill("[MASK]", max_new_tokens_per_blank=63),
            "max_new_tokens_per_blank=63: expected a whole number from 1 to 62",
        ),
        (lambda filler: filler.fill("[MASK]", batch_size=0), "batch_size=0: expected a whole number from 1"),
        (
            lambda filler: filler.score("[MASK] [MASK]", [["a", "b"], "a"]),
            r"fillings\[1\] has 1 answers, but the text",
        ),
        (lambda filler: filler.choose("[MASK] [MASK]", ["a"]), "Text 0 has 2 blanks, but the choices are for one"),
        (lambda filler: filler.choose("[MASK]", []), r"choices is \[\]: expected a list of strings"),
        (lambda filler: filler.choose("[MASK]", ["a", ""]), "Text 0: the choices have '': expected 1 to 64 tokens"),
        (lambda filler: filler.fill(None), "The text is None, of type NoneType: expected a string, or a list of them"),
        (lambda filler: filler.score("[MASK]", ["a", 3]), r"fillings\[1\] is 3: expected a list of strings"),
        (
            lambda filler: filler.score("[MASK]", [["a"], [None]]),
            r"fillings\[1\] is \[None\]: expected a list of strings",
        ),
        (lambda filler: filler.score(["[MASK]", "[MASK]"], ["a"]), "of type list: expected one string"),
        (lambda filler: filler.score("[MASK]", None), "fillings is None: expected a list of answers"),
        (lambda filler: filler.choose("[MASK]", "ab"), "choices is 'ab': expected a list of strings"),
        (lambda filler: filler.choose("[MASK]", None), "choices is None: expected a list of strings"),
        (
            lambda filler: filler.choose(["[MASK]"] * 2, [["a"], "ab"]),
            r"choices\[1\] is 'ab': expected a list of strings",
        ),
        (
            lambda filler: filler.choose(["[MASK]"] * 2, [["a"], [3]]),
            r"choices\[1\] is \[3\]: expected a list of strings",
        ),
        (lambda filler: ORTFiller("examples/glm-tiny"), "examples/glm-tiny has no ort_filler.json: expected a folder"),
    ],
)
def test_bad_input_is_answered_in_words(filler, call, message):
    with pytest.raises(ValueError, match=message):
        call(filler)
