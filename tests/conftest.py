"""Fixtures that all tests share."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from zlib import crc32

import pytest
import torch
from hypothesis import settings

from modeling_glm import GLMTokenizer
from tests.support.cloze_runs import fine_tuned, fine_tuning_data  # noqa: F401 (fixtures)
from tests.support.models import TEXTS
from tests.support.original_files import write_vocabulary
from tests.support.paths import ROOT
from tests.support.stress import add_options

# Transformers has decision models from 5.23 on.
OF_DECISIONS = ["modeling_glm/decision", "modeling_glm/test_decision_glm.py", "modeling_glm/test_questions_glm.py"]
collect_ignore = [] if find_spec("transformers.decision") else OF_DECISIONS
if not collect_ignore:
    from tests.support.decisions import decider, decider_folder  # noqa: F401 (fixtures)

# The same examples in every run, and nothing written beside the tests.
settings.register_profile("deterministic", derandomize=True, deadline=None)
settings.load_profile("deterministic")


def pytest_addoption(parser: pytest.Parser):
    add_options(parser)
    parser.addoption("--most-cases", type=int, metavar="N", help="run N cases of each parametrized test at most")


def pytest_report_header(config: pytest.Config) -> str:
    return f"stress seed: {config.getoption('stress_seed')}"


@pytest.hookimpl(wrapper=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """
    Mark stress tests as slow, before `-m "not slow"` is read, and leave out cases after it.

    Refuse ids with addresses in them, which differ between processes: pytest-xdist could not share the tests out.
    """
    for item in items:
        if item.path.is_relative_to(ROOT / "tests" / "stress"):
            item.add_marker(pytest.mark.slow)
    if wrong := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"The id of {wrong[0]} has an address in it: give the parameters ids.")
    yield
    if most := config.getoption("most_cases"):
        leave_out_cases(config, items, most)


def leave_out_cases(config: pytest.Config, items: list[pytest.Item], most: int):
    """Keep `most` cases of each parametrized test: always the same ones, from all over its parameters."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        cases[item.nodeid.partition("[")[0]].append(item)
    ranked = [sorted(of_test, key=lambda item: crc32(item.nodeid.encode())) for of_test in cases.values()]
    left_out = {item for of_test in ranked for item in of_test[most:]}
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session")
def tokenizer() -> GLMTokenizer:
    """A small vocabulary; tests that change it take a copy."""
    return GLMTokenizer.train_from_iterator(TEXTS, 400)


@pytest.fixture(scope="session")
def of_family(tokenizer, tmp_path_factory) -> Callable[[str], GLMTokenizer]:
    """The tokenizer of a family of vocabularies: "own" or one of the originals. Each is loaded once."""

    @cache
    def load(family: str) -> GLMTokenizer:
        if family == "own":
            return tokenizer
        folder = write_vocabulary(family, tmp_path_factory.mktemp("families") / family, fixture=True)
        return GLMTokenizer.from_pretrained(folder)

    return load


@pytest.fixture(autouse=True)
def _uncompiled_flex_attention(request):
    """Transformers compiles flex attention for every mask, which takes a CPU minutes: here it runs uncompiled."""
    callspec = getattr(request.node, "callspec", None)
    # Only strings are compared: pd.NA and arrays have no plain ==.
    if callspec is None or "flex_attention" not in [v for v in callspec.params.values() if isinstance(v, str)]:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
