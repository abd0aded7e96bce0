"""
Published training runs, against which the cost model is checked.

Sources:

- GLM: Du et al. 2022, appendix A: GLM-Large on 64 V100, batch 1024, 200,000 steps in about 2.5 days. The authors' scripts
  (config/ds_block_large.sh) have 16 rows on a GPU and gradient checkpointing. The paper does not describe the network.
- RoBERTa: Liu et al. 2019, sections 3.1 and 5: 1024 V100 in DGX-1 with InfiniBand, 8192 rows of 512, 100,000 steps in about
  one day.
- NVIDIA: DeepLearningExamples, PyTorch BERT, README of July 2020: pretraining of BERT-Large, mixed precision, rows per second.
- DeepSpeed: tutorial "BERT Pre-training": pretraining of BERT-Large on 1 to 64 DGX-2, in hours.
"""

from dataclasses import dataclass, replace

from modeling_glm import GLMConfig

from .costs import TrainingLoad, step_cost
from .hardware import DGX1, DGX2, DGX2H, DGX_A100, GpuCluster
from .strategies import DDP

HOUR, DAY = 3600.0, 86400.0
BERT_VOCABULARY, ROBERTA_VOCABULARY = 30528, 50304  # padded to multiples of 64 and of 128


@dataclass(frozen=True, kw_only=True)
class PublishedRun:
    """
    A run and its published time.

    Attributes:
        name: What it is.
        cluster: The GPUs.
        gpus: Their number.
        phases: What each GPU computes in a step, and the number of steps.
        seconds: The published time of all steps.
        fitted_on: Name of the run that gives the share of the peak. None for such a run itself.
        same_code: Whether both runs used the same training code.
    """

    name: str
    cluster: GpuCluster
    gpus: int
    phases: tuple[tuple[TrainingLoad, int], ...]
    seconds: float
    fitted_on: str | None = None
    same_code: bool = True

    def predict(self, utilization: float, overlap: float) -> float:
        """Predict the seconds of all steps."""
        costs = (
            (step_cost(load, self.cluster, self.gpus, DDP, utilization=utilization, overlap=overlap), steps)
            for load, steps in self.phases
        )
        return sum(steps * cost.seconds for cost, steps in costs)

    def fit_utilization(self, overlap: float) -> float:
        """Return the share of the peak with which the prediction is the published time."""
        low, high = 1e-4, 10.0
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if self.predict(middle, overlap) > self.seconds else (low, middle)
        return low


def large_config(vocabulary: int) -> GLMConfig:
    """Make the size of BERT-Large, RoBERTa-Large and GLM-Large: the same layers, with different vocabularies."""
    return GLMConfig.from_preset("glm-large", vocab_size=vocabulary)


def bert_load(rows: int, length: int, accumulation: int = 1) -> TrainingLoad:
    """Pretraining of BERT-Large in half precision. NVIDIA's code projects all positions to the vocabulary."""
    return TrainingLoad(
        config=large_config(BERT_VOCABULARY),
        rows=rows,
        row_length=length,
        labelled=length,
        accumulation=accumulation,
        gradient_bytes=2,
    )


def throughput(
    name: str, cluster: GpuCluster, gpus: int, load: TrainingLoad, rows_per_second: float, fitted_on: str | None = None
) -> PublishedRun:
    """Make a run of one step from published rows per second of all GPUs together."""
    seconds = gpus * load.rows * load.accumulation / rows_per_second
    return PublishedRun(
        name=name, cluster=cluster, gpus=gpus, phases=((load, 1),), seconds=seconds, fitted_on=fitted_on
    )


def deepspeed(gpus: int, seconds: float, fitted_on: str | None = None) -> PublishedRun:
    """
    Make a run of DeepSpeed: 65,536 rows of 128 in a step, then 32,768 rows of 512.

    The steps are those of NVIDIA's recipe, 7,038 and 1,563, because the tutorial does not say how many it takes. It took fewer,
    so the fitted share of the peak is too high to be one. Predictions for more GPUs depend on it only in the communication.
    """
    phases = ((bert_load(64, 128, 1024 // gpus), 7038), (bert_load(8, 512, 4096 // gpus), 1563))
    return PublishedRun(
        name="DeepSpeed BERT-Large, both phases",
        cluster=DGX2,
        gpus=gpus,
        phases=phases,
        seconds=seconds,
        fitted_on=fitted_on,
    )


DGX2H_512, DGX2H_128, DGX1_512 = (
    "NVIDIA BERT-Large, DGX-2H, rows of 512",
    "NVIDIA BERT-Large, DGX-2H, rows of 128",
    "NVIDIA BERT-Large, DGX-1, rows of 512",
)
ONE_V100 = "NVIDIA BERT-Large, one V100 of a DGX-1, rows of 512"
ONE_A100 = "NVIDIA BERT-Large, one A100, rows of 512"
DEEPSPEED = "DeepSpeed BERT-Large, both phases"

# The runs that give shares of the peak: one GPU where that is published, else one machine.
REFERENCES = {
    run.name: run
    for run in (
        throughput(ONE_V100, DGX1, 1, bert_load(8, 512, 4096), 33),
        throughput(ONE_A100, DGX_A100, 1, bert_load(16, 512, 2048), 78),
        throughput(DGX1_512, DGX1, 8, bert_load(4, 512, 1024), 195.93),
        throughput(DGX2H_128, DGX2H, 16, bert_load(64, 128, 64), 3379.2),
        throughput(DGX2H_512, DGX2H, 16, bert_load(8, 512, 256), 625.66),
        deepspeed(16, 33 * HOUR + 13 * 60),
    )
}

GLM_LARGE_LOAD = TrainingLoad(
    config=large_config(30592),
    rows=16,
    row_length=561,  # 512 tokens of text, 15% of them masked in pieces of 3.2 tokens: see `sizing.row_size`
    labelled=561,  # the authors' code projects all positions
    recompute=True,
    gradient_bytes=2,
)
ROBERTA_LOAD = TrainingLoad(
    config=large_config(ROBERTA_VOCABULARY), rows=8, row_length=512, labelled=77, gradient_bytes=2
)

# The runs that check the model. None of them gives a constant.
CHECKS = (
    PublishedRun(
        name="GLM-Large",
        cluster=DGX1,
        gpus=64,
        phases=((GLM_LARGE_LOAD, 200_000),),
        seconds=2.5 * DAY,
        fitted_on=ONE_V100,
        same_code=False,
    ),
    PublishedRun(
        name="RoBERTa-Large",
        cluster=DGX1,
        gpus=1024,
        phases=((ROBERTA_LOAD, 100_000),),
        seconds=DAY,
        fitted_on=ONE_V100,
        same_code=False,
    ),
    throughput("NVIDIA BERT-Large, DGX-1, rows of 512", DGX1, 8, bert_load(8, 512, 512), 262, ONE_V100),
    throughput(DGX1_512, DGX1, 32, bert_load(4, 512, 256), 700.16, DGX1_512),
    throughput(DGX1_512, DGX1, 128, bert_load(4, 512, 64), 2746.368, DGX1_512),
    throughput(DGX2H_128, DGX2H, 64, bert_load(64, 128, 16), 12709.88, DGX2H_128),
    throughput(DGX2H_128, DGX2H, 256, bert_load(64, 128, 4), 51937.28, DGX2H_128),
    throughput(DGX2H_128, DGX2H, 1024, bert_load(64, 128, 1), 188088.32, DGX2H_128),
    throughput(DGX2H_512, DGX2H, 64, bert_load(8, 512, 64), 2386.38, DGX2H_512),
    throughput(DGX2H_512, DGX2H, 256, bert_load(8, 512, 16), 9932.8, DGX2H_512),
    throughput(DGX2H_512, DGX2H, 1024, bert_load(8, 512, 4), 37478.4, DGX2H_512),
    deepspeed(64, 8 * HOUR + 41 * 60, DEEPSPEED),
    deepspeed(256, 144 * 60, DEEPSPEED),
    deepspeed(1024, 44 * 60, DEEPSPEED),
    throughput("NVIDIA BERT-Large, DGX A100, rows of 512", DGX_A100, 8, bert_load(16, 512, 256), 620, ONE_A100),
)


def fit_shares(overlap: float) -> dict[str, float]:
    """Return the share of the peak of every run of REFERENCES, by its name."""
    return {name: run.fit_utilization(overlap) for name, run in REFERENCES.items()}


def without_recompute(run: PublishedRun) -> PublishedRun:
    """Return a run as it would be without gradient checkpointing."""
    return replace(run, phases=tuple((replace(load, recompute=False), steps) for load, steps in run.phases))
