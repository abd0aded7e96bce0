#!/usr/bin/env python
"""
Pretrains a GLM by autoregressive blank infilling (paper section 2), from text files to a folder that `from_pretrained`
reads, on one CPU, one GPU, or many machines.

Without arguments it trains the embedded checkpoint anew, on text that ships with Python (see corpus.py); `make tiny` puts
that into `examples/glm-tiny`. It can be stopped at any time: started again with the same arguments, in as many processes as you like, it
goes on from the last whole checkpoint, at the sample where that was.

    python examples/03_pretrain.py
    python examples/03_pretrain.py --corpus my_texts/ --output_dir runs/mine --vocab_size 16000 --max_steps 20000
    python examples/03_pretrain.py --model THUDM/glm-large --corpus wiki.jsonl=0.7 books/*.parquet=0.3 --output_dir runs/more
    accelerate launch --config_file examples/accelerate/fsdp2.yaml examples/03_pretrain.py \\
        --recipe glm-10b --corpus /data/pile --output_dir /shared/glm-10b --per_device_train_batch_size 8

docs/pretraining.md tells more. Arguments of Transformers' TrainingArguments are understood, too.
"""

from pathlib import Path

from pretrain_arguments import Arguments
from pretrain_checkpoints import disconnect, load_weights, resume_point
from pretrain_data import prepare_data, prepare_tokenizer
from pretrain_identity import check_run, describe_run
from pretrain_manifest import CheckpointError
from pretrain_report import Stopwatch, export
from pretrain_settings import COLLATOR_OPTIONS, parse_arguments
from pretrain_trainer import PretrainingTrainer
from transformers import TrainerState, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from modeling_glm import DataCollatorForBlankInfilling, GLMConfig, GLMForConditionalGeneration, GLMTokenizer

VOCABULARY_MULTIPLE = 128  # rows of the embeddings are rounded up to it, as in the originals


def build_model(args: Arguments, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    """The model to go on from, or a new one of random weights."""
    special = tokenizer.special_token_ids
    if args.model is not None:
        model = GLMForConditionalGeneration.from_pretrained(
            args.model, dtype="float32", attn_implementation=args.attn_implementation
        )
        if len(tokenizer) > model.config.vocab_size:
            raise SystemExit(
                f"The vocabulary has {len(tokenizer)} tokens, {args.model} has {model.config.vocab_size}: give the "
                "vocabulary of the model, or leave --tokenizer out."
            )
    else:
        dropout = args.dropout if args.dropout is not None else (0.1 if args.preset else 0.0)
        settings = {
            "vocab_size": -(-len(tokenizer) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE,
            "embedding_dropout": dropout,
            "attention_dropout": dropout,
            "hidden_dropout": dropout,
            "attn_implementation": args.attn_implementation,
            **special,
        }
        if args.max_position_embeddings or not args.preset:
            settings["max_position_embeddings"] = args.max_position_embeddings or args.max_length
        if args.preset:
            config = GLMConfig.from_preset(args.preset, **settings)
        else:
            config = GLMConfig(
                hidden_size=args.hidden_size,
                num_hidden_layers=args.num_hidden_layers,
                num_attention_heads=args.num_attention_heads,
                **settings,
            )
        model = GLMForConditionalGeneration(config)
    if args.max_length > model.config.max_position_embeddings:
        raise SystemExit(
            f"--max_length {args.max_length} is more than the {model.config.max_position_embeddings} rows of the position "
            "table: lower it, or train a new model with --max_position_embeddings."
        )
    return model


def main():
    args, training = parse_arguments(__doc__)
    set_seed(training.seed)
    try:
        start = resume_point(training.output_dir)
        tokenizer = prepare_tokenizer(args, training)
        collator = DataCollatorForBlankInfilling(
            tokenizer,
            objectives=args.objectives,
            seed=training.seed,
            **{name: getattr(args, name) for name in COLLATOR_OPTIONS},
        )
        data = prepare_data(args, training, tokenizer)
    except (ValueError, FileNotFoundError, CheckpointError) as error:
        raise SystemExit(str(error)) from error
    described = data.describe()
    model = build_model(args, tokenizer)
    with training.main_process_first(local=False, desc="comparison"):
        if training.process_index == 0:
            run = describe_run(args, training, tokenizer, model.config, data.train)
            check_run(Path(training.output_dir), run, start.checkpoint is not None)
    trainer = PretrainingTrainer(
        model,
        training,
        peak=None if args.peak_tflops is None else args.peak_tflops * 1e12,
        data_collator=collator,
        train_dataset=data.stream(args, training, start.samples_seen),
        eval_dataset=data.validation_sets(list(args.objectives)),
        processing_class=tokenizer,
    )
    watch = Stopwatch(Path(training.output_dir) / "seconds.txt")
    trainer.add_callback(watch)
    if trainer.is_world_process_zero():
        print(
            f"{model.num_parameters():,} parameters; {described['train_texts']:,} texts with {described['train_tokens']:,} "
            f"tokens to train on; `mfu` in the log is a share of {trainer.peak / 1e12:.3g} TFLOP/s per device"
        )
        if start.checkpoint:
            print(f"going on from {start.checkpoint}, sample {start.samples_seen:,}")
    if len(trainer.train_dataset):
        trainer.train(resume_from_checkpoint=start.checkpoint)
    else:  # nothing is left but to write it out
        load_weights(trainer.model, start.checkpoint)
        trainer.state = TrainerState.load_from_json(Path(start.checkpoint) / TRAINER_STATE_NAME)
    export(args, training, trainer, tokenizer, described, watch.total)


if __name__ == "__main__":
    main()
    disconnect()
