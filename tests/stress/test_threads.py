"""One model and one tokenizer in eight threads: mixed calls of everything public give the answers of one thread."""

import copy
import dataclasses
import math
import os
import pickle
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from modeling_glm import (
    BlankConstraint,
    BlankInfillingPipeline,
    BlankIteratorStreamer,
    ClozeClassificationPipeline,
    ClozeClassifier,
    DataCollatorForBlankInfilling,
    DataCollatorForCloze,
    GLMForConditionalGeneration,
    GLMForMultipleChoice,
    GLMTokenizer,
    PatternVerbalizer,
    choose,
    fill_blanks,
    score_fillings,
)
from modeling_glm.tokenization.blanks import encode_text
from modeling_glm.tokenization.token_bytes import token_bytes
from modeling_glm.utils.inference import answer_blanks, evaluation_mode
from tests.support.concurrency import find_differences
from tests.support.models import make_model
from tests.support.original_files import write_vocabulary
from tests.support.paths import ROOT
from tests.support.random_texts import draw_part, draw_text
from tests.support.stress import AT_LENGTH

FAMILIES = ["glm-tiny", "own", "bert", "bert_cased", "roberta", "gpt2", "chinese"]
THREADS, CALLS_OF_THREAD = 8, 25
WORDS = ["lazy", " dog", "1987", "quick fox", "数"]
Calls = dict[str, Callable[[], Any]]


@pytest.fixture(scope="module")
def models(of_family, tmp_path_factory) -> Callable[[str], tuple[Any, Any, GLMTokenizer]]:
    """A family's two models with the same kind of weights, and its tokenizer: glm-tiny, or tiny random models."""
    made: dict[str, tuple[Any, Any, GLMTokenizer]] = {}

    def make(family: str) -> tuple[Any, Any, GLMTokenizer]:
        if family not in made and family == "glm-tiny":
            folder = ROOT / "examples" / "glm-tiny"
            both = [kind.from_pretrained(folder) for kind in (GLMForConditionalGeneration, GLMForMultipleChoice)]
            made[family] = (*both, GLMTokenizer.from_pretrained(folder))
        if family not in made:
            if family == "bert_cased":
                folder = write_vocabulary("bert", tmp_path_factory.mktemp(family), fixture=True)
                tokenizer = GLMTokenizer.from_pretrained(folder, do_lower_case=False)
            else:
                tokenizer = of_family(family)
            settings = {"vocab_size": len(tokenizer), "max_position_embeddings": 96, "num_hidden_layers": 2}
            settings |= {"embedding_dropout": 0.5, "hidden_dropout": 0.5, "attention_dropout": 0.5}
            kinds = GLMForConditionalGeneration, GLMForMultipleChoice
            both = [make_model(kind, **settings, **tokenizer.special_token_ids) for kind in kinds]
            made[family] = (*both, tokenizer)
        return made[family]

    return make


def same(found: Any, expected: Any) -> bool:
    """Compare answers: numbers to a millionth, everything else exactly."""
    if isinstance(expected, torch.Tensor | np.ndarray):
        return found.shape == expected.shape and same(found.tolist(), expected.tolist())
    if isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-4, abs_tol=1e-6) or (found != found and expected != expected)
    if type(found) is not type(expected):
        return False
    if dataclasses.is_dataclass(expected):
        return same(vars(found), vars(expected))
    if isinstance(expected, Mapping):
        return found.keys() == expected.keys() and all(same(found[name], expected[name]) for name in expected)
    if isinstance(expected, list | tuple):
        return len(found) == len(expected) and all(map(same, found, expected))
    return found == expected


def of_tokenizer(draw, tokenizer: GLMTokenizer, folder: Path) -> Calls:
    """Make calls of the tokenizer, of all kinds."""
    one, two, none = (draw_text(draw, tokenizer, blanks) for blanks in (1, 2, 0))
    end = tokenizer.gmask_token or tokenizer.mask_token
    open_text, plain = f"{none} {end}", draw_part(draw) + " word"
    texts = [one, two, none, open_text]
    length = draw.randint(8, 40)
    words = [text.split() for text in texts]
    ids = tokenizer(texts)["input_ids"]
    inputs = tokenizer([one, two], return_tensors="pt", padding=True)
    answered = [[*tokenizer.encode(two), tokenizer.sop_token_id, *tokenizer.encode(plain, add_special_tokens=False)]]
    task = PatternVerbalizer(
        "{text} It was [MASK].".replace("[MASK]", tokenizer.mask_token), {"a": "lazy", "b": "dog"}
    )
    features = [{"input_ids": row, "sample_id": number} for number, row in enumerate(ids) if len(row) > 3]
    blanks = DataCollatorForBlankInfilling(tokenizer, max_length=64, seed=3)
    cloze = DataCollatorForCloze(tokenizer, task)

    def saved() -> Any:
        place = folder / f"{threading.get_ident()}"
        tokenizer.save_pretrained(place)
        return GLMTokenizer.from_pretrained(place)(texts)["input_ids"] if len(tokenizer) < 5000 else None

    return {
        "alone": lambda: [tokenizer(text) for text in texts],
        "split": lambda: tokenizer(texts, split_special_tokens=True, add_special_tokens=False),
        "padded": lambda: tokenizer(texts, padding=True, padding_side="left", return_tensors="pt"),
        "padded more": lambda: tokenizer(texts, padding="max_length", max_length=120, truncation=True, stride=2),
        "cut": lambda: tokenizer([none, plain], truncation=True, max_length=length),
        "pair": lambda: tokenizer(none, plain, truncation=True, max_length=length, return_token_type_ids=True),
        "empty pair": lambda: tokenizer([none], [""], return_offsets_mapping=True),
        "windows": lambda: tokenizer(texts, truncation=True, max_length=length, return_overflowing_tokens=True),
        "words": lambda: tokenizer(words, is_split_into_words=True, return_special_tokens_mask=True),
        "continued": lambda: tokenizer([open_text, none], truncation=True, max_length=length),
        "tokens": lambda: [tokenizer.tokenize(text) for text in texts],
        "encoded texts": lambda: encode_text(tokenizer, texts),
        "decoded": lambda: (
            [tokenizer.decode(row) for row in ids] + tokenizer.batch_decode(ids, skip_special_tokens=True)
        ),
        "answers": lambda: tokenizer.decode_blanks(answered),
        "filled": lambda: tokenizer.fill_with_offsets(two, [plain, " x"]),
        "filled some": lambda: tokenizer.fill_some(two, {1: plain}),
        "targets": lambda: tokenizer.build_inputs_for_generation(inputs, 9, [[plain], ["x", plain]]),
        "choices": lambda: tokenizer.build_inputs_for_multiple_choice(inputs, [["a", plain + "x"], ["b"]]),
        "padded rows": lambda: tokenizer.pad({"input_ids": ids}, return_tensors="pt"),
        "ids of tokens": lambda: tokenizer.convert_ids_to_tokens(ids[0]) + [len(tokenizer), tokenizer.mask_token_ids],
        "copied": lambda: copy.copy(tokenizer)(texts),
        "deeply copied": lambda: copy.deepcopy(tokenizer)(texts) if len(tokenizer) < 5000 else None,
        "carried": lambda: task.attach(tokenizer).cloze if len(tokenizer) < 5000 else None,
        "pickled": lambda: pickle.loads(pickle.dumps(tokenizer))(texts) if len(tokenizer) < 5000 else None,
        "saved": saved,
        "collated": lambda: blanks(features),
        "collated cloze": lambda: cloze([{"text": none, "label": "a"}, {"text": plain, "label": "b"}]),
        "bytes": lambda: len(token_bytes(tokenizer)),
    }


def of_models(draw, model: Any, scorer: Any, tokenizer: GLMTokenizer, folder: Path) -> Calls:
    """Make calls that use a model, in whichever mode it is."""
    one, two = draw_text(draw, tokenizer, 1), draw_text(draw, tokenizer, 2)
    options = {"max_new_tokens_per_blank": 3}
    regex = BlankConstraint(regex="[0-9]{1,2}")
    given = BlankConstraint(choices=WORDS[:3])
    unlike = BlankConstraint(forbidden_words=["the"], min_new_tokens=1)
    pattern = "{text} It was [MASK].".replace("[MASK]", tokenizer.mask_token)
    task = PatternVerbalizer(pattern, {"a": WORDS[0], "b": WORDS[2:4]})
    classifier = ClozeClassifier(scorer, tokenizer, task).calibrate("contextual")
    examples = [{"text": draw_part(draw), "label": "a"}, {"text": "x", "label": "b"}]
    infilling = BlankInfillingPipeline(model=model, tokenizer=tokenizer)
    cloze = ClozeClassificationPipeline(model=scorer, tokenizer=tokenizer)
    rows = tokenizer.pad({"input_ids": encode_text(tokenizer, [one, two])}, return_tensors="pt")
    ready = tokenizer.build_inputs_for_generation(rows)

    def generate(**kwargs: Any) -> Any:
        with evaluation_mode(model):
            return tokenizer.decode_blanks(model.generate(**ready, max_new_tokens=6, **kwargs))

    def stream() -> Any:
        streamer = BlankIteratorStreamer(tokenizer, timeout=60)
        fillings = fill_blanks(model, tokenizer, two, **options, streamer=streamer)
        return [(answer.blank, answer.text) for answer in streamer], fillings

    def save() -> Any:
        place = folder / f"model-{threading.get_ident()}"
        model.save_pretrained(place)
        return sorted(os.listdir(place))

    return {
        "fill": lambda: fill_blanks(model, tokenizer, [one, two], **options),
        "fill with draws": lambda: fill_blanks(
            model, tokenizer, [one, two], do_sample=True, num_answers=3, top_k=9, seed=4, **options
        ),
        "fill with beams": lambda: fill_blanks(model, tokenizer, [one, two], num_answers=2, num_beams=3, **options),
        "fill by confidence": lambda: fill_blanks(model, tokenizer, two, order="confident-first", **options),
        "fill with a pattern": lambda: fill_blanks(model, tokenizer, one, constraints=regex),
        "fill from a set": lambda: fill_blanks(model, tokenizer, one, constraints=given, num_answers=3),
        "fill without words": lambda: fill_blanks(model, tokenizer, [one], constraints=unlike, **options),
        "choose": lambda: choose(model, tokenizer, [one], WORDS),
        "choose with the other": lambda: choose(scorer, tokenizer, one, WORDS, truncation=True),
        "score": lambda: score_fillings(model, tokenizer, two, [["a", "b"], ["lazy", " dog"]]),
        "answers alone": lambda: answer_blanks(model, tokenizer, [one, two], max_new_tokens=6),
        "stream": stream,
        "classify": lambda: classifier.predict_proba(examples),
        "labels": lambda: ClozeClassifier(scorer, tokenizer, task).predict(examples),
        "accuracy": lambda: classifier.score(examples),
        "pipeline": lambda: infilling([one, two], **options),
        "cloze pipeline": lambda: cloze(["a", "b"], candidate_labels=WORDS[:3], calibration="contextual"),
        "generate": generate,
        "generate with beams": lambda: generate(num_beams=2, do_sample=False),
        "generate in a static cache": lambda: generate(cache_implementation="static"),
        "save": save,
    }


@pytest.fixture
def family(request, stress) -> str:
    """A family of vocabularies. A smoke takes two."""
    if stress.is_smoke and request.param not in ("glm-tiny", "bert"):
        pytest.skip(AT_LENGTH)
    return request.param


of_families = pytest.mark.parametrize("family", FAMILIES, indirect=True)


@of_families
def test_a_tokenizer_in_threads(stress, models, tmp_path, family):
    *_, tokenizer = models(family)
    for case in stress.cases(1, smoke=1, seconds=600):
        with case:
            calls = of_tokenizer(case.random, tokenizer, tmp_path)
            each = 5 if stress.is_smoke else CALLS_OF_THREAD
            assert find_differences(calls, threads=THREADS, calls_of_thread=each, seed=case.seed, same=same) == []


@of_families
@pytest.mark.parametrize("mode", ["evaluation", "training"])
def test_a_model_in_threads(stress, models, tmp_path, family, mode):
    model, scorer, tokenizer = models(family)
    for case in stress.cases(1, smoke=1, seconds=1200):
        with case:
            for head in (model, scorer):
                head.train(mode == "training")
            calls = of_models(case.random, model, scorer, tokenizer, tmp_path)
            for name in case.random.sample(list(calls), 15 if stress.is_smoke else 0):
                del calls[name]
            each = 3 if stress.is_smoke else CALLS_OF_THREAD
            wrong = find_differences(calls, threads=THREADS, calls_of_thread=each, seed=case.seed, same=same)
            for head in (model, scorer):
                assert {module.training for module in head.modules()} == {mode == "training"}
                head.eval()
            assert wrong == []


@of_families
def test_mixed_calls(stress, models, tmp_path, family):
    """With --stress-scale 80 it is 8 threads with 2,000 calls each."""
    if stress.is_smoke:
        pytest.skip(AT_LENGTH)
    model, scorer, tokenizer = models(family)
    for case in stress.cases(1, smoke=1, seconds=1200):
        with case:
            calls = of_tokenizer(case.random, tokenizer, tmp_path)
            calls |= of_models(case.random, model, scorer, tokenizer, tmp_path)
            assert (
                find_differences(calls, threads=THREADS, calls_of_thread=CALLS_OF_THREAD, seed=case.seed, same=same)
                == []
            )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@of_families
def test_processes_that_fork_while_threads_use_the_tokenizer(stress, models, family):
    *_, tokenizer = models(family)
    for case in stress.cases(1, smoke=1, seconds=120):
        with case:
            texts = [draw_text(case.random, tokenizer, 1) for _ in range(16)]
            stop = threading.Event()

            def encode(texts=texts, stop=stop):
                while not stop.is_set():
                    tokenizer(texts, padding=True, truncation=True, max_length=20, split_special_tokens=True)

            def collate(rows):
                return tokenizer(rows, padding="max_length", truncation=True, max_length=20)["input_ids"]

            expected = [collate(texts[start : start + 4]) for start in range(0, 16, 4)]
            threads = [threading.Thread(target=encode) for _ in range(4)]
            for thread in threads:
                thread.start()
            try:
                loader = DataLoader(
                    texts, 4, collate_fn=collate, num_workers=2, multiprocessing_context="fork", timeout=60
                )
                found = list(loader)
            finally:
                stop.set()
                for thread in threads:
                    thread.join()
            assert found == expected
