"""The corpus, built once for all tests."""

import pytest

from examples.corpora import Document, build_corpus, split


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return build_corpus()


@pytest.fixture(scope="session")
def training(documents: list[Document]) -> list[Document]:
    return split(documents, held_out=False)


@pytest.fixture(scope="session")
def held_out(documents: list[Document]) -> list[Document]:
    return split(documents, held_out=True)
