"""Bytes of system calls. test_workers.py compares the bytes of collectives with the theory."""

import os

import torch

from benchmarks.studies.scaling.counting import count_written, record_collectives


def test_bytes_of_a_pipe_are_counted():
    read, write = os.pipe()
    assert count_written(lambda: os.write(write, b"x" * 1234)) == 1234
    assert count_written(lambda: os.read(read, 1000)) == 0
    os.close(read)
    os.close(write)


def test_work_without_collectives_records_none():
    assert record_collectives(lambda: torch.ones(3).sum()) == []
