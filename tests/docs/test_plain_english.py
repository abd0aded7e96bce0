"""
README and docs are written in short sentences, without archaic turns. Docstrings are without them, too.

How sentences are counted: code blocks, tables, images, comments, directives and headings are left out. A link counts as its
text, and `code` as one word. A sentence ends at . ! ? or : before white space, and with its paragraph, list item or
footnote. A word is anything between white space that holds a letter or a digit.
"""

import ast
import re
from pathlib import Path

import pytest

from tests.support.paths import ROOT

MOST_WORDS = 35
MEAN_WORDS = 18
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "MODEL_CARD.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples" / "notebooks").glob("*.md")),
]
# From the style guide: turns that a reader has to translate.
ARCHAIC = re.compile(
    r"\b(tells? of|(?<!there )is no|anew|goes? on|to be had|by themselves|whatever|it is that which|the company of|asked for|heeded)\b",
    re.IGNORECASE,
)


def plain_text(markdown: str) -> str:
    """Leave only sentences: paragraphs and list items, separated by blank lines."""
    text = re.sub(r"\A---\n.*?^---$", "", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"^ *(`{3,}).*?^ *\1 *$", "\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ *(:{3,}.*|:[\w-]+:.*|\|.*|#+ .*)$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[\^[\w-]+\](:?)", lambda match: "\n\n" if match[1] else "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "code", text)
    return re.sub(r"^ *([-*]|\d+\.) ", "\n\n", text, flags=re.MULTILINE)


def sentences_of(markdown: str) -> list[str]:
    """Split a page into its sentences."""
    found = []
    for paragraph in re.split(r"\n\s*\n", plain_text(markdown)):
        found += re.split(r"(?<=[.!?:])[)\"*_]*\s+", " ".join(paragraph.split()))
    return [sentence for sentence in found if count_words(sentence)]


def count_words(sentence: str) -> int:
    return len([word for word in sentence.split() if re.search(r"\w", word)])


def test_sentences_are_counted():
    page = """# Not a sentence

One two three. Four `five six` [seven eight](nine): ten!

| not | counted |
|---|---|

- eleven twelve[^note]
- thirteen

```python
print("not counted")
```

[^note]: Fourteen
    fifteen.
"""
    assert [count_words(sentence) for sentence in sentences_of(page)] == [3, 4, 1, 2, 1, 2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_sentences_are_short(page: Path):
    sentences = sentences_of(page.read_text(encoding="utf-8"))
    lengths = [count_words(sentence) for sentence in sentences]
    assert not [sentence for sentence, length in zip(sentences, lengths, strict=True) if length > MOST_WORDS]
    assert sum(lengths) / max(len(lengths), 1) < MEAN_WORDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_archaic_turns(page: Path):
    text = plain_text(page.read_text(encoding="utf-8"))
    assert not [f"{match[0]}: {text[match.start() - 30 : match.end() + 30]!r}" for match in ARCHAIC.finditer(text)]


def documented(path: Path) -> list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def docstrings(path: Path) -> list[str]:
    return [ast.get_docstring(node) or "" for node in documented(path)]


@pytest.mark.parametrize("folder", ["modeling_glm", "tokenization"])
def test_docstrings_have_no_archaic_turns(folder):
    paths = sorted((ROOT / folder).rglob("*.py"))
    assert paths
    texts = [(path.relative_to(ROOT), " ".join(text.split())) for path in paths for text in docstrings(path)]
    wrong = [
        f"{path}: {text[max(match.start() - 30, 0) : match.end() + 30]!r}"
        for path, text in texts
        for match in ARCHAIC.finditer(text)
    ]
    assert not wrong


# Words that begin the name of a thing, not what a function does. Properties are things.
NO_VERBS = {"A", "An", "The", "All", "How", "Its", "Whether", "Which"}


def is_function(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    return not any(ast.unparse(decorator).endswith("property") for decorator in node.decorator_list)


def test_docstrings_begin_with_a_verb():
    """At least, none begins with "What", and that of a function with none of NO_VERBS."""
    wrong = []
    for folder in ("modeling_glm", "tokenization"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in documented(path):
                first = (ast.get_docstring(node) or "-").split()[0]
                if first == "What" or (is_function(node) and first in NO_VERBS):
                    wrong.append(f"{path.relative_to(ROOT)}: {ast.get_docstring(node)[:60]!r}")
    assert not wrong
