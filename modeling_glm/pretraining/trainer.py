"""The Trainer of pretraining: safe checkpoints, and the speed of the run in the log."""

import contextlib
import time
from collections.abc import Iterator

import torch

from ..hub.trainer import HubTrainerMixin
from ..inspection.sizing import measure_matmul_peak, training_flops
from ..modeling_glm import GLMForConditionalGeneration
from ..runs.checkpoints import SafeCheckpointTrainer
from .optimizer import MuonWithAdamW, group_parameters


class PretrainingTrainer(HubTrainerMixin, SafeCheckpointTrainer):
    """
    A `SafeCheckpointTrainer` that pushes code and card with the weights, and logs the speed with each training loss:

    - `tokens_per_second`: tokens of both parts, without padding, over all processes. Evaluation and saving do not count.
    - `padding`: share of the tokens that are padding.
    - `mfu`: model FLOPs utilization, the operations that the model needs for these tokens as a share of the matmul peak
      of the devices (see `modeling_glm.inspection.sizing`).
    - `tokens_seen`: tokens since this start of the run.

    Args:
        peak: Matmul peak of one device in FLOP/s. By default a matmul is timed.
        muon_learning_rate: Peak learning rate of Muon for the matrices of the layers. By default AdamW trains all
            parameters.
        args, kwargs: RunArguments of `Trainer`.
    """

    model: GLMForConditionalGeneration

    def __init__(self, *args, peak: float | None = None, muon_learning_rate: float | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        self.muon_learning_rate = muon_learning_rate
        dtype = torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else torch.float32
        self.peak = peak or measure_matmul_peak(self.args.device, dtype)
        # Tokens and labels are counted on the device, because reading them would wait for it.
        self._counts = torch.zeros(2, dtype=torch.int64, device=self.args.device)
        self._places = self._squares = self._tokens_seen = 0
        self._started: float | None = None
        self._paused = 0.0  # seconds of evaluation and saving since then

    def create_optimizer(self, *args, **kwargs):
        if self.optimizer is None and self.muon_learning_rate is not None:
            decayed = self.get_decay_parameter_names(self.model)
            groups = group_parameters(self.model, decayed, self.args.weight_decay, self.muon_learning_rate)
            self.optimizer = MuonWithAdamW(groups, self.get_optimizer_cls_and_kwargs(self.args)[1])
        return super().create_optimizer(*args, **kwargs)

    def training_step(self, model, inputs, *args, **kwargs):
        if self._started is None:
            self._started = time.perf_counter()
        mask = inputs["attention_mask"]
        self._counts += torch.stack([mask.sum(), (inputs["labels"] != -100).sum()])
        self._places += mask.numel()
        self._squares += mask.numel() * mask.shape[1]
        return super().training_step(model, inputs, *args, **kwargs)

    def evaluate(self, *args, **kwargs):
        with self._pause():
            return super().evaluate(*args, **kwargs)

    def _save_checkpoint(self, *args, **kwargs):
        with self._pause():
            super()._save_checkpoint(*args, **kwargs)

    def log(self, logs: dict[str, float], *args, **kwargs):
        if "loss" in logs:
            logs = {**logs, **self._read_speed()}
        super().log(logs, *args, **kwargs)

    @contextlib.contextmanager
    def _pause(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self._paused += time.perf_counter() - started

    def _read_speed(self) -> dict[str, float]:
        sizes = torch.tensor([self._places, self._squares], device=self._counts.device)
        counts = self.accelerator.reduce(torch.cat([self._counts, sizes]), "sum")
        tokens, labelled, places, squares = counts.tolist()  # waits for the device
        now = time.perf_counter()
        seconds = now - (self._started or now) - self._paused
        self._counts.zero_()
        self._places = self._squares = 0
        self._started, self._paused = now, 0.0
        if not tokens or seconds <= 0:
            return {}
        self._tokens_seen += tokens
        flops = training_flops(self.model.config, tokens=tokens, labelled_tokens=labelled, row_length=squares / places)
        return {
            "tokens_per_second": round(tokens / seconds, 1),
            "padding": round(1 - tokens / places, 4),
            "mfu": round(flops / seconds / (self.peak * self.args.world_size), 4),
            "tokens_seen": self._tokens_seen,
        }
