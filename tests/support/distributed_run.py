"""
A short pretraining run that tests start in one or several processes: `distributed_run.py TOKENIZER_FOLDER RUN_FOLDER [--option value]`. The losses go to RUN_FOLDER/losses.json.
"""

import argparse
import json
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset
from transformers import TrainerCallback, TrainingArguments, set_seed

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration, GLMTokenizer
from modeling_glm.runs.checkpoints import SafeCheckpointTrainer, disconnect, resume_point


class NumberedTexts(Dataset):
    """Texts of random words and lengths, from sample number `start` on."""

    def __init__(self, words: range, start: int, stop: int):
        self.words, self.start, self.stop = words, start, stop

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: int) -> dict:
        number = self.start + index
        generator = np.random.default_rng(number)
        ids = generator.integers(self.words.start, self.words.stop, generator.integers(6, 30))
        return {"input_ids": ids.tolist(), "sample_id": number}


class FullDisk(TrainerCallback):
    """After the first checkpoint no file may grow beyond a few kilobytes."""

    def __init__(self, process: int | None):
        self.process = process

    def on_save(self, args, state, control, **kwargs):
        if self.process in (None, args.process_index):
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


class ShardedOnCPU(SafeCheckpointTrainer):
    """Accelerate shards on accelerators only: here it is told to go the same way on the CPU."""

    def create_accelerator_and_postprocess(self):
        from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

        super().create_accelerator_and_postprocess()
        state = self.accelerator.state
        state.distributed_type, state.fsdp_plugin = DistributedType.FSDP, FullyShardedDataParallelPlugin()
        if state.mixed_precision != "no":
            state.fsdp_plugin.set_mixed_precision(state.mixed_precision)
        self.is_fsdp_enabled = True

    def training_step(self, model, inputs, *args, **kwargs):
        if self.state.global_step == 0:
            weight = model.get_input_embeddings().weight
            print(f"process {self.args.process_index} holds {weight.to_local().shape[0]} of {weight.shape[0]} rows")
        return super().training_step(model, inputs, *args, **kwargs)


def read_options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("tokenizer")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--stop_at", type=int, help="interrupt the run after this step")
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--accumulation", type=int, default=1)
    parser.add_argument("--save_steps", type=int, default=2)
    parser.add_argument("--logging_steps", type=int, default=1)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--full_disk", action="store_true")
    parser.add_argument("--full_disk_of", type=int, help="process whose disk is full")
    parser.add_argument("--sharded", action="store_true")
    return parser.parse_args(words)


def train(options: argparse.Namespace):
    settings = TrainingArguments(
        options.folder,
        max_steps=options.steps,
        per_device_train_batch_size=options.batch_size,
        gradient_accumulation_steps=options.accumulation,
        learning_rate=1e-2,
        save_steps=options.save_steps,
        save_total_limit=options.limit,
        logging_steps=options.logging_steps,
        ignore_data_skip=True,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
    )
    start = resume_point(options.folder)
    tokenizer = GLMTokenizer.from_pretrained(options.tokenizer)
    set_seed(1)
    config = GLMConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        embedding_dropout=options.dropout,
        attention_dropout=options.dropout,
        hidden_dropout=options.dropout,
        **tokenizer.special_token_ids,
    )
    texts = NumberedTexts(range(len(tokenizer) // 2, len(tokenizer)), start.samples_seen, 10_000)
    trainer = (ShardedOnCPU if options.sharded else SafeCheckpointTrainer)(
        GLMForConditionalGeneration(config),
        settings,
        train_dataset=texts,
        data_collator=DataCollatorForBlankInfilling(tokenizer, max_length=60),
    )
    if options.full_disk:
        trainer.add_callback(FullDisk(options.full_disk_of))
    if options.stop_at:
        trainer.add_callback(StopAt(options.stop_at))
    trainer.train(resume_from_checkpoint=start.checkpoint)
    if trainer.is_world_process_zero():
        losses = {entry["step"]: entry["loss"] for entry in trainer.state.log_history if "loss" in entry}
        (options.folder / "losses.json").write_text(json.dumps(losses))
        print(f"started at sample {start.samples_seen}, ended at {trainer.samples_seen}")


class StopAt(TrainerCallback):
    def __init__(self, step: int):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step
        return control


def main(words: Sequence[str] | None = None):
    train(read_options(words))
    disconnect()


if __name__ == "__main__":
    main()
