"""Run a pretraining from its arguments to the finished model."""

from contextlib import ExitStack
from pathlib import Path

from transformers import TrainerState, set_seed
from transformers.trainer import TRAINER_STATE_NAME

from ..configuration_glm import GLMConfig
from ..modeling_glm import GLMForConditionalGeneration
from ..runs.checkpoints import ResumePoint, load_weights, resume_point
from ..runs.lock import hold_run
from ..tokenization import DataCollatorForBlankInfilling, GLMTokenizer
from .arguments import PretrainingArguments, RunArguments, collator_options
from .data import EmbeddedCorpora, prepare_data, prepare_tokenizer
from .identity import check_run, describe_run
from .report import Stopwatch, describe_tasks, export
from .tasks import EmbeddedTasks
from .trainer import PretrainingTrainer

VOCABULARY_MULTIPLE = 128  # the embeddings have a multiple of this many rows, as in the originals


def pretrain(
    args: RunArguments,
    training: PretrainingArguments,
    embedded: EmbeddedCorpora | None = None,
    embedded_tasks: EmbeddedTasks | None = None,
):
    """
    Train a GLM and write it to `args.export`. A run that was interrupted resumes from its last whole checkpoint.

    Call `modeling_glm.runs.checkpoints.disconnect` afterwards.

    Args:
        args, training: The result of `settings.parse_arguments`.
        embedded: Corpora that the program brings along.
        embedded_tasks: Cloze tasks that it brings along for multi-task training, by name: functions that return a
            `ClozeData`.

    Raises:
        SystemExit: For corpora, tasks, models and settings that cannot be used, and a folder with another run, or one that
            another process uses.
        RuntimeError: If a checkpoint cannot be written. The earlier ones stay.
    """
    set_seed(training.seed)
    with ExitStack() as stack:
        try:
            stack.enter_context(hold_run(training.folder))
            start = resume_point(training.folder)
            tokenizer = prepare_tokenizer(args, training, embedded)
            collator = DataCollatorForBlankInfilling(
                tokenizer, objectives=args.shares, seed=training.seed, **collator_options(args)
            )
            data = prepare_data(args, training, tokenizer, embedded, embedded_tasks)
        except (ValueError, FileNotFoundError) as error:
            raise SystemExit(str(error)) from error
        described = data.describe()
        model = build_model(args, tokenizer)
        with training.main_process_first(local=False, desc="comparison"):
            if training.process_index == 0:
                run = describe_run(args, training, tokenizer, model.config, data.train, data.tasks)
                check_run(training.folder, run, start.checkpoint is not None)
        stream = data.stream(args, training, start.samples_seen)
        watch = Stopwatch(training.folder / "seconds.txt")
        trainer = PretrainingTrainer(
            model,
            training,
            peak=None if args.peak_tflops is None else args.peak_tflops * 1e12,
            muon_learning_rate=args.muon_learning_rate,
            data_collator=collator,
            train_dataset=stream,
            eval_dataset=data.validation_sets(args),
            processing_class=tokenizer,
            callbacks=[watch],
        )
        if trainer.is_world_process_zero():
            print(
                f"{model.num_parameters():,} parameters; {described['train_texts']:,} texts with "
                f"{described['train_tokens']:,} tokens to train on; `mfu` in the log is a share of "
                f"{trainer.peak / 1e12:.3g} TFLOP/s per device"
            )
            if data.tasks is not None:
                print(describe_tasks(args, data.tasks))
            if start.checkpoint:
                print(f"resuming from {start.checkpoint}, sample {start.samples_seen:,}")
        if len(stream):
            trainer.train(resume_from_checkpoint=start.checkpoint)
        else:
            _load_finished(trainer, start)
        export(args, training, trainer, tokenizer, described, watch.total, embedded)


def _load_finished(trainer: PretrainingTrainer, start: ResumePoint):
    """Load the weights and the log of a run that has ended, as `Trainer.train` leaves them."""
    if start.checkpoint is None:
        return
    trainer.state = TrainerState.load_from_json(str(Path(start.checkpoint) / TRAINER_STATE_NAME))
    best = trainer.state.best_model_checkpoint if trainer.args.load_best_model_at_end else None
    load_weights(trainer.model, best if best and Path(best).is_dir() else start.checkpoint)


def build_model(args: RunArguments, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    """
    Load the model to train further, or build a new one with random weights.

    Raises:
        SystemExit: For a vocabulary larger than that of the model, and texts longer than its position table.
    """
    model = _load_model(args, args.model, tokenizer) if args.model is not None else _build_new(args, tokenizer)
    if args.max_length > model.config.max_position_embeddings:
        raise SystemExit(
            f"--max_length {args.max_length} is more than the {model.config.max_position_embeddings} rows of the position "
            "table: lower it, or train a new model with --max_position_embeddings."
        )
    tokenizer.model_max_length = model.config.max_position_embeddings  # whatever model the vocabulary comes from
    return model


def _load_model(args: RunArguments, name: str, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    model = GLMForConditionalGeneration.from_pretrained(
        name, dtype="float32", attn_implementation=args.attn_implementation
    )
    if len(tokenizer) > model.config.vocab_size:
        raise SystemExit(
            f"The vocabulary has {len(tokenizer)} tokens, {name} has {model.config.vocab_size}: give the vocabulary of "
            "the model, or leave out --tokenizer."
        )
    return model


def _build_new(args: RunArguments, tokenizer: GLMTokenizer) -> GLMForConditionalGeneration:
    dropout = args.dropout if args.dropout is not None else (0.1 if args.preset else 0.0)
    settings = {
        "vocab_size": -(-len(tokenizer) // VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE,
        "embedding_dropout": dropout,
        "attention_dropout": dropout,
        "hidden_dropout": dropout,
        "attn_implementation": args.attn_implementation,
        **tokenizer.special_token_ids,
    }
    if args.max_position_embeddings or not args.preset:
        settings["max_position_embeddings"] = args.max_position_embeddings or args.max_length
    if args.preset:
        return GLMForConditionalGeneration(GLMConfig.from_preset(args.preset, **settings))
    shape = {name: getattr(args, name) for name in ("hidden_size", "num_hidden_layers", "num_attention_heads")}
    return GLMForConditionalGeneration(GLMConfig(**shape, **settings))
