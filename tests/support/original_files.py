"""Write the vocabulary files of the original checkpoints, and read the tokenizations of the original code."""

import json
import lzma
from pathlib import Path
from typing import Any

from tests.support.paths import FIXTURES, GOLDEN

# In a folder of the originals each file has the name on the left.
VOCABULARIES = {
    "gpt2": {"vocab.json": "gpt2-vocab.json", "merges.txt": "gpt2-merges.txt"},
    "bert": {"vocab.txt": "bert-large-uncased-vocab.txt"},
    "roberta": {"vocab.json": "roberta-vocab.json", "merges.txt": "gpt2-merges.txt"},
    "chinese": {"cog-pretrain.model": "cog-pretrain.model"},
}


def read_golden(name: str, *, fixture: bool = False) -> bytes:
    """Read a file of the full golden data, or of its compressed copy if the data are absent or the copy is asked for."""
    if not fixture and (GOLDEN / name).exists():
        return (GOLDEN / name).read_bytes()
    return lzma.decompress((FIXTURES / f"{name}.xz").read_bytes())


def write_vocabulary(family: str, folder: Path, *, fixture: bool = False) -> Path:
    """
    Write only the vocabulary, as the code of the authors uses it. With `fixture` it is the repository's own copy, for tests
    that expect words and ids worked by hand.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in VOCABULARIES[family].items():
        (folder / name).write_bytes(read_golden(f"vocab/{source}", fixture=fixture))
    return folder


def write_hub_folder(variant: str, folder: Path) -> Path:
    """Write the tokenizer files of a hub repository. "roberta_bracket" has other names of special tokens."""
    family = variant.removesuffix("_bracket")
    write_vocabulary(family, folder)
    if variant != family:
        names = {"<s>": "[CLS]", "<unk>": "[UNK]", "<mask>": "[MASK]"}
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        renamed = {names.get(token, token): index for token, index in vocabulary.items()}
        (folder / "vocab.json").write_text(json.dumps(renamed), encoding="utf-8")
    settings = special_tokens()[variant]
    for name in ("tokenizer_config.json", "added_tokens.json"):
        (folder / name).write_text(json.dumps(settings[f"{name}_used"]), encoding="utf-8")
    return folder


def special_tokens() -> dict[str, Any]:
    """Return special tokens and settings by variant. "thudm_..." are those of the authors' code."""
    path = "tokenizers/special_tokens.json"
    folder = GOLDEN if (GOLDEN / path).exists() else FIXTURES
    return json.loads((folder / path).read_text(encoding="utf-8"))


def golden_records(family: str) -> list[dict[str, Any]]:
    lines = read_golden(f"tokenizers/{family}.jsonl").decode().splitlines()
    return [json.loads(line) for line in lines]
