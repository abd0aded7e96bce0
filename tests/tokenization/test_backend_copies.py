"""Copies of a backend, one for every call."""

import copy
import os
import pickle
import signal
import threading

import pytest
import tokenizers
from packaging import version
from tokenizers import AddedToken, Tokenizer, normalizers

from modeling_glm.tokenization.backend_copies import BackendCopies, copy_backend
from tests.support.concurrency import find_differences

FAMILIES = ["own", "gpt2", "bert", "roberta", "chinese"]
TEXTS = ["Paris is the [MASK] of France.", "一二 [MASK] three", "", "a " * 30, "x [MASK] y [MASK] z", "Rome is [MASK]"]
# Calls that set each of the settings of a backend differently.
CALLS = {
    "alone": lambda t, text: t(text),
    "split": lambda t, text: t(text, split_special_tokens=True, add_special_tokens=False),
    "pair": lambda t, text: t(text, "and a second text", truncation=True, max_length=12),
    "windows": lambda t, text: t(text, truncation="only_first", max_length=6, return_overflowing_tokens=True),
    "padded": lambda t, text: t([text, "a"], padding=True, padding_side="left"),
    "padded more": lambda t, text: t([text, "a"], padding="max_length", max_length=40, pad_to_multiple_of=4),
    "words": lambda t, text: t(text.split(), is_split_into_words=True, return_offsets_mapping=True),
    "open": lambda t, text: t([f"{text} {t.gmask_token or t.mask_token}", text], truncation=True, max_length=9),
    "decoded": lambda t, text: t.decode(t.encode(text)),
    "filled": lambda t, text: t.fill(text, ["word"] * (len(t.split_at_blanks(text)) - 1)),
    "bare": lambda t, text: t.encode(text, add_special_tokens=False),
    "sizes": lambda t, text: (len(t), t.num_special_tokens_to_add(True), t.mask_token_ids),
    "carries": lambda t, text: copy.deepcopy(t).with_cloze({"a": text})(text) if len(t) < 1000 else None,
    "pickled": lambda t, text: pickle.loads(pickle.dumps(t)).encode(text) if len(t) < 1000 else None,
}


@pytest.mark.parametrize("family", FAMILIES)
def test_threads_get_the_ids_of_one(of_family, family):
    tokenizer = of_family(family)
    calls = {
        f"{name}, {text!r}": lambda c=call, x=text: c(tokenizer, x) for name, call in CALLS.items() for text in TEXTS
    }
    assert find_differences(calls, calls_of_thread=150) == []


def test_a_call_changes_nothing_in_the_backend(of_family):
    tokenizer = copy.deepcopy(of_family("own"))
    before, state = tokenizer.backend_tokenizer.to_str(), pickle.dumps(tokenizer)
    for call in CALLS.values():
        call(tokenizer, TEXTS[0])
    assert tokenizer.backend_tokenizer.to_str() == before
    assert not tokenizer.backend_tokenizer.encode_special_tokens
    assert pickle.dumps(tokenizer) == state  # so `datasets` finds what it cached


@pytest.mark.parametrize("family", FAMILIES)
def test_a_copy_is_equal_and_shares_the_vocabulary(of_family, family):
    backend = of_family(family)._tokenizer
    copied = copy_backend(backend)
    assert copied.to_str() == backend.to_str()
    copied.enable_truncation(3)
    copied.add_tokens(["another token"])
    assert backend.truncation is None
    assert backend.token_to_id("another token") is None


def test_a_backend_whose_tokens_have_gaps_is_copied_whole():
    state = Tokenizer.from_str(
        '{"added_tokens": [], "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 9}, "unk_token": "a"}}'
    )
    state.add_tokens(["c", AddedToken("d", lstrip=True), "b"])
    state.add_special_tokens(["e"])
    assert copy_backend(state).to_str() == state.to_str()


def test_as_many_copies_as_calls_at_a_time(of_family):
    copies, backend, met = BackendCopies(), of_family("own")._tokenizer, threading.Barrier(3)
    used = []

    def call(copied):
        used.append(copied)
        met.wait(10)

    threads = [threading.Thread(target=copies.use, args=(backend, call)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, used))) == 3
    assert len(copies._idle) == 3
    assert any(copies.use(backend, lambda copied: copied) is copied for copied in used)


def test_a_copy_that_met_an_error_is_not_used_again(of_family):
    copies = BackendCopies()
    with pytest.raises(ZeroDivisionError):
        copies.use(of_family("own")._tokenizer, lambda copied: 1 / 0)
    assert not copies._idle


def test_changes_act_at_once(of_family):
    tokenizer = copy.deepcopy(of_family("own"))
    kept, whole = tokenizer.backend_tokenizer, copy.copy(tokenizer)
    assert len(tokenizer.encode("<new> A", add_special_tokens=False)) > 3
    tokenizer.add_tokens(["<new>"])
    assert len(tokenizer.encode("<new>", add_special_tokens=False)) == 1
    assert len(whole.encode("<new>", add_special_tokens=False)) == 1
    kept.add_tokens(["<newer>"])
    assert len(tokenizer.encode("<newer>", add_special_tokens=False)) == 1
    kept.normalizer = normalizers.Lowercase()
    assert tokenizer.tokenize("A") == ["a"]
    kept.normalizer = None
    assert tokenizer.tokenize("A") == ["A"]
    tokenizer.eos_token = "[PAD]"
    assert tokenizer.encode("A")[-1] == tokenizer.pad_token_id


@pytest.mark.skipif(
    version.parse(tokenizers.__version__) < version.parse("0.23"), reason="it refuses: Already borrowed"
)
def test_tokens_may_be_added_while_others_encode(of_family):
    tokenizer = copy.deepcopy(of_family("own"))
    expected, stop, wrong = tokenizer(TEXTS[0]), threading.Event(), []

    def encode():
        while not stop.is_set():
            if tokenizer(TEXTS[0]) != expected or tokenizer.decode(expected["input_ids"]) is None:
                wrong.append(1)

    threads = [threading.Thread(target=encode) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(100):
        tokenizer.add_tokens([f"<{number}>"])
        tokenizer.update_post_processor()
        copy.deepcopy(tokenizer)
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(tokenizer.encode("<99>", add_special_tokens=False)) == 1


def test_a_forked_process_encodes_while_threads_do(of_family):
    tokenizer = of_family("own")
    expected, stop = [call(tokenizer, TEXTS[0]) for call in list(CALLS.values())[:8]], threading.Event()

    def encode():
        while not stop.is_set():
            for call in list(CALLS.values())[:8]:
                call(tokenizer, TEXTS[0])

    threads = [threading.Thread(target=encode) for _ in range(4)]
    for thread in threads:
        thread.start()
    codes = []
    for _ in range(20):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            same = [call(tokenizer, TEXTS[0]) for call in list(CALLS.values())[:8]] == expected
            os._exit(0 if same else 1)
        codes.append(os.waitpid(child, 0)[1])
    stop.set()
    for thread in threads:
        thread.join()
    assert codes == [0] * 20
