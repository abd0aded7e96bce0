"""What the CPU has."""

import pytest

from modeling_glm.precision import cpu


@pytest.mark.parametrize(
    ("written", "name", "instructions"),
    [
        ("model name\t: Some CPU @ 2 GHz\nflags\t\t: fpu avx2 avx512f\n", "Some CPU @ 2 GHz", ("AVX2", "AVX-512")),
        ("flags\t\t: avx2 avx_vnni\n\nflags\t\t: avx2\n", "", ("AVX2", "VNNI")),
        ("flags : amx_tile avx512_bf16 avx512_vnni", "", ("VNNI", "BF16", "AMX")),
        ("Features\t: asimd asimddp bf16\n", "", ("VNNI", "BF16")),
        ("flags\t: avx2_like xavx512f\n", "", ()),
        ("", "", ()),
    ],
)
def test_cpu_is_described(tmp_path, monkeypatch, written, name, instructions):
    info = tmp_path / "cpuinfo"
    monkeypatch.setattr(cpu, "CPU_INFO", info)
    assert (cpu.cpu_name(), cpu.cpu_instructions()) == ("", ())
    info.write_text(written)
    assert (cpu.cpu_name(), cpu.cpu_instructions()) == (name, instructions)
