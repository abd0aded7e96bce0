"""A small model and made-up tasks, for studies of seconds."""

import pytest

from benchmarks.studies.real_tasks import budgets
from examples.corpora.real_tasks import REAL_TASKS
from modeling_glm.cloze.sources import ClozeData
from tests.support.models import save_small_chooser
from tests.support.real_tasks import write_real_data


@pytest.fixture(scope="package")
def model(tokenizer, tmp_path_factory) -> str:
    """The folder of a model of random weights."""
    return save_small_chooser(tokenizer, tmp_path_factory.mktemp("small") / "small-glm")


@pytest.fixture(scope="package")
def tasks(tmp_path_factory) -> dict[str, ClozeData]:
    """All real tasks, with made-up examples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLM_DATA", str(write_real_data(tmp_path_factory.mktemp("data"), count=80)))
        return {name: load() for name, load in REAL_TASKS.items()}


@pytest.fixture
def short(monkeypatch):
    """Budgets of one epoch, and nine test examples."""
    few = {shots: budgets.Budget(epochs=1, batch_size=16) for shots in budgets.FEW}
    monkeypatch.setattr(budgets, "FEW", few)
    monkeypatch.setattr(budgets, "TEST_EXAMPLES", 9)
    monkeypatch.setattr(budgets, "EPOCHS", dict.fromkeys(budgets.EPOCHS, 1))
