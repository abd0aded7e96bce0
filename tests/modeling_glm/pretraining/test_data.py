"""The data of a run: embedded corpora, the vocabulary, the texts to validate on."""

import json
from types import SimpleNamespace

import pytest

from modeling_glm import GLMTokenizer, PatternVerbalizer
from modeling_glm.pretraining.data import (
    VOCABULARY_FILE,
    EmbeddedCorpora,
    TextSplits,
    prepare_data,
    prepare_tokenizer,
)
from modeling_glm.pretraining.documents import Corpus, read_documents
from modeling_glm.pretraining.settings import parse_arguments, read_phases, task_order

SPLITS = TextSplits(
    train=[f"Text {n} is here." for n in range(30)], held_out=["One is held out.", "Another.\nOf two lines."]
)


@pytest.fixture
def embedded() -> EmbeddedCorpora:
    return EmbeddedCorpora(builders={"numbers": lambda: SPLITS}, describe=lambda names: "", measure=lambda *_: {})


def parse(folder, *words: object):
    line = ["--output_dir", folder / "run", "--cache_dir", folder / "cache", "--vocab_size", 300, *words]
    return parse_arguments("", [str(word) for word in line], embedded_corpus="numbers")


def test_an_embedded_corpus_becomes_a_file(embedded, tmp_path):
    corpora = [Corpus(source="numbers", text_column="body", weight=0.5), Corpus(source="other.txt")]
    located, other = embedded.locate(corpora, tmp_path)
    assert other is corpora[1]
    assert located.weight == 0.5
    assert list(read_documents(located)) == SPLITS.train
    held_out = embedded.locate(corpora, tmp_path, held_out=True)[0]
    assert list(read_documents(held_out)) == SPLITS.held_out


def test_an_unchanged_file_stays(embedded, tmp_path):
    """Its time is part of the name of the tokenized corpus."""
    corpora = [Corpus(source="numbers")]
    before = (tmp_path / "numbers" / "train.jsonl") if embedded.locate(corpora, tmp_path) else None
    time = before.stat().st_mtime_ns
    embedded.locate(corpora, tmp_path)
    assert before.stat().st_mtime_ns == time


def test_the_split_of_an_embedded_corpus_is_its_own(embedded, tmp_path):
    args, training = parse(tmp_path)
    tokenizer = prepare_tokenizer(args, training, embedded)
    data = prepare_data(args, training, tokenizer, embedded)
    assert data.describe()["train_texts"] == 30
    texts = [tokenizer.decode(text["input_ids"], skip_special_tokens=True).strip() for text in data.validation]
    assert texts == list(SPLITS.held_out)
    assert [text["sample_id"] for text in data.validation] == [0, 1]
    args.shares = {"token": 0.5, "document": 0.5}
    sets = data.validation_sets(args)
    assert list(sets) == ["token", "document"]
    assert [text["objective"] for text in sets["document"]] == ["document"] * 2
    assert sets["token"][0]["input_ids"] == sets["document"][0]["input_ids"]


def test_tasks_do_not_change_what_is_validated(embedded, tmp_path):
    """The texts and their blanks stay, and the examples of the tasks are a set of their own."""
    args, training = parse(tmp_path, "--max_steps", 10, "--global_batch_size", 4)
    tokenizer = prepare_tokenizer(args, training, embedded)
    plain = prepare_data(args, training, tokenizer, embedded)
    rows = [{"text": f"Text {n}", "label": "ab"[n % 2]} for n in range(20)]
    task = PatternVerbalizer("{text|shorten} [MASK]", {"a": "One", "b": "Two"})
    tasks = {"toy": lambda: SimpleNamespace(task=task, train=rows, validation=rows[:3])}
    args.multi_task, args.multi_task_ratio = ["toy"], 0.5
    data = prepare_data(args, training, tokenizer, embedded, tasks)
    sets = data.validation_sets(args)
    assert len(sets.pop("tasks")) == 3
    assert sets == plain.validation_sets(args)
    total = training.max_steps * args.global_batch_size
    stream = data.stream(args, training, 0)
    assert len(stream) == total
    examples = sum("labels" in row for row in stream.__getitems__(range(total)))
    assert examples == total - task_order(args, training).count_texts(total)


def test_a_curriculum_counts_steps_of_texts_and_tasks(embedded, tmp_path):
    args, training = parse(tmp_path, "--curriculum", "100:1.0", "--global_batch_size", 4)
    args.multi_task, args.multi_task_ratio = ["toy"], 0.5
    order = task_order(args, training)
    _, phase = read_phases(args, [1.0], [30], order)
    assert phase.from_sample == order.count_texts(400)
    assert 120 < phase.from_sample < 280
    assert read_phases(args, [1.0], [30])[1].from_sample == 400


def test_a_trained_vocabulary_is_kept_until_its_settings_change(embedded, tmp_path):
    args, training = parse(tmp_path)
    first = prepare_tokenizer(args, training, embedded)
    written = (tmp_path / "run" / "tokenizer.json").stat().st_mtime_ns
    assert prepare_tokenizer(args, training, embedded).get_vocab() == first.get_vocab()
    assert (tmp_path / "run" / "tokenizer.json").stat().st_mtime_ns == written
    args.vocab_size = 280
    assert len(prepare_tokenizer(args, training, embedded)) == 280 < len(first)
    assert len(GLMTokenizer.from_pretrained(tmp_path / "run")) == 280
    (tmp_path / "run" / "checkpoint-1").mkdir()
    args.vocab_size = 290
    with pytest.raises(ValueError, match="trained otherwise, vocab_size was 280 and is 290"):
        prepare_tokenizer(args, training, embedded)
    (tmp_path / "run" / VOCABULARY_FILE).unlink()  # of an earlier version
    assert len(prepare_tokenizer(args, training, embedded)) == 280


def test_a_corpus_that_has_moved_is_the_same(embedded, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "texts.txt").write_text("Some words are here.\n" * 20)
        args, training = parse(tmp_path, "--corpus", tmp_path / folder / "texts.txt")
        prepare_tokenizer(args, training, embedded)
        (tmp_path / "run" / "checkpoint-1").mkdir(exist_ok=True)
    args, training = parse(tmp_path, "--corpus", "numbers")
    with pytest.raises(ValueError, match="corpora was"):
        prepare_tokenizer(args, training, embedded)


def test_what_is_left_of_a_run(embedded, tmp_path):
    args, training = parse(tmp_path, "--max_steps", 10, "--global_batch_size", 4)
    data = prepare_data(args, training, prepare_tokenizer(args, training, embedded), embedded)
    assert len(data.stream(args, training, 0)) == 40
    rest = data.stream(args, training, 36)
    assert [rest[number]["sample_id"] for number in range(4)] == [36, 37, 38, 39]
    assert len(data.stream(args, training, 44)) == 0


def test_validation_texts_are_spread_over_the_corpora(embedded, tmp_path):
    for name, count in (("a", 40), ("b", 10)):
        lines = (json.dumps({"text": f"{name} {n}"}) + "\n" for n in range(count))
        (tmp_path / f"{name}.jsonl").write_text("".join(lines))
    words = ["--validation", tmp_path / "a.jsonl", tmp_path / "b.jsonl", "--validation_texts", 8]
    args, training = parse(tmp_path, *words)
    tokenizer = prepare_tokenizer(args, training, embedded)
    data = prepare_data(args, training, tokenizer, embedded)
    texts = [tokenizer.decode(text["input_ids"], skip_special_tokens=True).strip() for text in data.validation]
    assert texts == ["a 0", "a 10", "a 20", "a 30", "b 0", "b 3", "b 6", "b 9"]


def test_the_vocabulary_sees_all_corpora_in_turn(embedded, tmp_path):
    """With few texts for the vocabulary, a large first corpus does not crowd out the second."""
    (tmp_path / "a.txt").write_text("\n".join(["plain words"] * 50))
    (tmp_path / "b.txt").write_text("\n".join(["qqqq"] * 5))
    words = ["--corpus", tmp_path / "a.txt", tmp_path / "b.txt", "--vocabulary_texts", 6]
    args, training = parse(tmp_path, *words)
    tokenizer = prepare_tokenizer(args, training, embedded)
    assert len(tokenizer("qqqq", add_special_tokens=False)["input_ids"]) == 1
