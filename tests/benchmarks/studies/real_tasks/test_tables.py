"""The tables of the study."""

import json

import pytest

from benchmarks.studies.real_tasks.cells import TaskStudy, rows_of
from benchmarks.studies.real_tasks.tables import all_tables, merge_tables, write_tables


@pytest.fixture
def study(model, tmp_path) -> TaskStudy:
    """Results as the study leaves them; some are missing."""

    def write(name: str, **result):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"train_seconds": 10.0, "learning_rate": None, **result}))

    write("trec/0/cloze/seed-0.json", accuracy=0.25, ece=0.5)
    for seed, accuracy in enumerate((0.6, 0.7)):
        write(f"trec/32/cloze/seed-{seed}.json", accuracy=accuracy, ece=0.3, ece_calibrated=0.1, learning_rate=3e-4)
    write("trec/32/svm/seed-0.json", accuracy=0.5, learning_rate=1.0)
    write("r8/32/majority/seed-0.json", accuracy=0.25)
    return TaskStudy(model, tmp_path)


def test_times_name_their_machines(study, tmp_path):
    """The results of the fixture are from an older version, which does not say where it ran."""
    rows = rows_of(["trec"], ["32"], ["svm"])
    assert all_tables(study, rows, [0])["time"].splitlines()[-1] == "| trec | 32 | 10.0 |"
    for seed, name in enumerate("BAB"):
        path = tmp_path / f"trec/32/cloze/seed-{seed}.json"
        result = {"train_seconds": 1.0, "accuracy": 0.5, "learning_rate": None, "machine": f"Machine: {name}."}
        path.write_text(json.dumps(result))
    rows = rows_of(["trec"], ["32"], ["cloze", "svm"])
    assert all_tables(study, rows, [0, 1, 2])["time"].splitlines()[-4:] == ["", "Machine: A.", "", "Machine: B."]


def test_tables(study):
    rows = rows_of(["trec", "r8"], ["0", "32"], ["cloze", "head", "svm", "majority"])
    tables = all_tables(study, rows, [0, 1])
    assert tables["accuracy"].splitlines() == [
        "| task | examples | cloze, small-glm | TF-IDF + linear SVM | majority |",
        "| --- | --- | --- | --- | --- |",
        "| trec | 0 | 25.0 | – | – |",
        "| trec | 32 | 65.0 ± 7.1 | 50.0 | – |",
        "| r8 | 32 | – | – | 25.0 |",
    ]
    assert tables["calibration"].splitlines()[2:] == [
        "| trec | 0 | 0.500 |",
        "| trec | 32 | 0.300 ± 0.000 → 0.100 ± 0.000 |",
    ]
    assert tables["time"].splitlines()[3] == "| trec | 32 | 10.0 | 10.0 | – |"
    assert tables["learning rates"].splitlines()[2:] == ["| trec | 32 | 0.0003 | 1 |"]


def test_rows_of_the_page_stay(study, tmp_path):
    """A study that ran in parts, on two machines."""
    page = tmp_path / "page.md"
    page.write_text(
        "Accuracy:\n<!-- accuracy: begin -->\n<!-- accuracy: end -->\n<!-- time: begin -->\n<!-- time: end --> end"
    )
    methods = ["cloze", "svm", "majority"]
    parts = [rows_of(tasks, ["0", "32"], methods) for tasks in (["r8", "trec"], ["trec"])]
    whole = all_tables(study, rows_of(["trec", "r8"], ["0", "32"], methods), [0, 1])["accuracy"]
    first = all_tables(study, parts[0], [0, 1])["accuracy"]
    write_tables(page, {"accuracy": first.replace("50.0", "49.9"), "time": f"{first}\n\nMachine: A."})
    newer = whole.splitlines()[:4]  # without r8
    write_tables(page, {"accuracy": "\n".join(newer), "time": "\n".join([*newer, "", "Machine: B."])})
    assert page.read_text() == (
        f"Accuracy:\n<!-- accuracy: begin -->\n\n{whole}\n\n<!-- accuracy: end -->\n"
        f"<!-- time: begin -->\n\n{whole}\n\nMachine: A.\n\nMachine: B.\n\n<!-- time: end --> end"
    )
    with pytest.raises(ValueError, match=r"The page has the columns \| task \| examples \|.*measure all methods"):
        merge_tables(whole, "| task | examples |\n| --- | --- |")
