"""Time a training step (forward, backward, AdamW) against peers and the matmul peak, and measure its peak memory."""

import torch

from modeling_glm import DataCollatorForBlankInfilling, GLMForConditionalGeneration
from modeling_glm.cpu_functions import switch as cpu_functions
from modeling_glm.pretraining.optimizer import MuonWithAdamW, group_parameters, has_muon

from ..harness.embedded import load_tokenizer, training_texts
from ..harness.measuring import PeakMemory, run_alone, take_turns
from ..harness.peers import BART, BERT, GPT2, T5, T5_HALF
from ..harness.results import LimitShare, Memory, Result, Speed
from ..harness.settings import RunSettings
from ..harness.shapes import BASE, LARGE, MEDIUM, SHAPES, SMALL, TINY, Shape, build_glm
from ..harness.steps import CHECKPOINTING, GLM, NAIVE, make_batch, make_step, optimizing, step_flops, to_device


def run(settings: RunSettings) -> list[Result]:
    everyone = [NAIVE, GPT2, T5, T5_HALF, BART, BERT]
    if settings.quick:
        return [
            *compare_models(settings, TINY, 2, 64, everyone),
            *compare_precision(settings, TINY, 2, 64),
            *compare_small_steps(settings, TINY, 2, 64),
            *compare_checkpointing(settings, TINY, 2, 64),
            compare_packing(settings, TINY, 128),
            compare_memory(TINY, 2, 64, GLM, NAIVE),
        ]
    wide, rows, length = BASE.with_vocabulary(50304), 32 if settings.on_gpu else 4, 512
    has_bf16 = settings.machine.computes_bf16(BASE)
    in_bf16 = (BASE, MEDIUM) if has_bf16 else ()
    return [
        *compare_models(settings, BASE, rows, length, everyone),
        *compare_models(settings, wide, rows, length, [NAIVE]),
        *compare_models(settings, LARGE, rows // 4, length, [NAIVE]),
        *(result for shape in in_bf16 for result in compare_precision(settings, shape, rows, length)),
        *(compare_small_steps(settings, SMALL, 16, 128) if has_bf16 and not settings.on_gpu else ()),
        *compare_checkpointing(settings, BASE, rows, length),
        compare_packing(settings, BASE, length),
        *(compare_memory(shape, rows, length, GLM, NAIVE) for shape in (BASE, wide)),
        compare_memory(BASE, rows, length, CHECKPOINTING, GLM),
    ]


def compare_models(settings: RunSettings, shape: Shape, rows: int, length: int, peers: list[str]) -> list[Result]:
    """Compare GLM with peers and with the matmul peak, in fp32."""
    steps = {name: make_step(name, shape, rows, length, settings.device) for name in (GLM, *peers)}
    seconds = take_turns(steps, settings.rounds, settings.device)
    work = describe(shape, rows, length)
    best = min(seconds[GLM])
    share = step_flops(shape, rows, length) / best / settings.machine.peak(shape, torch.float32)
    return [
        *(Speed.from_seconds(work, peer, seconds[GLM], seconds[peer]) for peer in peers),
        LimitShare(work=work, limit="matmul peak in fp32", share=share, seconds=best),
    ]


def compare_precision(settings: RunSettings, shape: Shape, rows: int, length: int) -> list[Result]:
    """Compare bf16 autocast with fp32 and with the matmul peak."""
    fp32 = make_step(GLM, shape, rows, length, settings.device)
    bf16 = make_step(GLM, shape, rows, length, settings.device, bf16=True)
    seconds = take_turns({"fp32": fp32, "bf16": bf16}, settings.rounds, settings.device)
    work = f"{describe(shape, rows, length)}, bf16 autocast"
    best = min(seconds["bf16"])
    share = step_flops(shape, rows, length) / best / settings.machine.peak(shape, torch.bfloat16)
    return [
        Speed.from_seconds(work, "GLM in fp32", seconds["bf16"], seconds["fp32"]),
        LimitShare(work=work, limit="matmul peak in bf16", share=share, seconds=best),
    ]


def compare_small_steps(settings: RunSettings, shape: Shape, rows: int, length: int) -> list[Result]:
    """Compare bf16 autocast without dropout with the functions of the hub, with fp32, and with Muon as the optimizer."""
    plain = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "embedding_dropout": 0.0, "attn_implementation": "eager"}
    model = build_glm(GLMForConditionalGeneration, shape, **plain).train()
    batch = make_batch(model.config, rows, length)

    def loss() -> torch.Tensor:
        return model(**batch).loss

    bf16 = optimizing(model, loss, bf16=True)

    def on_the_hub():
        cpu_functions.disable()
        try:
            bf16()
        finally:
            cpu_functions.enable()

    ours = "bf16"
    steps = {ours: bf16, "GLM as on the hub": on_the_hub, "GLM in fp32": optimizing(model, loss)}
    if has_muon():
        decayed = [name for name, parameter in model.named_parameters() if parameter.ndim == 2]
        groups = group_parameters(model, decayed, weight_decay=0.1, muon_learning_rate=1e-4)
        muon = MuonWithAdamW(groups, {"lr": 1e-4, "fused": True})
        steps["GLM with Muon"] = optimizing(model, loss, bf16=True, optimizer=muon)
    seconds = take_turns(steps, settings.rounds)
    work = f"{describe(shape, rows, length)}, bf16 autocast without dropout"
    return [Speed.from_seconds(work, peer, seconds[ours], seconds[peer]) for peer in steps if peer != ours]


def compare_checkpointing(settings: RunSettings, shape: Shape, rows: int, length: int) -> list[Result]:
    """Compare gradient checkpointing with a plain step."""
    steps = {name: make_step(name, shape, rows, length, settings.device) for name in (CHECKPOINTING, GLM)}
    seconds = take_turns(steps, settings.rounds, settings.device)
    work = f"{describe(shape, rows, length)}, gradient checkpointing"
    return [Speed.from_seconds(work, "GLM without it", seconds[CHECKPOINTING], seconds[GLM])]


def compare_packing(settings: RunSettings, shape: Shape, length: int) -> Result:
    """Compare rows of several texts with rows of one text that are padded to the longest, on the same texts."""
    tokenizer = load_tokenizer()
    texts = training_texts(16 if settings.quick else 64)
    features = [
        {"input_ids": ids, "sample_id": number}
        for number, ids in enumerate(tokenizer(texts, add_special_tokens=False)["input_ids"])
    ]
    sized = shape.with_vocabulary(len(tokenizer))
    model = build_glm(GLMForConditionalGeneration, sized, **tokenizer.special_token_ids).train().to(settings.device)
    packed, padded = (
        to_device(DataCollatorForBlankInfilling(tokenizer, packed_length=packed_length)(features), settings.device)
        for packed_length in (length, None)
    )
    steps = {
        "packed": optimizing(model, lambda: model(**packed).loss, settings.device),
        "padded": optimizing(model, lambda: model(**padded).loss, settings.device),
    }
    seconds = take_turns(steps, settings.rounds, settings.device)
    packed_size, padded_size = (" x ".join(map(str, batch["input_ids"].shape)) for batch in (packed, padded))
    work = f"{shape.name}, {len(texts)} texts packed into {packed_size} tokens"
    return Speed.from_seconds(work, f"GLM, padded to {padded_size}", seconds["packed"], seconds["padded"])


def compare_memory(shape: Shape, rows: int, length: int, name: str, peer: str) -> Result:
    """Compare the peak memory of a model and two of its steps, each in a separate process on the CPU."""
    ours, theirs = (
        run_alone(measure_memory, one, shape.name, shape.vocabulary, rows, length)["bytes"] for one in (name, peer)
    )
    suffix = ", gradient checkpointing" if name == CHECKPOINTING else ""
    return Memory(work=f"{describe(shape, rows, length)}{suffix}", peer=peer, ours=ours, theirs=theirs)


def measure_memory(name: str, shape: str, vocabulary: int, rows: int, length: int) -> dict[str, float]:
    """Measure by how many bytes the process grows for a model and two steps. Call it in a separate process."""
    make_step(name, TINY, 1, 32)()  # loads what the libraries load on first use
    with PeakMemory() as memory:
        step = make_step(name, SHAPES[shape].with_vocabulary(vocabulary), rows, length)
        step()
        step()  # now with the state of the optimizer
    return {"bytes": memory.grown}


def describe(shape: Shape, rows: int, length: int) -> str:
    return f"{shape.name}, vocabulary {shape.vocabulary}, {rows} x {length} tokens"
