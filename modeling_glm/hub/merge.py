"""Merge model cards: keep the text of people, and update the generated sections."""

import copy
import re
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any

import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard import REGEX_YAML_BLOCK
from huggingface_hub.utils import yaml_dump
from transformers.utils import logging

from ..utils.yaml_text import read_yaml

logger = logging.get_logger(__name__)

SECTION_START = re.compile(r"<!-- modeling-glm: (\w+) -->\r?\n")
SECTION_END = re.compile(r"\r?\n<!-- /modeling-glm: (\w+) -->")

# Every card gets these metadata. If an existing card has another value, it is kept without a warning.
DEFAULTS = ("library_name", "pipeline_tag")
# Metadata with one value or a list of values.
LISTS = ("datasets", "language", "metrics", "tags")

# The only sentence that Transformers adds to the template of huggingface_hub.
TEMPLATE_SENTENCE = "This is the model card of a 🤗 transformers model that has been pushed on the Hub. This model card has been automatically generated."


def mark_section(key: str, text: str) -> str:
    """Put a text between the two comments that mark a generated section."""
    return f"<!-- modeling-glm: {key} -->\n{text}\n<!-- /modeling-glm: {key} -->"


def merge_model_cards(existing: str, new: str) -> str:
    """
    Complete an existing card from a new one.

    - Metadata: missing values are added, and so are new entries of lists and new results of the model-index. A result
      for the same metric on the same data is replaced. Any other value that differs is kept, with a warning.
    - Text: the generated sections replace their older versions. If the text is only the template of huggingface_hub,
      all of it is replaced.
    - Everything else stays the same, character by character.

    Args:
        existing, new: Complete cards: metadata between two lines `---`, then Markdown.

    Returns:
        The merged card.

    Raises:
        ValueError: If the metadata of the existing card are not a YAML mapping, or new results meet a model-index of
            another form.
    """
    head, metadata, text = _split(existing)
    _, new_metadata, new_text = _split(new)
    line_break = "\r\n" if "\r\n" in existing else "\n"
    metadata = _merge_yaml(metadata, _read_yaml(new_metadata), line_break)
    if _is_template(text):
        text = line_break.join(["", *new_text.strip("\n").split("\n"), ""])
    else:
        text = _merge_texts(text, new_text, line_break)
    return f"{head or '---' + line_break}{metadata}{line_break}---{line_break}{text}"


def _split(card: str) -> tuple[str, str, str]:
    """Split a card into the line that opens the metadata, the metadata, and the text behind them."""
    if (match := REGEX_YAML_BLOCK.search(card)) is None:
        return "", "", card
    return match.group(1), match.group(2), card[match.end() :]


def _read_yaml(block: str) -> dict[str, Any]:
    try:
        metadata = read_yaml(block)
    except ValueError as error:
        raise ValueError(f"the metadata are not YAML: {error}") from error
    if metadata is not None and not isinstance(metadata, dict):
        raise ValueError(f"the metadata are a {type(metadata).__name__}, expected a mapping: {block!r}.")
    return metadata or {}


def find_sections(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield key, start and end of every generated section, in time linear in the length of the text."""
    ends: dict[str, deque[re.Match]] = defaultdict(deque)
    for match in SECTION_END.finditer(text):
        ends[match.group(1)].append(match)
    behind = 0
    for match in SECTION_START.finditer(text):
        candidates = ends[match.group(1)]
        while candidates and candidates[0].start() < match.end():
            candidates.popleft()
        if candidates and match.start() >= behind:
            behind = candidates[0].end()
            yield match.group(1), match.start(), behind


def _merge_texts(text: str, new_text: str, line_break: str) -> str:
    end = None  # of the previous generated section; a section without an older version goes behind it
    for key, new_start, new_stop in find_sections(new_text):
        section = new_text[new_start:new_stop].replace("\n", line_break)
        old = next((span for other, *span in find_sections(text) if other == key), None)
        if old is not None:
            start, stop = old
        elif end is not None:
            section = 2 * line_break + section
            start = stop = end
        else:
            text = text.rstrip()
            section = (2 * line_break if text else "") + section
            start, stop = len(text), len(text)
            text += line_break
        text = text[:start] + section + text[stop:]
        end = start + len(section)
    return text


def _is_template(text: str) -> bool:
    """Return whether every line comes from the template of huggingface_hub, so that nobody has written anything."""
    template = ModelCard.default_template_path.read_text(encoding="utf-8")
    template = re.sub(r'\{\{[^}]*default\("([^"]*)"[^}]*\}\}', r"\1", template)
    lines = {line.strip() for line in (*template.splitlines(), TEMPLATE_SENTENCE)}
    return all(line.strip() in lines for line in text.splitlines() if line.strip())


def merge_metadata(existing: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Complete existing metadata from new ones by the rules of `merge_model_cards`."""
    merged = dict(existing)
    for key, value in new.items():
        known = existing.get(key)
        if known is None or known == []:
            merged[key] = value
        elif key == "model-index":
            merged[key] = _merge_model_index(known, value)
        elif isinstance(known, str | list) and (key in LISTS or isinstance(value, list)):
            known = known if isinstance(known, list) else [known]
            values = value if isinstance(value, list) else [value]
            if further := [entry for entry in values if entry not in known]:
                merged[key] = [*known, *further]
        elif known != value and key not in DEFAULTS:
            logger.warning(f"The model card keeps its {key}: {known!r}. Edit the card to change it to {value!r}.")
    return merged


def _merge_model_index(existing: Any, new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged = copy.deepcopy(existing)
    try:
        known = [(_data_of(result), result["metrics"]) for entry in merged for result in entry["results"]]
        home = next((entry for entry in merged if entry.get("name") == new[0]["name"]), merged[0])["results"]
        for result in new[0]["results"]:
            metrics = next((metrics for data, metrics in known if data == _data_of(result)), None)
            if metrics is None:
                home.append(result)
                continue
            for metric in result["metrics"]:
                metrics[:] = [old for old in metrics if not _is_same_metric(old, metric)] + [metric]
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(
            f"the model-index is not a list of names with results, each with task, dataset and metrics: {existing!r}. "
            "Correct or delete it, so that new results can be added."
        ) from error
    return merged


def _data_of(result: dict[str, Any]) -> tuple:
    """Return the task and the data of a result, which tell whether two results are about the same."""
    return result["task"]["type"], *(result["dataset"].get(key) for key in ("type", "config", "split", "revision"))


def _is_same_metric(old: dict[str, Any], new: dict[str, Any]) -> bool:
    names = {old.get("name"), new.get("name")} - {None}
    return len(names) < 2 and all(old.get(key) == new.get(key) for key in ("type", "config", "args"))


def _merge_yaml(block: str, new: dict[str, Any], line_break: str) -> str:
    """Add new metadata to a YAML text. Entries that do not change keep their comments and their spelling."""
    existing = _read_yaml(block)
    merged = merge_metadata(existing, new)
    edited = block
    changed = {key: _dump(key, value, line_break) for key, value in merged.items() if existing.get(key) != value}
    root = yaml.compose(block, Loader=yaml.SafeLoader)
    for key_node, value_node in reversed(root.value if existing else []):
        if isinstance(key_node, yaml.ScalarNode) and (text := changed.pop(key_node.value, None)) is not None:
            edited = edited[: key_node.start_mark.index] + text + edited[_end_of(value_node) :]
    edited = line_break.join([*([edited.rstrip()] if edited.strip() else []), *changed.values()])
    try:
        if yaml.safe_load(edited) == merged:
            return edited
    except yaml.YAMLError:
        pass  # nothing can be added behind a mapping in braces, for example
    return line_break.join(_dump(key, value, line_break) for key, value in merged.items())


def _dump(key: str, value: Any, line_break: str) -> str:
    return yaml_dump({key: value}, sort_keys=False, line_break=line_break).strip()


def _end_of(node: yaml.Node) -> int:
    """Return where the text of a value ends. A block of lines ends at the next key, but its last entry does not."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end_of(last[1] if isinstance(last, tuple) else last)
    return node.end_mark.index


__all__ = ["find_sections", "mark_section", "merge_metadata", "merge_model_cards"]
