"""Files of the tasks outside SuperGLUE as their authors distribute them; test_golden_originals.py has the originals' numbers."""

import json

import pytest

from modeling_glm.tokenization.cloze.originals import (
    find_original,
    original_splits,
    original_tasks,
    read_original,
    read_original_rows,
)

ARTICLE = {
    "id": "high1.txt",
    "article": "It rained .",
    "questions": ["Who?", "It is _ ."],
    "options": [["a", "b"], ["c", "d"]],
    "answers": ["B", "A"],
}


@pytest.fixture
def write(tmp_path):
    """Writes texts to files, named by their paths."""

    def write_files(**texts):
        for name, text in texts.items():
            path = tmp_path / name.replace("__", "/").replace("_", ".", 1)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return tmp_path

    return write_files


def test_tasks_and_splits():
    assert original_tasks() == sorted(
        [
            "afqmc",
            "agnews",
            "cluewsc",
            "cola",
            "mnli",
            "mrpc",
            "qnli",
            "qqp",
            "race",
            "sst2",
            "tnews",
            "yahoo",
            "yelp_full",
            "yelp_polarity",
        ]
    )
    assert original_splits("agnews") == ["train", "val"]
    assert original_splits("mnli")[:3] == ["train", "val", "test"]
    assert original_splits("rte") == []


@pytest.mark.parametrize("folder", [".", "SST-2"])
def test_the_folder_or_its_parent(write, folder):
    root = write(train_tsv="x") if folder != "." else write(train_tsv="sentence\tlabel\nfine\t1\n")
    if folder != ".":
        (root / folder).mkdir()
        (root / folder / "train.tsv").write_text("sentence\tlabel\nfine\t1\n")
    assert read_original("sst2", root, "train") == [{"sentence": "fine", "label": "1"}]
    assert find_original("sst2", root, "train") == root / folder / "train.tsv"


def test_quotes_in_tables_are_letters(write):
    text = 'sentence\tlabel\r\n"Half\t0\r\na "quoted" word\t1\r\n'
    examples = read_original("sst2", write(train_tsv=text), "train")
    assert [example["sentence"] for example in examples] == ['"Half', 'a "quoted" word']


@pytest.mark.parametrize(
    ("task", "header", "line"),
    [
        ("sst2", "index\tsentence", "0\tfine"),
        ("cola", "index\tsentence", "0\tIt rained."),
        ("qqp", "id\tquestion1\tquestion2", "0\ta\tb"),
        ("mrpc", "index\t#1 ID\t#2 ID\t#1 String\t#2 String", "0\t1\t2\ta\tb"),
        ("qnli", "index\tquestion\tsentence", "0\ta\tb"),
    ],
)
def test_test_sets_have_no_labels(write, task, header, line):
    (example,) = read_original(task, write(test_tsv=f"{header}\n{line}\n"), "test")
    assert example["label"] is None


def test_other_splits_of_mnli(write):
    folder = write(x_tsv="")
    text = "index\tsentence1\tsentence2\tgold_label\n3\ta\tb\tneutral\n"
    (folder / "dev_mismatched.tsv").write_text(text)
    (folder / "test_matched.tsv").write_text(text.replace("\tgold_label", "").replace("\tneutral", ""))
    assert read_original("mnli", folder, "val_mismatched")[0]["label"] == "neutral"
    assert read_original("mnli", folder, "test")[0]["label"] is None


def test_lines_with_other_columns_are_left_out_with_a_warning(write):
    folder = write(train_tsv="question1\tquestion2\tis_duplicate\na\tb\t1\nbroken\nc\td\t0\n\ne\tf\tg\th\n")
    with pytest.warns(UserWarning, match=r"train.tsv: 2 lines have another number of columns than 3 .*\(line 3, 6\)"):
        examples = read_original("qqp", folder, "train")
    assert [example["question1"] for example in examples] == ["a", "c"]


def test_csv_without_names(write):
    text = '"2","It is ""wet""","Two\nlines"\n"4","a","b, c"\n'
    examples = read_original("agnews", write(train_csv=text), "train")
    assert [(example["label"], example["title"], example["text"]) for example in examples] == [
        ("Sports", 'It is "wet"', "Two\nlines"),
        ("Sci/Tech", "a", "b, c"),
    ]


@pytest.mark.parametrize(
    ("task", "files", "split", "message"),
    [
        ("agnews", {"train_csv": '"5","a","b"\n'}, "train", r"line 1: the label is '5': expected one of \['1', '2'"),
        (
            "agnews",
            {"train_csv": '"1","a","b"\n"2","c"\n'},
            "train",
            r"line 2 has 2 columns: expected 3 \(label, title",
        ),
        (
            "agnews",
            {"train_csv": "title,text,label\n"},
            "train",
            r"train.csv has not the form of the file train.csv of ag",
        ),
        ("sst2", {"train_tsv": "sentence\tlabel\nfine\t7\n"}, "train", r"line 2: Label '7' is not one of the task's"),
        ("sst2", {"train_tsv": "sentence\tlabel\n"}, "train", r"train.tsv has no examples"),
        ("sst2", {"train_tsv": b"sentence\tlabel\ncaf\xe9\t1\n"}, "train", r"train.tsv is not UTF-8"),
        (
            "afqmc",
            {"train_json": '{"sentence1": "a"}\n[1]'},
            "train",
            r"train.json, line 2 is '\[1\]': expected an obj",
        ),
        (
            "tnews",
            {"train_json": '{"sentence": "a", "label": "99"}'},
            "train",
            r"line 1: Label '99' is not one of the",
        ),
        (
            "race",
            {"train__middle__1_txt": '{"id": 1}'},
            "train",
            r"1.txt, line 1: there is no 'questions'; is this a f",
        ),
        (
            "race",
            {"train__high__1_txt": json.dumps({**ARTICLE, "answers": ["A"]})},
            "train",
            r"line 1 has 2 questions, 2 lists of options and 1 answers",
        ),
        (
            "race",
            {"train__high__1_txt": json.dumps({**ARTICLE, "answers": ["C", "A"]})},
            "train",
            r"line 1, question 0: The answer is 'C': expected one of \['A', 'B'\]",
        ),
        ("agnews", {}, "test", r"Task 'agnews' has no split 'test': expected one of \['train', 'val'\]"),
        ("rte", {}, "train", r"Task 'rte' has no files to be read here: expected one of \['afqmc'"),
    ],
)
def test_what_cannot_be_read(write, task, files, split, message):
    with pytest.raises(ValueError, match=message):
        read_original(task, write(**files), split)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is neither .*train.tsv nor .*SST-2.train.tsv"):
        read_original("sst2", tmp_path, "train")
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere: give the one with RACE's train"):
        read_original("race", tmp_path / "nowhere", "train")


@pytest.mark.parametrize(
    ("task", "files"),
    [
        ("agnews", {"train_csv": "label,title,text\n1,a,b\n"}),
        ("yelp_full", {"train_csv": "text,label\na,1\n"}),
        ("mnli", {"train_tsv": "premise\thypothesis\tlabel\na\tb\t0\n"}),
        ("cola", {"train_tsv": "sentence\tlabel\na\t1\n"}),
        ("race", {"train__other_txt": "{}"}),
    ],
)
def test_files_of_another_form_are_none_of_the_authors(write, task, files):
    assert find_original(task, write(**files), "train") is None


def test_race_reads_its_levels_in_the_order_of_their_numbers(write):
    names = {"train__high__2_txt": "c", "train__middle__10_txt": "b", "train__middle__9_txt": "a"}
    folder = write(**{name: json.dumps({**ARTICLE, "id": id_}) for name, id_ in names.items()})
    examples = read_original("race", folder, "train")
    assert [example["idx"]["article"] for example in examples] == ["a", "a", "b", "b", "c", "c"]
    assert [example["label"] for example in examples[:2]] == [1, 0]
    assert [place.rpartition("/")[2] for place, _ in read_original_rows("race", folder, "train")][:2] == [
        "9.txt, line 1, question 0",
        "9.txt, line 1, question 1",
    ]


def test_a_test_set_without_answers(write):
    article = {name: value for name, value in ARTICLE.items() if name != "answers"}
    examples = read_original("race", write(test__high__1_txt=json.dumps(article)), "test")
    assert [example["label"] for example in examples] == [None, None]
