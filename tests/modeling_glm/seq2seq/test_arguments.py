"""The command line over a recipe."""

import pytest

from modeling_glm.seq2seq.arguments import parse_arguments, read_recipe


def parse(*words, **options):
    return parse_arguments("A script.", list(words), **options)


def test_defaults():
    data, model, answers, training = parse()
    assert (data.task, data.target, model.model, answers.num_beams, answers.metrics) == (None,) * 5
    assert (training.output_dir, training.label_smoothing_factor, training.warmup_steps) == ("runs/seq2seq", 0.1, 0.06)
    assert training.load_best_model_at_end
    assert training.remove_unused_columns is False


def test_the_command_line_overrides_the_recipe(tmp_path):
    recipe = (
        "task: xsum\nnum_beams: 6\nlearning_rate: 1e-5\nlength_penalty: 0.7\nmetrics: rouge\nfp16: false\nlora: true\n"
    )
    (tmp_path / "xsum.yaml").write_text(recipe)
    data, model, answers, training = parse(
        "--recipe", "xsum", "--num_beams", "2", "--target", "a", "b", recipes=tmp_path
    )
    assert (data.task, data.target, answers.num_beams, answers.length_penalty) == ("xsum", ["a", "b"], 2, 0.7)
    assert (answers.metrics, training.learning_rate, training.fp16, model.lora) == (["rouge"], 1e-5, False, True)


@pytest.mark.parametrize(
    ("words", "task", "beams"),
    [
        ([], "names", 4),
        (["--num_beams", "2"], "names", 2),
        (["--task", "names"], "names", 4),
        (["--task", "other"], "other", None),
        (["--train_file", "x.csv"], None, None),
        (["--dataset", "a/b"], None, None),
        (["--recipe", "plain"], None, 3),
    ],
)
def test_an_embedded_task_has_its_recipe(tmp_path, words, task, beams):
    (tmp_path / "names.yaml").write_text("task: names\nnum_beams: 4\n")
    (tmp_path / "plain.yaml").write_text("num_beams: 3\n")
    data, _, answers, _ = parse(*words, recipes=tmp_path, embedded=["names", "other"])
    assert (data.task, answers.num_beams) == (task, beams)


def test_the_names_of_transformers_scripts_work():
    data, *_ = parse("--dataset_name", "owner/news", "--dataset_config_name", "en")
    assert (data.dataset, data.dataset_config) == ("owner/news", "en")


def test_help_lists_tasks_and_recipes(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "xsum.yaml").write_text("")
    with pytest.raises(SystemExit):
        parse("--help", recipes=tmp_path, embedded=["names"], published=["cnn_dm", "squad"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "or one of xsum." in printed
    assert "An embedded task (names;" in printed
    assert "in --data_dir: cnn_dm, squad." in printed
    assert "--num_beams" in printed
    assert "--adam_beta1" not in printed


def test_errors(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("task: x\nbeams: 3\n")
    (tmp_path / "b.yaml").write_text("- task\n")
    with pytest.raises(ValueError, match=r"a\.yaml sets unknown arguments: beams\. See --help"):
        read_recipe("a", tmp_path)
    with pytest.raises(ValueError, match="does not hold arguments by their names"):
        parse("--recipe", str(tmp_path / "b.yaml"))
    with pytest.raises(FileNotFoundError, match="give a YAML file or one of a, b"):
        parse("--recipe", "c", recipes=tmp_path)
    with pytest.raises(SystemExit):
        parse("--num_beam", "3")
    assert "unrecognized arguments: --num_beam 3; write names in full" in capsys.readouterr().err
