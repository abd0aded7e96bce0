"""The command of the study."""

import pytest

from benchmarks.studies.real_tasks import __main__ as study
from tests.support.real_tasks import write_real_data


@pytest.fixture
def arguments(model, tmp_path, monkeypatch, short) -> list[str]:
    monkeypatch.setenv("GLM_DATA", str(write_real_data(tmp_path / "data", count=80)))
    monkeypatch.setattr(study, "has_fast_bf16", lambda: False)
    return ["--task", "sms_spam", "--shots", "32", "--seeds", "0", "1", "--model", model] + [
        "--output_dir",
        str(tmp_path / "runs"),
    ]


def test_a_row_runs_and_resumes(arguments, tmp_path, capsys, monkeypatch):
    page = tmp_path / "page.md"
    names = ("accuracy", "calibration", "time", "learning rates")
    page.write_text("".join(f"<!-- {name}: begin --><!-- {name}: end -->\n" for name in names))
    study.main([*arguments, "--method", "svm", "majority", "--rates"])
    printed = capsys.readouterr()
    assert "3 cells are missing.\nEstimate: 0.00 hours of CPU time.\n" in printed.err
    assert "sms_spam 32 svm: learning rate " in printed.err

    study.main([*arguments, "--method", "svm", "majority", "--write", str(page)])
    printed = capsys.readouterr()
    assert printed.err.count("accuracy") == 3
    assert "| sms_spam | 32 | 100.0 ± 0.0 | " in printed.out
    assert "| sms_spam | 32 | 100.0 ± 0.0 | " in page.read_text()

    monkeypatch.setattr(study, "run_rows", lambda *args, **kwargs: pytest.fail("the tables alone are asked for"))
    study.main([*arguments, "--method", "svm", "majority", "--tables"])
    assert capsys.readouterr().out == printed.out


def test_estimate_runs_nothing(arguments, tmp_path, capsys):
    study.main([*arguments, "--method", "svm", "--estimate"])
    assert capsys.readouterr().out.split() == ["sms_spam", "32", "svm", "0", "s"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["study.json"]


@pytest.mark.parametrize("bf16", [False, True])
def test_precision_is_that_of_the_folder(model, tmp_path, monkeypatch, bf16):
    """The speed of bf16 is measured once, because a busy machine may give another answer."""
    monkeypatch.setattr(study, "has_fast_bf16", lambda: bf16)
    assert study.choose_precision(tmp_path) is bf16
    study.TaskStudy(model, tmp_path, bf16=bf16)
    monkeypatch.setattr(study, "has_fast_bf16", lambda: pytest.fail("it was measured before"))
    assert study.choose_precision(tmp_path) is bf16


def test_unknown_method_is_refused(capsys):
    with pytest.raises(SystemExit):
        study.main(["--method", "bayes"])
    assert "invalid choice: 'bayes'" in capsys.readouterr().err
