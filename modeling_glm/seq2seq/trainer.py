"""Train and evaluate from source to target: predictions are the answers alone, and targets never reach `generate`."""

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from pathlib import Path
from typing import Any

import torch
from torch.distributed.fsdp import FullyShardedDataParallel
from torch.utils.data import SequentialSampler
from transformers import (
    PreTrainedTokenizerBase,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_utils import PredictionOutput

from ..hub.trainer import HubTrainerMixin
from ..runs.checkpoints import SafeCheckpointTrainer
from ..tokenization import DataCollatorForInfillingSeq2Seq, GLMTokenizer
from ..tokenization.patterns.values import is_missing
from ..utils.files import make_folder
from ..utils.inference import require_class
from .generation import choose_limits, count_returned, generate_pieces

RIGHT_COLLATOR = DataCollatorForInfillingSeq2Seq.__name__
# What the batches of `evaluation_batch` have beside those of training.
PROMPTS, PROMPT_MASK, TARGETS = "prompt_ids", "prompt_attention_mask", "target_ids"


class GLMSeq2SeqTrainer(HubTrainerMixin, SafeCheckpointTrainer, Seq2SeqTrainer):
    """
    Train a GLM from sources to targets, and evaluate it with what it generates.

    The arguments are those of `Seq2SeqTrainer`, and `args` are `Seq2SeqTrainingArguments`. The library's class hands the
    row with its target to `generate` and returns the source with it, because it expects an encoder. Here:

    - The loss comes from the rows of training, and `generate` sees the prompts alone (`collator.prompts`).
    - `predictions` are (rows, length) int64: `<sop> answer <sop> answer <eop>`, with -100 behind the end. `label_ids` are
      the targets in the same form. `tokenizer.decode_blanks` reads both. For `batch_decode(...,
      skip_special_tokens=True)` replace -100 first. Rows come in the order of the dataset, once each, from any number of
      processes.
    - `include_for_metrics=["inputs"]` gives the prompts, without a target.
    - Every checkpoint and model has the settings of the collator beside it, and checkpoints are whole or absent (see
      `SafeCheckpointTrainer`). What is pushed to the hub has code and card (see `HubTrainerMixin`).
    - Label smoothing is computed from the labelled tokens alone, which changes only its speed.

    Keyword arguments of `evaluate` and `predict` go to `generate`, as in `Seq2SeqTrainer`. `generation_max_length` (and
    `max_length`) counts the tokens of a prediction from `<sop>` to `<eop>`, as for encoder-decoder models, and not the
    prompt. Without a limit of any kind it is the `max_target_length` of the collator; without that too, `generate` writes
    up to 64 tokens into each blank.

    Example:

    ```python
    >>> collator = DataCollatorForInfillingSeq2Seq(tokenizer, max_source_length=256, max_target_length=64)
    >>> arguments = Seq2SeqTrainingArguments("runs/titles", predict_with_generate=True, generation_num_beams=4)
    >>> trainer = GLMSeq2SeqTrainer(model, arguments, collator, train_dataset=rows, eval_dataset=others)
    >>> trainer.train()
    >>> tokenizer.decode_blanks(trainer.predict(others).predictions)
    ```

    Args:
        data_collator: A `DataCollatorForInfillingSeq2Seq`. By default one for rows with "source" and "target" is made
            from `processing_class`. Without `predict_with_generate` others work as well.
        args, kwargs: As in `Seq2SeqTrainer`. `args.remove_unused_columns` is turned off for our collator, because it
            reads columns that the model does not know.

    Raises:
        ValueError: For another collator with `predict_with_generate`, for a model other than a
            `GLMForConditionalGeneration`, and for arguments other than `Seq2SeqTrainingArguments`. From `evaluate` and
            `predict`, for `num_return_sequences` above 1.
    """

    args: Seq2SeqTrainingArguments

    def __init__(
        self,
        model: Any = None,
        args: Any = None,
        data_collator: Callable | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: Any = None,
        **kwargs: Any,
    ):
        if not hasattr(args, "predict_with_generate"):
            raise ValueError(f"args is a {type(args).__name__}: expected Seq2SeqTrainingArguments(output_dir, ...).")
        if data_collator is None and isinstance(processing_class, GLMTokenizer):
            data_collator = DataCollatorForInfillingSeq2Seq(processing_class)
        if is_for_prompts(data_collator):
            args.remove_unused_columns = False
            processing_class = processing_class or data_collator.tokenizer  # type: ignore[union-attr]
        elif args.predict_with_generate:
            raise ValueError(
                f"predict_with_generate=True needs data_collator={RIGHT_COLLATOR}(tokenizer, ...), whose batches keep the "
                f"prompt and the target apart, but data_collator is {_describe(data_collator)}: with it, generate "
                "would see the target."
            )
        super().__init__(model, args, data_collator, train_dataset, eval_dataset, processing_class, **kwargs)
        require_class(self.model, "GLMForConditionalGeneration")
        self.add_callback(CollatorCallback(self))
        # The library's smoother needs the logits of all tokens. Our model smooths those of the labelled ones.
        self._smoothing, self.label_smoother = args.label_smoothing_factor, None

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        if self._smoothing and self.compute_loss_func is None and "labels" in inputs:
            inputs = {**inputs, "label_smoothing": self._smoothing}
        return super().compute_loss(model, inputs, *args, **kwargs)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """
        Measure the loss, and `compute_metrics` of what the model generates.

        As in `Seq2SeqTrainer`, nothing is generated without `compute_metrics`.

        Args:
            eval_dataset, ignore_keys, metric_key_prefix: As in `Trainer.evaluate`. A dict of datasets is measured one by
                one, each with the same `gen_kwargs`.
            gen_kwargs: Arguments of `generate`, before those of `args` and of generation configs.
        """
        self._check_generation(gen_kwargs)
        datasets = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(datasets, dict):
            # Trainer evaluates each alone as well, but without the arguments of `generate`.
            metrics: dict[str, float] = {}
            for name, dataset in datasets.items():
                prefix = f"{metric_key_prefix}_{name}"
                part: Any = name if eval_dataset is None else dataset  # a name keeps the workers of its loader
                metrics |= super().evaluate(part, ignore_keys, prefix, **gen_kwargs)
            return metrics
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix, **gen_kwargs)

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "test",
        **gen_kwargs: Any,
    ) -> PredictionOutput:
        """
        Generate the answers of all rows. They need no target; without one `label_ids` is None and nothing is measured.

        Args:
            test_dataset, ignore_keys, metric_key_prefix: As in `Trainer.predict`.
            gen_kwargs: Arguments of `generate`, before those of `args` and of generation configs.

        Returns:
            `predictions` and `label_ids`, (rows, length) int64 arrays with -100 behind the end, and `metrics`.
        """
        self._check_generation(gen_kwargs)
        return super().predict(test_dataset, ignore_keys, metric_key_prefix, **gen_kwargs)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        # Seq2SeqTrainer keeps the rows that fill up the last batches of several processes, which are there twice.
        self.gather_function = self.accelerator.gather_for_metrics
        return super().evaluation_loop(*args, **kwargs)

    def prediction_step(
        self,
        model: Any,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> tuple[Any, Any, Any]:
        """
        Compute the loss of a batch of `evaluation_batch` from its training rows, and generate from its prompts.

        Returns:
            The loss, the predictions and the targets; both are (rows, length) int64 with -100 behind the end.
        """
        if PROMPTS not in inputs:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        loss = None
        learned = {name: inputs[name] for name in inputs if name not in (PROMPTS, PROMPT_MASK, TARGETS)}
        if learned:
            if self.compute_loss_func is None:
                learned["logits_to_keep"] = 1  # nobody reads them
            loss, _, _ = Trainer.prediction_step(self, model, learned, True, ignore_keys)
        if prediction_loss_only:
            return loss, None, None
        arguments = self._choose_arguments(gen_kwargs or getattr(self, "_gen_kwargs", {}))
        prompts = self._prepare_inputs(
            {name: inputs[name] for name in (PROMPTS, PROMPT_MASK, TARGETS) if name in inputs}
        )
        with self._whole_parameters():
            predictions = generate_pieces(self.model, prompts[PROMPTS], prompts[PROMPT_MASK], **arguments).pieces
        # The inputs of metrics are the sources, as they are for a model with an encoder. Trainer reads them behind this step.
        inputs["input_ids"] = inputs[PROMPTS]
        return loss, predictions, prompts.get(TARGETS)

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Save the model with its tokenizer and the settings of the collator."""
        if self.args.should_save:
            self.save_collator(output_dir or str(self.args.output_dir))  # first, because saving the model may push it
        super().save_model(output_dir, _internal_call)

    def save_collator(self, folder: str | os.PathLike) -> None:
        """Write the settings of the collator to a folder. Another collator than ours has none."""
        if isinstance(self.data_collator, DataCollatorForInfillingSeq2Seq):
            make_folder(Path(folder))
            self.data_collator.save_pretrained(folder)

    def get_eval_dataloader(self, eval_dataset: Any = None) -> Any:
        with self._collate_for_evaluation():
            return super().get_eval_dataloader(eval_dataset)

    def get_test_dataloader(self, test_dataset: Any) -> Any:
        with self._collate_for_evaluation():
            return super().get_test_dataloader(test_dataset)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        try:
            return super()._get_train_sampler(train_dataset)
        except ValueError as error:
            if "infer lengths" not in str(error) or not is_for_prompts(self.data_collator):
                raise
            raise ValueError(
                'train_sampling_strategy="group_by_length" needs encoded rows, and the training rows are texts: give '
                "dataset.map(data_collator.encode), or a list of collator.encode(row)."
            ) from error

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        # With train_sampling_strategy="group_by_length" Trainer would sort the predictions by length.
        if self.args.train_sampling_strategy == "group_by_length" and isinstance(eval_dataset, Sized):
            return SequentialSampler(eval_dataset)
        return super()._get_eval_sampler(eval_dataset)

    @contextlib.contextmanager
    def _collate_for_evaluation(self) -> Iterator[None]:
        """Make data loaders yield batches for evaluation within this context."""
        collator = self.data_collator
        if is_for_prompts(collator):
            self.data_collator = EvaluationBatches(collator, self.args.predict_with_generate)
        try:
            yield
        finally:
            self.data_collator = collator

    @contextlib.contextmanager
    def _whole_parameters(self) -> Iterator[None]:
        """Gather the parameters that FSDP 1 shares out, because `generate` does not call its wrapper."""
        if isinstance(self.model, FullyShardedDataParallel):
            with FullyShardedDataParallel.summon_full_params(self.model):
                yield
        else:
            yield

    def _choose_arguments(self, gen_kwargs: Mapping[str, Any]) -> dict[str, Any]:
        longest = getattr(self.data_collator, "max_target_length", None)
        return choose_limits(self.model, gen_kwargs, longest)

    def _check_generation(self, gen_kwargs: Mapping[str, Any]) -> None:
        """Raise a `ValueError` for arguments of `generate` that give no table of predictions, before anything is computed."""
        self._choose_arguments({"max_length": self.args.generation_max_length, **gen_kwargs})
        if (number := count_returned(self.model, gen_kwargs)) > 1:
            raise ValueError(
                f"num_return_sequences={number}: the trainer compares one prediction of every row with its target. For "
                "several call predict_targets(model, collator, rows, num_return_sequences=...)."
            )


class CollatorCallback(TrainerCallback):
    """
    Add the settings of the collator to everything that a trainer pushes.

    Pushes during training take only the library's own files from a checkpoint.

    Args:
        trainer: The trainer.
    """

    def __init__(self, trainer: GLMSeq2SeqTrainer):
        self._trainer = weakref.ref(trainer)

    def on_push_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write them into the output folder, which is uploaded next."""
        if state.is_world_process_zero and (trainer := self._trainer()) is not None:
            trainer.save_collator(str(args.output_dir))


class EvaluationBatches:
    """
    Collate rows for evaluation, unpacked.

    Args:
        collator: A `DataCollatorForInfillingSeq2Seq`.
        with_prompts: Whether the batches have prompts and targets beside the rows of training.
    """

    def __init__(self, collator: Any, with_prompts: bool):
        self.collator = collator
        self.with_prompts = with_prompts

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer of the collator."""
        return self.collator.tokenizer

    def __call__(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        if self.with_prompts and not any(_has_target(row, self.collator.target) for row in rows):
            prompts = self.collator.prompts(rows)
            return {PROMPTS: prompts["input_ids"], PROMPT_MASK: prompts["attention_mask"]}
        batch = self.collator.evaluation_batch(rows)
        if self.with_prompts:
            return batch
        return {name: value for name, value in batch.items() if name not in (PROMPTS, PROMPT_MASK, TARGETS)}


def is_for_prompts(collator: Any) -> bool:
    """Return whether a collator keeps prompts and targets apart."""
    return all(callable(getattr(collator, name, None)) for name in ("prompts", "targets", "evaluation_batch"))


def _has_target(row: Any, target: str) -> bool:
    return not isinstance(row, Mapping) or "labels" in row or not is_missing(row.get(target))


def _describe(collator: Any) -> str:
    if collator is None:
        return "not given, nor is a GLMTokenizer as processing_class"
    return f"the function {collator.__name__}" if hasattr(collator, "__name__") else f"a {type(collator).__name__}"


__all__ = ["CollatorCallback", "EvaluationBatches", "GLMSeq2SeqTrainer"]
