"""The Trainer of 03_pretrain.py: whole checkpoints, and how fast the run is, in the log."""

import time

import torch
from pretrain_checkpoints import SafeCheckpointTrainer

from modeling_glm.sizing import measure_matmul_peak, training_flops


class PretrainingTrainer(SafeCheckpointTrainer):
    """
    A Trainer that logs, beside each loss,

    - `tokens_per_second`: of both parts, without padding, over all processes;
    - `padding`: share of the tokens that are padding;
    - `mfu`: the floating point operations that the model needs for these tokens (`modeling_glm.sizing`), as a share of
      what the devices can do in large matrix products (model FLOPs utilisation);
    - `tokens_seen`: since this start of the run.

    Args:
        peak: Floating point operations per second of one device; measured where it is None.
    """

    def __init__(self, *args, peak: float | None = None, **kwargs):
        super().__init__(*args, **kwargs)
        dtype = torch.bfloat16 if self.args.bf16 else torch.float16 if self.args.fp16 else torch.float32
        self.peak = peak or measure_matmul_peak(self.args.device, dtype)
        self._counts = torch.zeros(4, dtype=torch.int64, device=self.args.device)
        self._seconds, self._tokens_seen = 0.0, 0

    def training_step(self, model, inputs, *args, **kwargs):
        started = time.perf_counter()
        mask = inputs["attention_mask"]
        # Added up on the device: reading them here would wait for it.
        self._counts += torch.stack(
            [
                mask.sum(),
                (inputs["labels"] != -100).sum(),
                torch.tensor(mask.numel()),
                torch.tensor(mask.numel() * mask.shape[1]),
            ]
        ).to(self._counts.device)
        loss = super().training_step(model, inputs, *args, **kwargs)
        self._seconds += time.perf_counter() - started
        return loss

    def log(self, logs: dict[str, float], *args, **kwargs):
        if "loss" in logs:
            logs = {**logs, **self._speed()}
        super().log(logs, *args, **kwargs)

    def _speed(self) -> dict[str, float]:
        counts = self.accelerator.reduce(self._counts.clone(), "sum")
        tokens, labelled, places, squares = counts.tolist()
        self._counts.zero_()
        seconds, self._seconds = self._seconds, 0.0
        if not tokens or not seconds:
            return {}
        self._tokens_seen += tokens
        flops = training_flops(self.model.config, tokens=tokens, labelled_tokens=labelled, row_length=squares / places)
        return {
            "tokens_per_second": round(tokens / seconds, 1),
            "padding": round(1 - tokens / places, 4),
            "mfu": round(flops / seconds / (self.peak * self.args.world_size), 4),
            "tokens_seen": self._tokens_seen,
        }
