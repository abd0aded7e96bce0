"""The table of the real tasks."""

from examples.corpora.real_tasks.__main__ import main


def test_sizes_and_baselines_are_printed(made_up, capsys):
    main(["--task", "sms_spam"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("sms_spam: Text messages")
    assert [line.split()[0] for line in lines[2:5]] == ["train", "validation", "test"]
    assert lines[5] == "    0 test texts have the words of a training text"
    assert lines[-1] == "    TF-IDF + linear SVM: 100.0%"
