"""Model cards: what a GLM is, how to use it, how it was trained; merged with what is written already."""

import os
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer
from transformers.modelcard import TrainingSummary

from ..configuration_glm import GLMConfig
from ..modeling_glm import (
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from ..utils.files import write_whole
from .merge import mark_section, merge_model_cards
from .snippets import write_snippets

PIPELINE_TAGS: dict[type[PreTrainedModel], str] = {
    GLMModel: "feature-extraction",
    GLMForConditionalGeneration: "text-generation",
    GLMForMultipleChoice: "multiple-choice",
    GLMForSequenceClassification: "text-classification",
    GLMForTokenClassification: "token-classification",
    GLMForQuestionAnswering: "question-answering",
}
TAGS = ["glm", "blank-infilling", "cloze"]

PAPER = "https://aclanthology.org/2022.acl-long.26/"
CITATION = """## Citation

```bibtex
@inproceedings{du-etal-2022-glm,
  title = {{GLM}: General Language Model Pretraining with Autoregressive Blank Infilling},
  author = {Du, Zhengxiao and Qian, Yujie and Liu, Xiao and Ding, Ming and Qiu, Jiezhong and Yang, Zhilin and Tang, Jie},
  booktitle = {Proceedings of the 60th Annual Meeting of the Association for Computational Linguistics (Volume 1: Long Papers)},
  year = {2022},
  pages = {320--335},
}
```"""


def create_model_card(
    config_or_model: GLMConfig | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    model_class: type[PreTrainedModel] | None = None,
    model_id: str | None = None,
    model_name: str | None = None,
    base_model: str | list[str] | None = None,
    license: str | None = None,
    language: str | list[str] | None = None,
    datasets: str | list[str] | None = None,
    tags: str | list[str] | None = None,
    eval_results: list[EvalResult] | None = None,
    trainer: Trainer | TrainingSummary | None = None,
    sections: dict[str, str] | None = None,
) -> ModelCard:
    """
    A card with metadata for the hub, and with sections that can be told from a user's own text: each stands between
    two comments, such as `<!-- modeling-glm: usage -->` and `<!-- /modeling-glm: usage -->`.

    Args:
        config_or_model: The model, or the config of one.
        tokenizer: Its tokenizer. The code uses its blanks and suits its vocabulary; without it there is none for texts.
        model_class: Which class the weights are for; that of the model, or the first in `config.architectures`.
        model_id: Name of the repository, or a folder: what the code loads.
        model_name: The title; the last part of `model_id` if not given.
        base_model, license, language, datasets: As the hub's metadata have them.
        tags: Further tags.
        eval_results: What was measured; it becomes the model-index and the metrics of the metadata.
        trainer: What trained the model, or its summary: settings, results and versions are told, and the metadata that
            it knows are used where none are given here.
        sections: Further sections in Markdown by names of letters, digits and underscores. Those named "description",
            "usage", "training", "limits" or "citation" take the place of the generated one.

    Raises:
        TypeError: if it is not about a GLM.
        ValueError: for a section with another name.
    """
    config = config_or_model.config if isinstance(config_or_model, PreTrainedModel) else config_or_model
    if not isinstance(config, GLMConfig):
        raise TypeError(f"Expected a model of GLM or a GLMConfig, got {type(config_or_model).__name__}.")
    model_class = _find_class(model_class or type(config_or_model), config)
    model_id = (model_id or config.name_or_path or model_name or "GLM").rstrip("/")
    name = model_name or model_id.split("/")[-1]

    own = dict(sections or {})
    if wrong := [key for key in own if not re.fullmatch(r"\w+", key)]:
        raise ValueError(f"sections has the name {wrong[0]!r}: expected letters, digits and underscores alone.")
    texts = {
        "description": _describe(config, model_class),
        "usage": _write_usage(config, tokenizer, model_class, model_id),
        "training": "",
        **dict.fromkeys(own, ""),
        "limits": _describe_limits(config),
        "citation": CITATION,
    }
    told: dict[str, Any] = {}
    if trainer is not None:
        summary = trainer if isinstance(trainer, TrainingSummary) else TrainingSummary.from_trainer(trainer)
        texts["training"] = _describe_training(summary)
        told = _read_metadata(summary)
    texts.update(own)
    body = "\n\n".join(mark_section(key, text.strip()) for key, text in texts.items() if text.strip())

    eval_results = eval_results or told.get("eval_results")
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=PIPELINE_TAGS[model_class],
        tags=[*TAGS, *_as_list(tags), *_as_list(told.get("tags"))],  # which keeps the first of equal ones
        license=license or told.get("license"),
        language=language or told.get("language"),
        base_model=base_model or told.get("base_model"),
        datasets=datasets or told.get("datasets"),
        metrics=list(dict.fromkeys(result.metric_type for result in eval_results)) if eval_results else None,
        model_name=name if eval_results else None,
        eval_results=eval_results,
    )
    return ModelCard(f"---\n{data}\n---\n\n# {name}\n\n{body}\n")


def write_model_card(
    folder: str | os.PathLike,
    config_or_model: GLMConfig | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None = None,
    **details: Any,
) -> Path:
    """
    Writes the card of [`create_model_card`] to README.md in `folder`, merged with the one that is there as
    [`~modeling_glm.hub.merge.merge_model_cards`] says.

    Args:
        folder: Where the model is. Its name stands for `model_id` if none is given.
        config_or_model, tokenizer, details: As for [`create_model_card`].

    Returns:
        The path of the card.

    Raises:
        ValueError: if the metadata of the card that is there cannot be read. It is left as it is.
    """
    folder = Path(folder)
    path = folder / "README.md"
    details["model_id"] = details.get("model_id") or folder.absolute().name
    card = str(create_model_card(config_or_model, tokenizer, **details))
    if path.exists():
        try:
            card = merge_model_cards(path.read_bytes().decode("utf-8-sig"), card)
        except ValueError as error:
            raise ValueError(f"The model card {path} cannot be merged with the new one: {error}") from error
    write_whole(path, card)
    return path


def count_parameters(config: GLMConfig, model_class: type[PreTrainedModel] = GLMForConditionalGeneration) -> int:
    """Number of parameters of a model with this config; tied ones count once. No memory is taken."""
    with torch.device("meta"):
        return model_class(config).num_parameters()


def _find_class(given: type, config: GLMConfig) -> type[PreTrainedModel]:
    """Ours that the given class is, is derived from, or has the name of (as those of remote code)."""
    classes = {known.__name__: known for known in PIPELINE_TAGS}
    names = [*(base.__name__ for base in given.__mro__), *(config.architectures or ())]
    return next((classes[name] for name in names if name in classes), GLMForConditionalGeneration)


def _describe(config: GLMConfig, model_class: type[PreTrainedModel]) -> str:
    return f"""A `{model_class.__name__}`: a GLM ([Du et al., ACL 2022]({PAPER})), the Transformer that
is pretrained by filling blanks in texts, which it reads in both directions, one token at a time. It has
{count_parameters(config, model_class):,} parameters: {config.num_hidden_layers} layers of width {config.hidden_size} with {config.num_attention_heads} attention heads, and a vocabulary of
{config.vocab_size} rows."""


def _write_usage(
    config: GLMConfig, tokenizer: PreTrainedTokenizerBase | None, model_class: type[PreTrainedModel], model_id: str
) -> str:
    snippets = write_snippets(config, tokenizer, model_class, model_id)
    blocks = "\n\n".join(f"### {title}\n\n```python\n{code.strip()}\n```" for title, code in snippets.items())
    return f"""## Use

`pip install modeling-glm` makes the Auto classes know GLM, once it is imported. Without it, leave out `import modeling_glm`
and give every `from_pretrained` the argument `trust_remote_code=True`, which runs the code that lies beside the weights.

{blocks}"""


def _describe_limits(config: GLMConfig) -> str:
    return f"""## Limits

A text may have up to {config.max_context_length} tokens, the answer for a blank up to {config.max_piece_length - 1}. Blanks are filled from left to right, each
answer seen by the next, not the other way round. Language models repeat what their corpora hold, with its errors and its
prejudices, and make up facts: check what they write."""


def _describe_training(summary: TrainingSummary) -> str:
    """What was trained on what, with which results, then settings and versions as Trainer's own cards tell them."""
    told = []
    data = " and ".join(_as_list(summary.dataset))
    if base := summary.finetuned_from:
        told.append(f"Fine-tuned from [{base}](https://huggingface.co/{base}){f' on {data}' if data else ''}.")
    elif data:
        told.append(f"Trained on {data}.")
    if summary.eval_results:
        figures = "\n".join(
            f"- {name}: {round(value, 4) if isinstance(value, float) else value}"
            for name, value in summary.eval_results.items()
        )
        told.append(f"Results on the evaluation set:\n\n{figures}")
    _, heading, settings = summary.to_model_card().partition("## Training procedure")
    return "\n\n".join([heading, *told, settings.strip()])


def _read_metadata(summary: TrainingSummary) -> dict[str, Any]:
    """What Trainer knows, by the names of [`create_model_card`]."""
    metadata = summary.create_metadata()
    index = metadata.pop("model-index")
    if index[0]["results"]:
        _, metadata["eval_results"] = model_index_to_eval_results(index)
    return metadata


def _as_list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


__all__ = ["count_parameters", "create_model_card", "write_model_card"]
