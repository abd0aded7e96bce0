"""
Write the card of the whole family of models, MODEL_CARD.md: what GLM is, and which weights exist.

    python -m modeling_glm.hub.family MODEL_CARD.md
"""

import sys

from huggingface_hub import ModelCard, ModelCardData

from ..configuration_glm import BERT_IDS, CHINESE_IDS, GPT2_IDS, PRESETS, ROBERTA_IDS, GLMConfig
from ..utils.files import write_whole
from .card import CITATION, TAGS, count_parameters

VOCABULARIES = {"BERT uncased": BERT_IDS, "RoBERTa": ROBERTA_IDS, "GPT-2": GPT2_IDS, "SentencePiece": CHINESE_IDS}
BLANKS = {"mask_token_id": "`[MASK]`", "smask_token_id": "`[sMASK]`", "gmask_token_id": "`[gMASK]`"}

INTRODUCTION = """# GLM: General Language Model

## What it is

GLM (Du et al., ACL 2022) is a family of language models that are pretrained by *autoregressive blank infilling*. Spans
of a text are replaced by blanks. The model fills each blank token by token, and reads the rest of the text in both
directions. The same weights can answer cloze questions, fill blanks of unknown length, and generate text with or
without a prompt.

This repository has an implementation for Transformers 5. It does not have the published weights: others distribute
them under their own terms.

## Use

`examples/glm-tiny` is a small model for trying the code. It has 7 million parameters. It was trained on facts that
come with Python, small documents about English words, and old prose. Use any other GLM in the same way, by the name of
its repository or by its folder:

```python
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
import modeling_glm

tokenizer = AutoTokenizer.from_pretrained("examples/glm-tiny")
model = AutoModelForSeq2SeqLM.from_pretrained("examples/glm-tiny")
text = "The opposite of [MASK] is cold."
inputs = tokenizer(text, return_tensors="pt")
(answers,) = tokenizer.decode_blanks(model.generate(**inputs))
print(tokenizer.fill(text, answers))
```"""

CONVERSION = """`modeling-glm convert SOURCE TARGET` converts an unpacked archive of the authors, or a repository on the hub, to a
folder with safetensors and a model card. [The guide](docs/guides/convert.md) has the command for each checkpoint, and
lists the differences to the original implementations.

The published weights have not been tried: neither the archives nor the hub could be reached. The tests use small
random weights of the same layout, and the numbers that the original implementations computed with them. Logits, losses
and gradients agree within 1e-4, and the generated ids are the same."""

REST = """## Intended use

Research on blank infilling and its applications:

- cloze classification: zero-shot, few-shot or fine-tuned
- filling blanks and rewriting text
- summarization and other conditional generation, after fine-tuning
- pretraining on your own corpus

The models are not instruction-tuned, so they do not follow instructions.

## Training data

According to the paper, Base and Large were trained on BooksCorpus and English Wikipedia, as BERT was. The training
data of the RoBERTa size are like those of RoBERTa. The English models with 2B and 10B parameters were trained on the
Pile, the Chinese models on WuDaoCorpora.

## Limits

- A text can have up to {texts} tokens, an answer up to {answers} (`max_position_embeddings`).
- The models repeat the errors and the prejudices of their training data, and they make up facts. Check what they
  write, and do not let them decide about people.
- BERT's vocabulary is lower-cased. It splits numbers and rare names into subwords that small models confuse.
- The models fill blanks from left to right: an answer depends on the answers before it, not on later ones."""


def create_family_card() -> ModelCard:
    """Create the card of the family. Its numbers come from `PRESETS`."""
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
    names: dict[tuple[tuple[str, int], ...], list[str]] = {}  # checkpoints with the same config share a row
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
        raise SystemExit(f"Expected one argument, the file to write, got {sys.argv[1:]}.{__doc__}")
    write_whole(sys.argv[1], str(create_family_card()))


if __name__ == "__main__":
    main()
