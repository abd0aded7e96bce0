"""Write model cards: what a model is, how to use it and how it was trained."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.repocard_data import model_index_to_eval_results
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..configuration_glm import GLMConfig
from ..modeling_glm import (
    AUTO_CLASSES,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMForQuestionAnswering,
    GLMForSequenceClassification,
    GLMForTokenClassification,
    GLMModel,
)
from ..tokenization import PatternVerbalizer
from ..utils.files import write_whole
from .merge import mark_section, merge_model_cards
from .snippets import read_task, write_snippets

if TYPE_CHECKING:  # importing them takes a second, and most programs push no card
    from transformers import Trainer
    from transformers.modelcard import TrainingSummary

# The hub's name for the task of each class.
PIPELINE_TAGS: dict[type[PreTrainedModel], str] = {
    GLMModel: "feature-extraction",
    GLMForConditionalGeneration: "text-generation",
    GLMForMultipleChoice: "multiple-choice",
    GLMForSequenceClassification: "text-classification",
    GLMForTokenClassification: "token-classification",
    GLMForQuestionAnswering: "question-answering",
}
if (decider := AUTO_CLASSES.get("AutoModelForDecision")) is not None:
    PIPELINE_TAGS[decider] = "zero-shot-classification"
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
    trainer: "Trainer | TrainingSummary | None" = None,
    sections: dict[str, str] | None = None,
) -> ModelCard:
    """
    Create a card with metadata for the hub and generated sections.

    Each section stands between two comments: `<!-- modeling-glm: usage -->` and `<!-- /modeling-glm: usage -->`.
    A later update finds it by them and leaves the text of the user alone.

    Args:
        config_or_model: The model, or its config.
        tokenizer: Its tokenizer. The code in the card suits its vocabulary. Without it, the code feeds ids. If it
            carries a cloze task, the card describes the task and the code classifies.
        model_class: Class that the weights are for, by default that of the model or the first in
            `config.architectures`.
        model_id: What the code loads: a repository or a folder.
        model_name: Title, by default the last part of `model_id`.
        base_model, license, language, datasets: Metadata of the hub.
        tags: Further tags.
        eval_results: Measured results, for the model-index and the metrics in the metadata.
        trainer: The trainer of the model, or its summary. The card gets its settings, results and versions. Its
            metadata fill in for arguments that you leave out.
        sections: Further sections in Markdown by their names. "description", "task", "usage", "training", "limits" and
            "citation" replace the generated section.

    Raises:
        TypeError: If the model or config is not a GLM.
        ValueError: If the name of a section has characters other than letters, digits and underscores.
    """
    config = config_or_model.config if isinstance(config_or_model, PreTrainedModel) else config_or_model
    if not isinstance(config, GLMConfig):
        raise TypeError(f"Expected a model of GLM or a GLMConfig, got {type(config_or_model).__name__}.")
    model_class = _find_class(model_class or type(config_or_model), config)
    model_id = (model_id or config.name_or_path or model_name or "GLM").rstrip("/")
    name = model_name or model_id.split("/")[-1]

    own = dict(sections or {})
    if wrong := [key for key in own if not re.fullmatch(r"\w+", key)]:
        raise ValueError(f"sections has the name {wrong[0]!r}: expected only letters, digits and underscores.")
    texts = {
        "description": _describe(config, model_class),
        "task": _describe_task(read_task(tokenizer, model_class), eval_results),
        "usage": _write_usage(config, tokenizer, model_class, model_id),
        "training": "",
        **dict.fromkeys(own, ""),
        "limits": _describe_limits(config),
        "citation": CITATION,
    }
    trained: dict[str, Any] = {}
    if trainer is not None:
        from transformers.modelcard import TrainingSummary

        summary = trainer if isinstance(trainer, TrainingSummary) else TrainingSummary.from_trainer(trainer)
        texts["training"] = _describe_training(summary)
        trained = _read_metadata(summary)
    texts.update(own)
    body = "\n\n".join(mark_section(key, text.strip()) for key, text in texts.items() if text.strip())

    eval_results = eval_results or trained.get("eval_results")
    data = ModelCardData(
        library_name="transformers",
        pipeline_tag=PIPELINE_TAGS[model_class],
        tags=[*TAGS, *_as_list(tags), *_as_list(trained.get("tags"))],  # ModelCardData drops repeated ones
        license=license or trained.get("license"),
        language=language or trained.get("language"),
        base_model=base_model or trained.get("base_model"),
        datasets=datasets or trained.get("datasets"),
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
    Write a card to README.md in a folder, merged with the card that is there.

    `modeling_glm.hub.merge.merge_model_cards` has the rules of merging.

    Args:
        folder: Folder of the model. Its name is the default of `model_id`.
        config_or_model, tokenizer, details: As in `create_model_card`.

    Returns:
        The path of the card.

    Raises:
        ValueError: If README.md is a folder, is not UTF-8, or has metadata that cannot be read. It is not changed then.
    """
    folder = Path(folder)
    path = folder / "README.md"
    require_file(path)
    details["model_id"] = details.get("model_id") or folder.absolute().name
    card = str(create_model_card(config_or_model, tokenizer, **details))
    if path.exists():
        try:
            card = merge_model_cards(path.read_bytes().decode("utf-8-sig"), card)
        except ValueError as error:
            raise ValueError(f"The model card {path} cannot be merged with the new one: {error}") from error
    write_whole(path, card)
    return path


def require_file(card: Path) -> None:
    """Raise a `ValueError` if a folder stands where the card belongs."""
    if card.is_dir():
        raise ValueError(f"{card} is a folder, expected the file of a model card: move it away.")


def count_parameters(config: GLMConfig, model_class: type[PreTrainedModel] = GLMForConditionalGeneration) -> int:
    """Count the parameters of a model with this config, without its memory. Tied parameters count once."""
    with torch.device("meta"):
        return model_class(config).num_parameters()


def _find_class(given: type, config: GLMConfig) -> type[PreTrainedModel]:
    """
    Find the class of this package that the given one is or inherits from.

    Names are compared because code that was loaded from the hub has classes of its own.
    """
    classes = {known.__name__: known for known in PIPELINE_TAGS}
    names = [*(base.__name__ for base in given.__mro__), *(config.architectures or ())]
    return next((classes[name] for name in names if name in classes), GLMForConditionalGeneration)


def _describe(config: GLMConfig, model_class: type[PreTrainedModel]) -> str:
    return f"""A `{model_class.__name__}` of GLM ([Du et al., ACL 2022]({PAPER})). GLM is a Transformer that is
pretrained to fill blanks in texts: it reads the text around a blank in both directions and writes the answer token by
token. This model has {count_parameters(config, model_class):,} parameters: {config.num_hidden_layers} layers of width {config.hidden_size} with {config.num_attention_heads} attention heads, and a
vocabulary of {config.vocab_size} rows."""


def _describe_task(task: PatternVerbalizer | None, results: list[EvalResult] | None) -> str:
    """Write the patterns, labels and words of a cloze task, its calibration and what was measured."""
    if task is None:
        return ""
    parts = ["## Task", "The model classifies by filling the blank of a pattern:"]
    parts.append("\n".join(f"- `{pattern.text}`" for pattern in task.patterns))
    verbalizer = task.patterns[0].verbalizer
    if verbalizer is None:
        parts.append("The choices come with every example.")
    else:
        rows = [f"| {label} | {', '.join(f'`{word}`' for word in words)} |" for label, words in verbalizer.items()]
        parts.append("\n".join(["| label | words |", "|---|---|", *rows]))
    calibration = task.calibration or {}
    method, temperature = calibration.get("method"), calibration.get("temperature", 1.0)
    corrected = f"calibrated by the method `{method}`" if method else "not corrected for what the model prefers anyway"
    parts.append(f"Scores are {corrected}, and divided by a temperature of {temperature:.4g}.")
    rule = task.answer_rule or {}
    if "threshold" in rule:
        parts.append(
            f"The pipeline answers `None` where the best label has a probability below {rule['threshold']:.4g}."
        )
    if "coverage" in rule:
        parts.append(
            f"With `prediction_sets=True` it returns sets of labels, of which {rule['coverage']:.1%} have the right one on "
            "texts like those that the sets were fitted on."
        )
    if results:
        parts.append("\n".join(f"- {found.metric_type}: {found.metric_value}" for found in results))
    return "\n\n".join(parts)


def _write_usage(
    config: GLMConfig, tokenizer: PreTrainedTokenizerBase | None, model_class: type[PreTrainedModel], model_id: str
) -> str:
    snippets = write_snippets(config, tokenizer, model_class, model_id)
    blocks = "\n\n".join(f"### {title}\n\n```python\n{code.strip()}\n```" for title, code in snippets.items())
    if read_task(tokenizer, model_class) is not None:
        return f"""## Use

Install the package with `pip install modeling-glm`. Its import registers the pipeline: without it, Transformers says that
it does not know the task "cloze-classification".

{blocks}"""
    return f"""## Use

Install the package with `pip install modeling-glm`. Importing it registers GLM with the Auto classes of Transformers.
To do without the package, leave out `import modeling_glm` and pass `trust_remote_code=True` to every
`from_pretrained`. This runs the code that is stored with the weights.

{blocks}"""


def _describe_limits(config: GLMConfig) -> str:
    return f"""## Limits

A text can have up to {config.max_context_length} tokens, the answer for a blank up to {config.max_piece_length - 1}. The model fills blanks from left to right: an
answer depends on the answers before it, not on later ones. Language models repeat the errors and prejudices of their
training data, and they make up facts. Check what they write."""


def _describe_training(summary: "TrainingSummary") -> str:
    """Write base model, data and results, and then the settings and versions as in the cards of Transformers."""
    texts = []
    data = " and ".join(_as_list(summary.dataset))
    if base := summary.finetuned_from:
        texts.append(f"Fine-tuned from [{base}](https://huggingface.co/{base}){f' on {data}' if data else ''}.")
    elif data:
        texts.append(f"Trained on {data}.")
    if summary.eval_results:
        figures = "\n".join(
            f"- {name}: {round(value, 4) if isinstance(value, float) else value}"
            for name, value in summary.eval_results.items()
        )
        texts.append(f"Results on the evaluation set:\n\n{figures}")
    _, heading, settings = summary.to_model_card().partition("## Training procedure")
    return "\n\n".join([heading, *texts, settings.strip()])


def _read_metadata(summary: "TrainingSummary") -> dict[str, Any]:
    """Return the metadata that a trainer knows, named as the arguments of `create_model_card`."""
    metadata = summary.create_metadata()
    index = metadata.pop("model-index")
    if index[0]["results"]:
        _, metadata["eval_results"] = model_index_to_eval_results(index)
    return metadata


def _as_list(value: str | list[str] | None) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


__all__ = ["PIPELINE_TAGS", "count_parameters", "create_model_card", "require_file", "write_model_card"]
