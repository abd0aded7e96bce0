"""Pretraining in several processes on the CPU, started as users start it: the same losses as in one process."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType, merge_fsdp_weights
from accelerate.utils.launch import prepare_multi_gpu_env
from safetensors.torch import load_file

import modeling_glm.modeling_glm
from modeling_glm import GLMConfig, GLMForConditionalGeneration
from modeling_glm.runs.checkpoints import load_weights
from modeling_glm.runs.manifest import FoundCheckpoint, last_good_checkpoint, read_manifest
from tests.support import distributed_run
from tests.support.kills import free_port, start_together, wait_for_all
from tests.support.paths import ROOT
from tests.support.pretraining_runs import one_thread

RUN = ROOT / "tests" / "support" / "distributed_run.py"
CONFIGS = ROOT / "examples" / "accelerate"
TYPES = {
    "cpu": DistributedType.MULTI_GPU,
    "ddp": DistributedType.MULTI_GPU,
    "ddp_cluster": DistributedType.MULTI_GPU,
    "fsdp2": DistributedType.FSDP,
    "deepspeed_zero3": DistributedType.DEEPSPEED,
}


def test_every_launch_configuration_is_tested():
    assert {path.stem for path in CONFIGS.iterdir()} == set(TYPES)


@pytest.mark.parametrize("name", TYPES)
def test_accelerate_accepts(name):
    config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))  # refuses unknown names at the top level
    assert config.distributed_type == TYPES[name]
    # Below it accelerate takes any name in silence: each has to be an option of its launcher.
    options = {action.dest for action in launch_command_parser()._actions}
    assert set(config.fsdp_config) <= options
    assert set(config.deepspeed_config) <= options


def test_the_wrapped_block_is_one_of_the_model():
    name = load_config_from_file(str(CONFIGS / "fsdp2.yaml")).fsdp_config["fsdp_transformer_layer_cls_to_wrap"]
    model = GLMForConditionalGeneration(
        GLMConfig(vocab_size=64, hidden_size=32, num_attention_heads=4, num_hidden_layers=2)
    )
    assert sum(isinstance(module, getattr(modeling_glm.modeling_glm, name)) for module in model.modules()) == 2


@pytest.fixture(scope="module")
def tokenizer_folder(tokenizer, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def one_process(tokenizer_folder, tmp_path_factory) -> Path:
    """A run in one process, with the batch that several share otherwise."""
    folder = tmp_path_factory.mktemp("one")
    launch(tokenizer_folder, folder, 1, "--batch_size", 8)
    return folder


def launch(
    tokenizer_folder: Path, folder: Path, processes: int, *options: object, config=CONFIGS / "cpu.yaml", fails=False
):
    """
    Run distributed_run.py in processes, with the environment that `accelerate launch` gives each of them.

    Returns what they printed. One process runs here; several are forked, which saves each the imports.
    """
    arguments = [str(part) for part in (tokenizer_folder, folder, *options)]
    if processes == 1:
        with one_thread(), contextlib.redirect_stdout(io.StringIO()) as printed:
            distributed_run.train(distributed_run.read_options(arguments))
        return printed.getvalue()
    port = free_port()
    asked = ["--config_file", config, "--num_processes", processes, "--main_process_port", port, RUN]
    settings, *_ = _validate_launch_command(launch_command_parser().parse_args([*map(str, asked)]))
    environment = {**prepare_multi_gpu_env(settings), "OMP_NUM_THREADS": "1"}
    running = start_together(distributed_run.main, arguments, count=processes, root=folder, port=port, **environment)
    ended = wait_for_all(running, 240)
    printed = "\n".join(f"[rank{rank}]: {line}" for rank, end in enumerate(ended) for line in end.output.splitlines())
    assert [end.code != 0 for end in ended] == [fails] * processes, printed
    return printed


def losses(folder: Path) -> list[float]:
    return list(json.loads((folder / "losses.json").read_text()).values())


@pytest.fixture(scope="module")
def sharded_config(tmp_path_factory) -> Path:
    """fsdp2.yaml for the CPU, in fp32 to compare losses."""
    text = (CONFIGS / "fsdp2.yaml").read_text()
    path = tmp_path_factory.mktemp("config") / "fsdp2.yaml"
    path.write_text(text.replace("mixed_precision: bf16", 'mixed_precision: "no"\nuse_cpu: true'))
    return path


@pytest.fixture(scope="module")
def two_processes(tokenizer_folder, tmp_path_factory) -> Path:
    """A run in two processes, started as users start it."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", CONFIGS / "cpu.yaml"]
    command += ["--num_processes", 2, "--main_process_port", free_port(), RUN, tokenizer_folder, folder]
    done = subprocess.run(
        [*map(str, command)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def check_shared_batch(folder: Path, one_process: Path, processes: int):
    assert losses(folder) == pytest.approx(losses(one_process), abs=1e-5)
    manifest = read_manifest(last_good_checkpoint(folder).path)
    assert (manifest.samples_seen, manifest.num_processes) == (4 * 8, processes)
    assert {f"rng_state_{index}.pth" for index in range(processes)} <= set(manifest.files)


@pytest.mark.slow
def test_two_processes_share_a_batch(one_process, two_processes):
    check_shared_batch(two_processes, one_process, 2)


@pytest.mark.slow
@pytest.mark.parametrize(("processes", "batch_size", "accumulation"), [(2, 2, 2)])
def test_processes_share_a_batch(tokenizer_folder, one_process, tmp_path, processes, batch_size, accumulation):
    options = ("--batch_size", batch_size, "--accumulation", accumulation)
    launch(tokenizer_folder, tmp_path, processes, *options)
    check_shared_batch(tmp_path, one_process, processes)


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_a_run_resumes_with_another_number_of_processes(
    request, tokenizer_folder, one_process, tmp_path, before, after
):
    """From the checkpoint at step 2 of a run with `before` processes."""
    started = request.getfixturevalue({1: "one_process", 2: "two_processes"}[before])
    shutil.copytree(started / "checkpoint-2", tmp_path / "checkpoint-2")
    printed = launch(tokenizer_folder, tmp_path, after, "--batch_size", 8 // after)
    assert "started at sample 16, ended at 32" in printed
    assert losses(tmp_path) == pytest.approx(losses(one_process), abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("process", [0, 1])
def test_a_full_disk_of_one_process_ends_all(tokenizer_folder, tmp_path, process):
    options = ("--steps", 6, "--limit", 1, "--full_disk", "--full_disk_of", process)
    printed = launch(tokenizer_folder, tmp_path, 2, *options, fails=True)
    for rank in (0, 1):
        assert f"[rank{rank}]: RuntimeError: {tmp_path / 'checkpoint-4'} could not be written" in printed
    assert f"resumes from {tmp_path / 'checkpoint-2'}, the last good checkpoint" in printed
    assert last_good_checkpoint(tmp_path) == FoundCheckpoint(path=tmp_path / "checkpoint-2")
    assert {path.name for path in tmp_path.iterdir()} == {"_run.lock", "checkpoint-2"}


@pytest.mark.slow
class TestSharded:
    """FSDP 2. Accelerate shards on accelerators only, so distributed_run.py makes it do so on the CPU."""

    @pytest.fixture(scope="class")
    def folder(self, tokenizer_folder, sharded_config, tmp_path_factory) -> Path:
        folder = tmp_path_factory.mktemp("sharded")
        printed = launch(tokenizer_folder, folder, 2, "--sharded", config=sharded_config)
        rows = [int(part.split()[0]) for part in printed.split(" holds ")[1:]]
        whole = int(printed.split(" rows")[0].split()[-1])
        assert len(rows) == 2
        assert sum(rows) == whole
        return folder

    def test_it_trains_as_one_process(self, folder, one_process):
        assert losses(folder) == pytest.approx(losses(one_process), abs=1e-5)

    def test_its_checkpoint_loads_into_one_process(self, folder, one_process, tmp_path):
        checkpoint = last_good_checkpoint(folder).path
        assert {f"pytorch_model_fsdp_0/__{rank}_0.distcp" for rank in (0, 1)} <= set(read_manifest(checkpoint).files)
        reference = GLMForConditionalGeneration.from_pretrained(one_process / "checkpoint-4").eval()
        ids = torch.arange(20, 44).reshape(2, 12)
        with torch.no_grad():
            expected = reference(ids).logits
            for path in (checkpoint, one_process / "checkpoint-4"):
                model = GLMForConditionalGeneration(reference.config).eval()
                load_weights(model, path)
                assert model.lm_head.weight is model.glm.word_embeddings.weight
                torch.testing.assert_close(model(ids).logits, expected, atol=1e-5, rtol=1e-5)
            # The merged file of accelerate holds the tied weights twice, and both are equal.
            merge_fsdp_weights(str(checkpoint / "pytorch_model_fsdp_0"), str(tmp_path))
            reference.config.save_pretrained(tmp_path)
            merged = load_file(tmp_path / "model.safetensors")
            assert torch.equal(merged["lm_head.weight"], merged["glm.word_embeddings.weight"])
            model = GLMForConditionalGeneration.from_pretrained(tmp_path).eval()
            torch.testing.assert_close(model(ids).logits, expected, atol=1e-5, rtol=1e-5)

    def test_it_resumes_with_more_processes_after_a_full_disk(
        self, tokenizer_folder, sharded_config, one_process, tmp_path
    ):
        full = ("--sharded", "--full_disk", "--full_disk_of", 1)
        printed = launch(tokenizer_folder, tmp_path, 2, *full, config=sharded_config, fails=True)
        assert f"resumes from {tmp_path / 'checkpoint-2'}, the last good checkpoint" in printed
        launch(tokenizer_folder, tmp_path, 4, "--sharded", "--batch_size", 2, config=sharded_config)
        assert losses(tmp_path) == pytest.approx(losses(one_process), abs=1e-5)

    def test_its_options_change_no_loss(self, tokenizer_folder, sharded_config, one_process, tmp_path):
        config, text = tmp_path / "config.yaml", sharded_config.read_text()
        for option in ("fsdp_activation_checkpointing", "fsdp_cpu_ram_efficient_loading"):
            assert f"{option}: false" in text
            text = text.replace(f"{option}: false", f"{option}: true")
        config.write_text(text)
        launch(tokenizer_folder, tmp_path / "run", 2, "--sharded", config=config)
        assert losses(tmp_path / "run") == pytest.approx(losses(one_process), abs=1e-5)
