"""
Write the card of the whole family of models, MODEL_CARD.md: what GLM is, and which weights exist.

    python -m modeling_glm.hub.family MODEL_CARD.md
"""

import sys
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from ..configuration_glm import BERT_IDS, CHINESE_IDS, GPT2_IDS, PRESETS, ROBERTA_IDS, GLMConfig
from .card import CITATION, TAGS, count_parameters

VOCABULARIES = {"BERT uncased": BERT_IDS, "RoBERTa": ROBERTA_IDS, "GPT-2": GPT2_IDS, "SentencePiece": CHINESE_IDS}
BLANKS = {"mask_token_id": "`[MASK]`", "smask_token_id": "`[sMASK]`", "gmask_token_id": "`[gMASK]`"}

INTRODUCTION = """# GLM: General Language Model

## What it is

GLM (Du et al., ACL 2022) is a family of language models pretrained by *autoregressive blank infilling*: spans of a text
are replaced by blanks, and the model writes what fills them, token by token, while it sees the rest of the text in both
directions. One set of weights serves language understanding by cloze questions, filling blanks of unknown length, and
conditional or unconditional generation. This repository holds an implementation for Transformers 5, not the weights of
the published checkpoints, which others distribute under terms of their own.

## Use

`examples/glm-tiny` (3 million parameters, trained on facts and documentation that ship with Python) is a toy for trying the
code. Any other GLM is used in the same way, by the name of its repository or the folder that it is in:

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
import modeling_glm

tokenizer = AutoTokenizer.from_pretrained("examples/glm-tiny")
model = AutoModelForSeq2SeqLM.from_pretrained("examples/glm-tiny")
text = "The time 19:20 has the hour [MASK] and the minute [MASK]."
inputs = tokenizer(text, return_tensors="pt")
(answers,) = tokenizer.decode_blanks(model.generate(**inputs))
print(tokenizer.fill(text, answers))
```"""

CONVERSION = """`modeling-glm convert SOURCE TARGET` turns an archive of the authors or a repository on the hub into a folder of
safetensors with a card like this one. [The guide](docs/guides/convert.md) has the command for each of them, and what
differs from the originals' behaviour then. Neither the archives nor the hub could be reached while this was written; what
stands in for the published weights in the tests are small random ones of the same layout and the numbers that the original
implementations produced with them: logits, losses and gradients agree within 1e-4, generated ids exactly."""

REST = """## Intended use

Research on and applications of blank infilling: cloze classification (zero-shot, few-shot, fine-tuned), filling and
rewriting text, summarisation and other conditional generation after fine-tuning, and pretraining on a corpus of
one's own. The models are not instruction-tuned and follow no orders.

## Training data

According to the paper, Base and Large were trained on BooksCorpus and English Wikipedia, as BERT was; the RoBERTa size
on data like RoBERTa's; the 2B and 10B English models on the Pile; the Chinese ones on WuDaoCorpora.

## Limits

- A text may have {texts} tokens, an answer {answers}, by the position tables (`max_position_embeddings`).
- The models repeat what their corpora hold, with its errors and its prejudices about people, and they make up facts.
  Check what they write, and do not let them decide about people.
- BERT's vocabulary is lower-cased; digits and rare names are cut into pieces that small models confuse.
- Blanks are filled from left to right, each answer seen by the next, not the other way round."""


def create_family_card() -> ModelCard:
    """The card; its figures follow from the presets."""
    data = ModelCardData(library_name="transformers", pipeline_tag="text-generation", license="apache-2.0", tags=TAGS)
    configs = [GLMConfig.from_preset(name) for name in PRESETS]
    texts, answers = (
        " or ".join(map(str, sorted(lengths)))
        for lengths in (
            {config.max_context_length for config in configs},
            {config.max_piece_length - 1 for config in configs},
        )
    )
    sections = [INTRODUCTION, _list_weights(), CONVERSION, REST.format(texts=texts, answers=answers), CITATION]
    return ModelCard(f"---\n{data}\n---\n\n" + "\n\n".join(sections) + "\n")


def _list_weights() -> str:
    names: dict[tuple, list[str]] = {}  # of checkpoints that differ in their weights alone
    for name, preset in PRESETS.items():
        names.setdefault(tuple(preset.items()), []).append(name)
    rows = [
        f"| {', '.join(same)} | {_describe(GLMConfig.from_preset(same[0]), dict(preset))} |"
        for preset, same in names.items()
    ]
    return "\n".join(
        [
            "## Which weights exist",
            "",
            "The authors published these checkpoints; `GLMConfig.from_preset(name)` gives the configuration of each.",
            "",
            "| name | layers / hidden / heads | positions | vocabulary | blanks | parameters |",
            "|---|---|---|---|---|---|",
            *rows,
        ]
    )


def _describe(config: GLMConfig, preset: dict[str, int]) -> str:
    vocabulary = next(name for name, ids in VOCABULARIES.items() if ids.items() <= preset.items())
    cells = [
        f"{config.num_hidden_layers} / {config.hidden_size} / {config.num_attention_heads}",
        str(config.max_position_embeddings),
        f"{config.vocab_size}, {vocabulary}",
        " ".join(token for name, token in BLANKS.items() if name in preset),
        f"{count_parameters(config):,}",
    ]
    return " | ".join(cells)


def main() -> None:
    if len(sys.argv) != 2:
        raise SystemExit(f"Expected one argument, the file to write, got {sys.argv[1:]}: {__doc__}")
    Path(sys.argv[1]).write_text(str(create_family_card()), encoding="utf-8")


if __name__ == "__main__":
    main()
