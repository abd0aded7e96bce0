"""The command line: recipes, defaults, the learning rate, and what is refused."""

import pytest
import torch
import yaml
from transformers import get_scheduler

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig
from modeling_glm.configuration_glm import PRESETS
from modeling_glm.hub.card import count_parameters
from modeling_glm.pretraining import settings
from modeling_glm.pretraining.arguments import collator_options
from modeling_glm.pretraining.settings import (
    check_export,
    measured_losses,
    parse_arguments,
    read_corpora,
    read_phases,
    task_order,
)
from tests.support.paths import EXAMPLES
from tests.support.pretraining_runs import RECIPES


def parse(tmp_path, *words: object):
    line = ["--corpus", "texts.txt", "--output_dir", tmp_path / "run", *words]
    return parse_arguments("", [str(word) for word in line], recipes=RECIPES)


@pytest.mark.parametrize("name", [path.stem for path in sorted(RECIPES.glob("*.yaml"))])
def test_recipes(name, tmp_path, tokenizer):
    """Every published recipe is understood, phase by phase, and its model has the published size."""
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text())
    assert name in PRESETS
    for phase in range(1, 1 + len(recipe.get("phases", [{}]))):
        args, training = parse(tmp_path, "--recipe", name, "--phase", phase, "--weight_decay", 0.5)
        assert args.preset == name
        assert training.weight_decay == 0.5  # the command line overrides the recipe
        assert training.learning_rate < 1e-3
        per_step = training.per_device_train_batch_size * training.gradient_accumulation_steps
        assert per_step == args.global_batch_size
        assert args.max_length <= PRESETS[name]["max_position_embeddings"]
        DataCollatorForBlankInfilling(tokenizer, objectives=args.shares, **collator_options(args))
        config = GLMConfig.from_preset(name, vocab_size=-(-args.vocab_size // 128) * 128)
        assert count_parameters(config) == count_parameters(GLMConfig.from_preset(name))


def test_all_published_models_have_a_recipe():
    """GLM-Doc is GLM-Large, trained further on other data."""
    assert {path.stem for path in RECIPES.glob("*.yaml")} == set(PRESETS) - {"glm-doc"}


def test_a_recipe_with_tasks(tmp_path):
    recipe = tmp_path / "mine.yaml"
    own = {"name": "titles", "train_file": "news.jsonl", "pattern": "{text} [sMASK]", "target": "title"}
    recipe.write_text(yaml.safe_dump({"multi_task": ["rte=SuperGLUE", own], "multi_task_ratio": 0.2}))
    args, training = parse(tmp_path, "--recipe", recipe)
    assert args.multi_task == ["rte=SuperGLUE", own]
    assert (args.multi_task_ratio, args.multi_task_unit) == (0.2, "step")
    assert measured_losses(args) == ["token", "sentence", "document", "tasks"]
    assert task_order(args, training).unit_size == args.global_batch_size
    recipe.write_text("multi_task: rte=SuperGLUE\nmulti_task_ratio: 0.1")
    args, training = parse(tmp_path, "--recipe", recipe, "--multi_task_unit", "sample")
    assert args.multi_task == ["rte=SuperGLUE"]
    assert task_order(args, training).unit_size == 1
    args, training = parse(tmp_path)
    assert (task_order(args, training), measured_losses(args)) == (None, ["token", "sentence", "document"])


def test_a_recipe_of_ones_own(tmp_path):
    (tmp_path / "own.yaml").write_text(
        "corpus: a.txt\nlearning_rate: 1.0e-3\nobjectives: {token: 0.5, document: 0.5}\n"
    )
    line = ["--recipe", str(tmp_path / "own.yaml"), "--output_dir", str(tmp_path / "run")]
    args, training = parse_arguments("", line)
    assert args.corpus == ["a.txt"]
    assert args.shares == {"token": 0.5, "document": 0.5}
    assert training.learning_rate == 1e-3


def test_a_model_that_is_trained_further_has_a_lower_learning_rate(tmp_path):
    model = ("--model", EXAMPLES / "glm-tiny")
    recipe = tmp_path / "further.yaml"
    recipe.write_text(f"model: {EXAMPLES / 'glm-tiny'}\n")
    rates = {
        "new": (),
        "further": model,
        "of a recipe": ("--recipe", recipe),
        "given": (*model, "--learning_rate", 3e-4),
    }
    found = {name: parse(tmp_path, *words)[1].learning_rate for name, words in rates.items()}
    assert found == {"new": 2e-3, "further": 1e-4, "of a recipe": 1e-4, "given": 3e-4}


def test_the_embedded_corpus_is_the_default(tmp_path):
    line = ["--output_dir", str(tmp_path)]
    assert parse_arguments("", line, embedded_corpus="python")[0].corpus == ["python"]
    with pytest.raises(SystemExit, match="--corpus is missing"):
        parse_arguments("", line)


def test_defaults_that_depend_on_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "has_fast_bf16", lambda: True)
    _, training = parse(tmp_path)
    assert training.bf16
    assert training.use_cpu != torch.cuda.is_available()
    assert not parse(tmp_path, "--bf16", "false")[1].bf16
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "run.json").write_text('{"bf16": false}')  # a resumed run keeps its precision
    assert not parse(tmp_path)[1].bf16
    line = ["--corpus", "texts.txt", f"--output-dir={tmp_path / 'run'}"]
    assert not parse_arguments("", line)[1].bf16


@pytest.mark.parametrize(("given", "size", "accumulation"), [(48, 12, 1), (5, 4, 3), (1, 1, 12)])
def test_accumulation_follows_from_the_batch(tmp_path, given, size, accumulation):
    """The largest size up to the given one that divides 12 texts."""
    _, training = parse(tmp_path, "--global_batch_size", 12, "--per_device_train_batch_size", given)
    assert (training.per_device_train_batch_size, training.gradient_accumulation_steps) == (size, accumulation)


@pytest.mark.parametrize("decay", ["cosine", "linear"])
def test_the_learning_rate_ends_at_its_floor(tmp_path, decay):
    floor = 0.1
    line = ["--decay", decay, "--min_lr_ratio", floor, "--max_steps", 100, "--warmup_steps", 10]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)

    def rates(training) -> list[float]:
        scheduler = get_scheduler(training.lr_scheduler_type, optimizer, 10, 100, training.lr_scheduler_kwargs)
        found = []
        for _ in range(120):
            optimizer.step()
            found.append(scheduler.get_last_lr()[0])
            scheduler.step()
        return found

    found = rates(parse(tmp_path, *line)[1])
    assert found[10] == pytest.approx(1.0)
    assert found[99] == pytest.approx(floor, abs=0.02)
    assert min(found[10:100]) >= floor - 1e-6
    middle = (1 + floor) / 2
    assert found[55] == pytest.approx(middle, abs=0.01)
    # Step 30 tells a straight line from a cosine.
    straight = 1 - 20 / 90 * (1 - floor)
    expected = {"linear": (straight, 1e-6), "cosine": (straight + 0.093, 0.01)}[decay]
    assert found[30] == pytest.approx(expected[0], abs=expected[1])
    early = rates(parse(tmp_path, *line, "--decay_steps", 50)[1])
    assert early[50:] == pytest.approx([floor] * 70, abs=1e-6)


def test_the_linear_decay_stays_at_its_floor(tmp_path):
    """The original's falls below zero behind the end."""
    line = ["--decay", "linear", "--min_lr_ratio", 0.1, "--max_steps", 100, "--warmup_steps", 10]
    _, training = parse(tmp_path, *line)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = get_scheduler(training.lr_scheduler_type, optimizer, 10, 100, training.lr_scheduler_kwargs)
    for _ in range(110):
        optimizer.step()
        scheduler.step()
    assert scheduler.get_last_lr()[0] == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--objectives", "token"], "expected NAME=SHARE"),
        (["--recipe", "glm-5b"], "There is no recipe glm-5b: give a YAML file or one of glm-10b"),
        (["--recipe", "glm-base", "--phase", "2"], "has 1 phases: there is no --phase 2"),
        (["--decay", "constant"], "expected cosine or linear"),
        (["--max_steps", "-1"], "--max_steps -1: give the length of a run in steps"),
        (["--gradient_accumulation_steps", "2"], "it follows from --global_batch_size"),
        (["--gradient-accumulation-steps=2"], "it follows from --global_batch_size"),
        (["--lr_scheduler_type", "linear"], "give --decay"),
        (["--model", EXAMPLES / "glm-tiny", "--hidden_size", "32"], "--hidden_size is for new models"),
        (["--export_dtype", "int8"], "expected one of float32, bfloat16, float16"),
        (["--global_batch_size", "0"], "cannot be shared among 1 processes"),
    ],
    ids=str,
)
def test_refused(tmp_path, words, message):
    with pytest.raises(SystemExit, match=message):
        parse(tmp_path, *words)


@pytest.mark.parametrize(
    ("content", "message"), [("learning_rat: 1.0e-3\n", "unknown arguments: learning_rat"), ("a: [", "is not YAML")]
)
def test_wrong_recipes_are_refused(tmp_path, content, message):
    (tmp_path / "own.yaml").write_text(content)
    with pytest.raises(SystemExit, match=message):
        parse(tmp_path, "--recipe", tmp_path / "own.yaml")


@pytest.mark.parametrize("words", [["--rec", "glm-base"], ["--num_train", "3"]], ids=str)
def test_abbreviations_are_refused(tmp_path, words, capsys):
    """The early parser, which reads --recipe, and the check for ignored arguments would miss them."""
    with pytest.raises(SystemExit):
        parse(tmp_path, *words)
    assert f"unrecognized arguments: {' '.join(words)}" in capsys.readouterr().err


@pytest.mark.parametrize("export", ["run", ".", "cache", "texts.txt", "mine"])
def test_a_finished_model_replaces_nothing_else(tmp_path, monkeypatch, export):
    monkeypatch.chdir(tmp_path)
    for name in ("run", "cache", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    (tmp_path / "texts.txt").write_text("a text")
    with pytest.raises(SystemExit, match=f"--export {export} "):
        parse(tmp_path, "--export", export, "--cache_dir", "cache")
    (tmp_path / "mine" / "training.json").write_text("{}")  # now it is an earlier model
    check_export(tmp_path / "mine", tmp_path / "run")


def test_corpora_and_phases(tmp_path):
    args, _ = parse(tmp_path, "--corpus", "a.txt=0.25", "b=c.txt=0.75", "--curriculum", "10:0.5,0.5")
    corpora, weights = read_corpora(args, args.corpus)
    assert [corpus.source for corpus in corpora] == ["a.txt", "b=c.txt"]
    assert weights == [0.25, 0.75]
    phases = read_phases(args, weights, [30, 10])
    assert [(phase.from_sample, phase.weights) for phase in phases] == [(0, (0.25, 0.75)), (480, (0.5, 0.5))]
    assert read_phases(args, None, [30, 10])[0].weights == (0.75, 0.25)


@pytest.mark.parametrize("weight", ["2", "0.5", ".5", "2.", "1e-3", "2E+1"])
def test_weights_of_corpora(tmp_path, weight):
    args, _ = parse(tmp_path, "--corpus", f"a.txt={weight}")
    (corpus,), weights = read_corpora(args, args.corpus)
    assert (corpus.source, weights) == ("a.txt", [float(weight)])


def test_a_path_may_look_like_a_weight(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "date=20240101").mkdir()
    args, _ = parse(tmp_path, "--corpus", "date=20240101")
    (corpus,), weights = read_corpora(args, args.corpus)
    assert (corpus.source, weights) == ("date=20240101", None)
    args, _ = parse(tmp_path, "--corpus", "date=20240101=3")
    (corpus,), weights = read_corpora(args, args.corpus)
    assert (corpus.source, weights) == ("date=20240101", [3.0])


@pytest.mark.parametrize("path", ["file", "file/run"])
@pytest.mark.parametrize("name", ["output_dir", "cache_dir"])
def test_a_file_in_place_of_a_folder_is_refused(tmp_path, name, path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=rf"--{name} .*{path}.* is a file, expected a folder"):
        parse_arguments("", ["--corpus", "texts.txt", f"--{name}", str(tmp_path / path)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"run\.json is not JSON: .* name another --output_dir"),
        (b"\0" * 50, r"run\.json is not JSON"),
        (b"[" * 100_000, r"run\.json is (nested|not JSON)"),
        (b"[]", r"run\.json holds a list: expected"),
        (b'{"task": {}}', "holds a run that is no pretraining"),
    ],
    ids=["empty", "zeros", "nested", "list", "another program"],
)
def test_a_damaged_description_is_refused(tmp_path, content, message):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        parse_arguments("", ["--corpus", "texts.txt", "--output_dir", str(tmp_path)])
