"""
Print what importing the package changes in other libraries. tests/modeling_glm/test_registration.py runs this script.

The output is JSON. "import_package" lists the changes; "patch_libraries" lists what the comparison finds where
something was changed on purpose. The script first loads every module of other libraries that the package needs, so
that loading them counts as no change.
"""

import importlib
import json
import subprocess
import sys
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

LIBRARIES = ("transformers", "huggingface_hub", "tokenizers", "safetensors", "torch", "numpy", "accelerate", "peft")
MISSING = object()
# Python fills these when a class is used.
CACHES = {"__annotations__", "__annotations_cache__", "__doc__", "_abc_impl", "__static_attributes__"}
Container = dict | list | set


@dataclass
class Snapshot:
    """
    Attributes: all attributes of modules and classes by their places, the containers among them or in them, copies of
    the containers, and the number of classes.
    """

    attributes: dict[str, Any]
    containers: dict[str, Container]
    copies: dict[str, Container]
    classes: int


def import_package() -> None:
    importlib.import_module("modeling_glm")


def patch_libraries() -> None:
    """Change what earlier versions of the package changed, and a few places more."""
    from transformers import Trainer
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from transformers.pipelines import PIPELINE_REGISTRY
    from transformers.trainer import DEFAULT_CALLBACKS

    Trainer.create_model_card = Trainer.push_to_hub
    Trainer.marker = True
    DEFAULT_CALLBACKS.append(Trainer)
    PIPELINE_REGISTRY.supported_tasks["text-generation"]["impl"] = Trainer
    ALL_ATTENTION_FUNCTIONS.register("sdpa", patch_libraries)
    ALL_ATTENTION_FUNCTIONS.register("mine", patch_libraries)


def loaded_modules() -> list[str]:
    return sorted(name for name in sys.modules if name.split(".")[0] in LIBRARIES)


def load_modules_that_the_package_loads() -> None:
    code = "import json, sys, modeling_glm; print(json.dumps(list(sys.modules)))"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    for name in json.loads(listed):
        if name.split(".")[0] in LIBRARIES:
            try:
                importlib.import_module(name)
            except ImportError:  # some modules only exist as attributes of others
                continue
    for name in ("transformers.trainer", "transformers.pipelines", "transformers.modeling_utils"):
        importlib.import_module(name)


def containers_of(value: Any) -> Iterator[tuple[str, Container]]:
    """Yield the dicts, lists and sets that a value is or has. A registry is a dict, or has dicts as attributes."""
    if isinstance(value, Container):
        yield "", value
    if isinstance(value, type | types.ModuleType | types.FunctionType) or not hasattr(value, "__dict__"):
        return
    held = {**vars(type(value)), **vars(value)}
    yield from ((f".{name}", inner) for name, inner in held.items() if isinstance(inner, Container))


def copy_of(container: Container) -> Container:
    if not isinstance(container, dict):
        return list(container)
    # The classes for mappings of Auto classes load what they hold when asked, so ask the dict below.
    return {key: dict(inner) if type(inner) is dict else inner for key, inner in dict.items(container)}


def take_snapshot() -> Snapshot:
    snapshot = Snapshot({}, {}, {}, 0)
    for module_name in loaded_modules():
        for name, value in list(vars(sys.modules[module_name]).items()):
            if name.startswith("__") or isinstance(value, types.ModuleType):
                continue
            place = f"{module_name}:{name}"
            snapshot.attributes[place] = value
            if not isinstance(value, type):
                snapshot.containers |= {place + suffix: inner for suffix, inner in containers_of(value)}
            elif value.__module__ == module_name:
                snapshot.classes += 1
                for attribute, inner in vars(value).items():
                    if attribute not in CACHES:
                        snapshot.attributes[f"{place}.{attribute}"] = inner
                        if isinstance(inner, Container):
                            snapshot.containers[f"{place}.{attribute}"] = inner
    snapshot.copies = {place: copy_of(container) for place, container in snapshot.containers.items()}
    return snapshot


def compare(before: Snapshot, after: Snapshot) -> Iterator[dict[str, Any]]:
    """
    Yield changes: their place, how, and for entries that were added to a registry the registry and the entry.

    Importing a submodule adds it to its package, so new attributes of modules do not count.
    """
    for place in before.attributes.keys() | after.attributes.keys():
        old, new = (snapshot.attributes.get(place, MISSING) for snapshot in (before, after))
        in_class = "." in place.partition(":")[2]
        if old is not new and (old is not MISSING or in_class):
            yield {"place": place, "how": "added" if old is MISSING else "replaced"}
    seen = set()
    for place, old in before.copies.items():
        container = before.containers[place]
        if id(container) in seen:  # one registry has several names
            continue
        seen.add(id(container))
        new = copy_of(container)
        if not isinstance(old, dict):
            if old != new:
                yield {"place": place, "how": "changed"}
            continue
        for key in old.keys() | new.keys():
            was, now = old.get(key, MISSING), new.get(key, MISSING)
            if was is now or (type(was) is dict and was == now):
                continue
            change = {"place": f"{place}[{key}]", "how": "changed" if type(was) is dict else "replaced"}
            if was is MISSING:
                change |= {"how": "added", "registry": place, "entry": f"{key!r}: {now!r}"}
            yield change


def main() -> None:
    warnings.simplefilter("ignore")  # reading attributes of torch warns about old names
    load_modules_that_the_package_loads()
    before = take_snapshot()
    found: dict[str, Any] = {"classes": before.classes, "modules": len(loaded_modules())}
    for action in (import_package, patch_libraries):
        action()
        after = take_snapshot()
        found[action.__name__] = sorted(compare(before, after), key=lambda change: change["place"])
        before = after
    print(json.dumps(found))


if __name__ == "__main__":
    main()
