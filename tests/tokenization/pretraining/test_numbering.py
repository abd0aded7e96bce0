"""Texts without a number: new blanks at every use in training, the same ones in every evaluation, whoever reads."""

import dataclasses
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from accelerate import Accelerator, skip_first_batches
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import Trainer, TrainingArguments

from modeling_glm import DataCollatorForBlankInfilling
from modeling_glm.tokenization.pretraining.draws import DrawFamily
from modeling_glm.tokenization.pretraining.numbering import SampleNumbers
from tests.support.kills import forking_server

COUNT, BATCH = 13, 4
BATCHES = -(-COUNT // BATCH)


@pytest.fixture(scope="module")
def data(tokenizer) -> list[dict]:
    """Texts of 100 words, so that two draws for one text are hardly ever equal."""
    generator = np.random.default_rng(0)
    return [{"input_ids": generator.integers(20, 340, 100).tolist()} for _ in range(COUNT)]


@pytest.fixture(scope="module")
def copies(data) -> list[dict]:
    return data[:1] * COUNT


def rows_of(batches) -> list[tuple[int, ...]]:
    """Rows without their padding."""
    return [
        tuple(row[mask.bool()].tolist())
        for batch in batches
        for row, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    ]


def make_loader(tokenizer, data, workers: int = 0, **how) -> DataLoader:
    return DataLoader(data, BATCH, collate_fn=DataCollatorForBlankInfilling(tokenizer), num_workers=workers, **how)


def persisting(workers: int, persistent: bool) -> dict:
    return {"workers": workers, **({"persistent_workers": True} if persistent else {})}


LOADERS = [(0, False), (1, False), (2, False), (2, True)]


@pytest.mark.parametrize(("workers", "persistent"), LOADERS)
class TestOwnLoops:
    def test_every_use_of_a_text_in_training_has_other_blanks(self, tokenizer, copies, workers, persistent):
        """In this epoch and the next, in this worker and the others."""
        torch.manual_seed(0)  # for the seeds of the workers
        loader = make_loader(tokenizer, copies, **persisting(workers, persistent))
        rows = [row for _ in range(3) for row in rows_of(loader)]
        assert len(set(rows)) == len(rows)

    @pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
    def test_reading_without_gradients_is_an_evaluation(self, tokenizer, data, workers, persistent, off):
        loader = make_loader(tokenizer, data, **persisting(workers, persistent))
        with off():
            first, second = rows_of(loader), rows_of(loader)
        assert first == second
        assert first == rows_of([DataCollatorForBlankInfilling(tokenizer, evaluation=True)(data)])

    def test_the_caller_may_say_which_it_is(self, tokenizer, copies, workers, persistent):
        how = persisting(workers, persistent)
        same, other = (make_loader(tokenizer, copies, **how) for _ in range(2))
        same.collate_fn.evaluation, other.collate_fn.evaluation = True, False
        assert len({row for _ in range(2) for row in rows_of(same)}) == 1
        with torch.no_grad():
            assert len({row for _ in range(2) for row in rows_of(other)}) == 2 * COUNT


class Recorder(nn.Module):
    """Keep the rows that a Trainer gives, by the mode of the model."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.rows = {True: [], False: []}

    def forward(self, input_ids, attention_mask, position_ids=None, labels=None):
        self.rows[self.training] += rows_of([{"input_ids": input_ids, "attention_mask": attention_mask}])
        return {"loss": self.weight.sum(), "logits": input_ids}


class Stream(IterableDataset):
    def __init__(self, rows):
        self.rows = rows

    def __iter__(self):
        worker = get_worker_info()
        yield from self.rows if worker is None else self.rows[worker.id :: worker.num_workers]


def run(tokenizer, data, folder, checkpoint: str | None = None, **settings) -> Recorder:
    """Train three epochs with plain Trainer and one collator, and evaluate at steps 3, 6, 9, 12 and at the end."""
    arguments = TrainingArguments(
        folder,
        **{
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            "remove_unused_columns": False,
            "per_device_train_batch_size": BATCH,
            "per_device_eval_batch_size": BATCH + 1,
            "num_train_epochs": 3,
            "eval_strategy": "steps",
            "eval_steps": 3,
            "save_strategy": "no",
            "logging_strategy": "no",
            **settings,
        },
    )
    recorder = Recorder()
    sets = {"train_dataset": data, "eval_dataset": data}
    trainer = Trainer(recorder, arguments, data_collator=DataCollatorForBlankInfilling(tokenizer), **sets)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.evaluate()
    return recorder


@pytest.fixture(scope="module")
def plain_run(tokenizer, data, tmp_path_factory):
    """Return the folder of a run without workers, and its rows."""
    folder = tmp_path_factory.mktemp("run")
    return folder, run(tokenizer, data, folder, save_strategy="steps", save_steps=2).rows


def evaluations(rows: list) -> list[list]:
    return [rows[start : start + COUNT] for start in range(0, len(rows), COUNT)]


class TestTrainer:
    def test_training_draws_differ_and_evaluation_draws_do_not(self, plain_run):
        _, rows = plain_run
        assert len(set(rows[True])) == len(rows[True]) == 3 * COUNT
        every = evaluations(rows[False])
        assert len(every) == 5
        assert all(first == second for first, second in pairwise(every))

    @pytest.mark.slow
    @pytest.mark.parametrize(("workers", "persistent"), [(2, False), (2, True)])
    def test_workers_change_nothing(self, tokenizer, data, plain_run, tmp_path, workers, persistent):
        settings = {"dataloader_num_workers": workers, "dataloader_persistent_workers": persistent}
        assert run(tokenizer, data, tmp_path, **settings).rows == plain_run[1]

    @pytest.mark.slow
    def test_workers_that_are_not_forked(self, tokenizer, data, plain_run, tmp_path):
        """They get a pickled collator, as spawned ones do. The server saves them the imports."""
        forking_server()
        settings = {"dataloader_persistent_workers": True, "dataloader_multiprocessing_context": "forkserver"}
        assert run(tokenizer, data, tmp_path, dataloader_num_workers=1, **settings).rows == plain_run[1]

    @pytest.mark.parametrize(("step", "workers"), [(2, 0), (4, 0), (6, 2)])
    def test_a_resumed_run_draws_the_same(self, tokenizer, data, plain_run, tmp_path, step, workers):
        """Within an epoch, and between epochs."""
        folder, rows = plain_run
        resumed = run(tokenizer, data, tmp_path, f"{folder}/checkpoint-{step}", dataloader_num_workers=workers)
        epochs, batches = divmod(step, BATCHES)
        assert resumed.rows[True] == rows[True][epochs * COUNT + batches * BATCH :]
        assert evaluations(resumed.rows[False])[0] == evaluations(rows[False])[0]

    @pytest.mark.slow
    @pytest.mark.parametrize(("workers", "persistent"), [(0, False), (2, False), (2, True)])
    def test_streams(self, tokenizer, data, tmp_path, workers, persistent):
        settings = {"dataloader_num_workers": workers, "dataloader_persistent_workers": persistent}
        rows = run(tokenizer, Stream(data), tmp_path, max_steps=3 * BATCHES, **settings).rows
        assert len(set(rows[True])) == len(rows[True])
        assert all(first == second for first, second in pairwise(evaluations(rows[False])))

    @pytest.mark.parametrize("strategy", ["sequential", "group_by_length"])
    def test_order_of_texts(self, tokenizer, copies, tmp_path, strategy):
        """Copies of one text have other blanks each in training, and the same in evaluation."""
        rows = run(tokenizer, copies, tmp_path, train_sampling_strategy=strategy).rows
        assert len(set(rows[True])) == len(rows[True])
        assert len(set(rows[False])) == 1

    def test_datasets_of_the_library_without_unused_columns(self, tokenizer, data, plain_run, tmp_path):
        """Trainer wraps the collator to remove columns."""
        rows = run(tokenizer, [{**row, "unused": 1} for row in data], tmp_path, remove_unused_columns=True).rows
        assert rows == plain_run[1]


class TestLoopsOfAccelerate:
    def test_epochs_differ_and_a_resumed_loop_draws_the_same(self, tokenizer, data):
        loader = Accelerator(cpu=True).prepare(make_loader(tokenizer, data, shuffle=True))
        first, second = rows_of(loader), rows_of(loader)
        assert not set(first) & set(second)
        again = Accelerator(cpu=True).prepare(make_loader(tokenizer, data))
        whole = rows_of(again)
        again.set_epoch(0)
        assert rows_of(skip_first_batches(again, 2)) == whole[2 * BATCH :]

    def test_a_loader_without_epochs_draws_further(self, tokenizer, copies):
        """`skip_first_batches` of a stream that accelerate did not prepare."""
        loader = skip_first_batches(make_loader(tokenizer, Stream(copies)), 1)
        rows = [row for _ in range(2) for row in rows_of(loader)]
        assert len(set(rows)) == len(rows) == 2 * (COUNT - BATCH)

    def test_a_loop_that_stops_early_draws_further(self, tokenizer, copies):
        loader = Accelerator(cpu=True).prepare(make_loader(tokenizer, copies))
        rows = []
        for _ in range(2):
            rows += rows_of([next(iter(loader))])
        assert len(set(rows)) == 2 * BATCH

    def test_two_loaders_of_one_collator_do_not_disturb_each_other(self, tokenizer, data, copies):
        collator = DataCollatorForBlankInfilling(tokenizer)
        texts, others = (
            Accelerator(cpu=True).prepare(DataLoader(rows, BATCH, collate_fn=collator)) for rows in (data, copies)
        )
        expected = rows_of(Accelerator(cpu=True).prepare(make_loader(tokenizer, data)))
        together = list(zip(texts, others, strict=True))
        assert rows_of(batch for batch, _ in together) == expected
        plain = rows_of([collator(copies[:1])])  # a call outside of all loaders
        assert plain == rows_of([DataCollatorForBlankInfilling(tokenizer)(copies[:1])])


def test_numbers_of_the_caller_come_first(tokenizer, data):
    """They decide in training and evaluation, and count nothing."""
    collator = DataCollatorForBlankInfilling(tokenizer)
    numbered = [{**row, "sample_id": number} for number, row in enumerate(data)]
    expected = rows_of([collator(numbered)])
    for evaluation in (True, False):
        told = dataclasses.replace(collator, evaluation=evaluation)
        assert rows_of([told(numbered)]) == expected
    assert rows_of([collator(data)]) == expected  # counted from 0, as sample_id counts here


def test_processes_that_count_alike_draw_differently(data, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    first, second = (np.array(row["input_ids"]) for row in data[:2])
    numbers = [SampleNumbers().open_batch().number(0, ids) for ids in (first, first, second)]
    assert numbers[0] == numbers[1]
    assert numbers[0].number != numbers[2].number
    assert {number.family for number in numbers} == {DrawFamily.TRAINING}


def test_numbers_fit_into_63_bits_and_depend_on_all_of_the_text(data):
    batch = SampleNumbers().open_batch(evaluation=True)
    texts = [np.array(row["input_ids"]) for row in data] + [np.array(data[0]["input_ids"][:-1])]
    numbers = [batch.number(0, ids).number for ids in texts]
    assert len(set(numbers)) == len(texts)
    assert all(0 <= number < 2**63 for number in numbers)


def test_a_pickled_collator_counts_further(tokenizer, data):
    collator = DataCollatorForBlankInfilling(tokenizer)
    collator(data)
    copied = pickle.loads(pickle.dumps(collator))
    assert rows_of([copied(data)]) == rows_of([collator(data)])
