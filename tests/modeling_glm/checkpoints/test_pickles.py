"""Pickles are read as torch reads them, hostile ones are refused, and nothing outside of the reading changes."""

import argparse
import contextlib
import copyreg
import io
import itertools
import pickle
import sys
import threading
import time
from collections import Counter, OrderedDict

import numpy as np
import pytest
import torch

from modeling_glm import convert_checkpoint
from modeling_glm.checkpoints.files import CheckpointError, open_tensors
from modeling_glm.checkpoints.pickles import (
    CALLS,
    IGNORED_GLOBALS,
    Ignored,
    PickleReader,
    StoredTensor,
    UnsafePickleError,
    UnusualTensor,
)
from tests.support.checkpoints import assert_same, base_weights, edit_archive, save_module, weights_of, write_archive
from tests.support.models import tiny_config
from tests.support.stress import limited_memory


def read(*operations: bytes):
    return PickleReader().read(io.BytesIO(b"\x80\x02" + b"".join(operations) + b"."))


def name(value: str) -> bytes:
    """Write the operation that looks up a class or function: "torch.Size"."""
    module, _, attribute = value.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


VALUES = [
    *(None, True, False, 0, -1, 255, 65535, -(2**31), 2**40, 2**200, 1.5, float("inf"), "", "ä€𝄞", "x" * 300),
    *((), (1,), (1, "a", None), (1, 2, 3, 4), [], [1, [2, [3]]], {}, {"a": {1: [2.5]}, None: "b", True: (1,)}),
    torch.Size([2, 3]),
]
BYTES = [b"", b"abc", b"\xff" * 300]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_values(protocol):
    for value in VALUES:
        assert PickleReader().read(io.BytesIO(pickle.dumps(value, protocol=protocol))) == value
    content = VALUES if protocol == 2 else [*VALUES, *BYTES]  # in protocol 2, bytes are a call of _codecs.encode
    assert PickleReader().read(io.BytesIO(pickle.dumps(content, protocol=protocol))) == content
    assert type(PickleReader().read(io.BytesIO(pickle.dumps(b"\xff", protocol=2)))) is Ignored


def test_containers_of_torch():
    value = OrderedDict(a=1, b=OrderedDict(c=[2]))
    value._metadata = {"": {"version": 1}}
    value["counts"] = Counter("aab")
    assert PickleReader().read(io.BytesIO(pickle.dumps(value, protocol=2))) == {
        "a": 1,
        "b": {"c": [2]},
        "counts": {"a": 2, "b": 1},
    }
    # Python 2 wrote the pairs of an OrderedDict, and text as bytes.
    pairs = b"]q\x05(]q\x06(U\x01aK\x01e]q\x07(U\x02\xc3\xa4K\x02ee"
    assert read(name("collections.OrderedDict"), pairs, b"\x85R") == {"a": 1, "ä": 2}
    assert read(name("__builtin__.set"), b"]\x85R").__class__ is Ignored


def tensors_of_all_kinds(archive: bool) -> dict[str, torch.Tensor]:
    """Make tensors of every dtype and layout of elements that torch.save can write, and torch.load can read again."""
    base = torch.arange(24.0)
    names = ("float16", "bfloat16", "float32", "float64", "int8", "uint8", "int16", "int32", "int64", "bool")
    found = {f"transformer.{dtype}": base.view(4, 6).to(getattr(torch, dtype)) for dtype in names}
    new = ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64")
    for dtype in ("complex64", "complex128", *(new if archive else ())):
        found[f"transformer.{dtype}"] = base.to(getattr(torch, dtype))
    return {
        **found,
        "transformer.view": base[3:9],
        "transformer.transposed": base.view(4, 6).T,
        "transformer.strided": base.view(4, 6)[1::2, ::3],
        "transformer.one": torch.tensor(3.5),
        "transformer.empty": torch.empty(0, 3),
        "transformer.parameter": torch.nn.Parameter(base[:4].clone()),
        "transformer.buffer": torch.nn.Buffer(base[:5].clone()),
        "transformer.overlapping": base.as_strided((4, 4), (1, 2)),
    }


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "old"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_tensors_are_those_of_torch(tmp_path, archive, protocol):
    expected = tensors_of_all_kinds(archive)
    content = {
        "step": 3,
        "nested": {"module": expected},
        "sparse": torch.eye(2).to_sparse(),
        "device": torch.device("cpu"),
    }
    options = {"pickle_protocol": protocol, "_use_new_zipfile_serialization": archive}
    torch.save(content, tmp_path / "a.pt", **options)
    file = open_tensors(tmp_path / "a.pt")
    assert file.extras == {"step": 3}
    torch_found = torch.load(tmp_path / "a.pt", weights_only=protocol == 2)["nested"]["module"]
    assert file.tensors.keys() == expected.keys()
    for key, tensor in expected.items():
        found = file.read(key)
        assert found.dtype == tensor.dtype == file.tensors[key].dtype
        assert found.shape == tensor.shape == file.tensors[key].shape
        as_bytes = [
            each.detach().contiguous().flatten().view(torch.uint8) for each in (found, tensor, torch_found[key])
        ]
        assert torch.equal(as_bytes[0], as_bytes[1])
        assert torch.equal(as_bytes[0], as_bytes[2])
    file.release()


def test_views_of_old_files(tmp_path):
    """Old versions wrote a storage that is a part of another as a view."""
    torch.save({"transformer.a": torch.arange(6.0)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    content = (tmp_path / "a.pt").read_bytes()
    # The persistent id ends with the number of elements and None: K\x06 N -> K\x06 (key, first, count)
    start = content.index(b"K\x06N")
    view = b"X\x04\x00\x00\x00viewK\x02K\x03\x87"
    content = content[: start + 2] + view + content[start + 3 :]
    content = content.replace(b"K\x00K\x06\x85", b"K\x01K\x02\x85")  # first element and shape
    (tmp_path / "a.pt").write_bytes(content)
    expected = torch.load(tmp_path / "a.pt", weights_only=True)["transformer.a"]
    assert expected.tolist() == [3, 4]
    assert open_tensors(tmp_path / "a.pt").read("transformer.a").tolist() == [3, 4]
    for wrong in (b"K\x02K\x07\x87", b"K\x07K\x00\x87", b"J\xff\xff\xff\xffK\x03\x87"):
        (tmp_path / "b.pt").write_bytes(content.replace(b"K\x02K\x03\x87", wrong))
        with pytest.raises(CheckpointError, match="a view reaches beyond the storage"):
            open_tensors(tmp_path / "b.pt")


def test_bytes_of_big_endian_machines(tmp_path):
    weights = {"transformer.a": torch.arange(5.0), "transformer.b": torch.arange(5).half()}
    path = save_module(tmp_path / "a.pt", weights)

    def swap(part, content):
        if part.startswith("data/"):
            width = len(content) // 5
            return b"".join(content[i : i + width][::-1] for i in range(0, len(content), width))
        return b"big" if part == "byteorder" else content

    file = open_tensors(edit_archive(path, swap))
    assert_same({key: file.read(key) for key in file.tensors}, weights)


UNUSUAL = {
    "a sparse tensor": lambda tensor: tensor.to_sparse(),
    "a sparse tensor of rows": lambda tensor: tensor.to_sparse_csr(),
    "a quantized tensor": lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8),
    "a tensor of the meta device": lambda tensor: tensor.to("meta"),
    "a view that is still to be negated": lambda tensor: torch.complex(tensor, tensor).conj().imag,
    "a nested tensor": lambda tensor: torch.nested.nested_tensor([tensor]),
}


@pytest.mark.filterwarnings("ignore:.*(deprecated|beta state|prototype stage)")
@pytest.mark.parametrize("archive", [True, False], ids=["archive", "old"])
@pytest.mark.parametrize("kind", UNUSUAL)
def test_unusual_tensors_are_named(tmp_path, refuse, kind, archive):
    weights = base_weights()
    weights["word_embeddings.weight"] = UNUSUAL[kind](weights["word_embeddings.weight"])
    torch.save({"module": weights}, tmp_path / "a.pt", _use_new_zipfile_serialization=archive)
    refuse(tmp_path / "a.pt", rf"word_embeddings.weight is {kind.removesuffix(' of rows')}.*; expected a plain tensor")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to(torch.complex64), r"has the dtype complex64, expected float16, bfloat16"),
        (lambda tensor: tensor[:0], r"has the shape \(0, 32\), expected \(64, 32\)"),
        (lambda tensor: tensor[:, :0], r"has the shape \(64, 0\), expected \(64, 32\)"),
        (lambda tensor: tensor[:1].clone().expand(64, 32), r"has 2,048 elements, but they share 32 places"),
        (lambda tensor: tensor[0, 0].clone().expand(10**12, 10**6), r"they share 1 places in the file"),
        (lambda tensor: tensor[None], r"has the shape \(1, 64, 32\), expected \(64, 32\)"),
    ],
)
@pytest.mark.parametrize("archive", [True, False], ids=["archive", "old"])
def test_tensors_of_unusual_shapes_are_named(tmp_path, refuse, change, message, archive):
    weights = base_weights()
    weights["word_embeddings.weight"] = change(weights["word_embeddings.weight"])
    torch.save({"module": weights}, tmp_path / "a.pt", _use_new_zipfile_serialization=archive)
    refuse(tmp_path / "a.pt", rf"word_embeddings.weight.*{message}")


def test_strided_tensors_are_converted(tmp_path):
    """Transposed and sliced tensors, and tensors that share a storage, have their own elements."""
    weights = base_weights()
    shared = torch.randn(3, 64, 64)
    weights["word_embeddings.weight"] = shared[1, :, ::2]
    name = "transformer.layers.0.attention.dense.weight"
    weights[name] = weights[name].T.contiguous().T
    for layer in range(3):
        weights[f"transformer.layers.{layer}.attention.dense.bias"] = shared[0, 0, layer : 32 + layer]
    torch.save({"module": weights}, tmp_path / "a.pt")
    convert_checkpoint(tmp_path / "a.pt", tmp_path / "glm", config=tiny_config())
    assert_same(weights_of(tmp_path / "glm"), weights)


TENSOR = b"".join(
    (
        name("torch._utils._rebuild_tensor_v2"),
        b"((X\x07\x00\x00\x00storage",
        name("torch.FloatStorage"),
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x06tQ",
        b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89}tR",
    )
)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"K\x02K\x03\x86", b"K\x02K\x04\x86", r"reaches 28 bytes into its storage, which has 24: get the file again"),
        (b"K\x02K\x03\x86", b"K\x02K\x03\x85", "the operations|has 1 dimensions|has other arguments"),
        (b"K\x02K\x03\x86", b"K\x02K\x03K\x01\x87", "has 3 dimensions and 2 strides"),
        (b"K\x02K\x03\x86", b"J\xff\xff\xff\xffK\x03\x86", "is not of whole numbers"),
        (b"K\x02K\x03\x86", b"\x88K\x03\x86", "is not of whole numbers"),
        (b"K\x02K\x03\x86", b"NK\x03\x86", "is not of whole numbers"),
        (b"K\x02K\x03\x86", b"\x8a\x09" + bytes(8) + b"\x01K\x03\x86", "is not of whole numbers"),
        (b"K\x02K\x03\x86", b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\x03\x86", "reaches .* bytes into its storage"),
        (b"K\x02K\x03\x86", b"K\x02", "has other arguments than torch.save writes"),
        (b"tQK\x00", b"tQK\x01", "reaches 28 bytes into its storage"),
        (b"tQK\x00", b"tQG?\xf0\0\0\0\0\0\0", "is not of whole numbers"),
        (b"K\x06tQ", b"J\xff\xff\xff\xfftQ", "a storage has no key or no size"),
        (b"K\x06tQ", b"K\x07tQ", None),
        (b"torch\nFloatStorage", b"torch\nDoubleStorage", r"reaches 48 bytes into its storage"),
        (b"storageq", b"modulexq", None),
        (b"torch\nFloatStorage", b"torch\nfloat32", "a storage has no type"),
        (b"\x00\x00\x000X", b"\x00\x00\x001X", "the elements of transformer.a are missing"),
        (b"tQ", b"tP", r"is not a whole file of torch.save"),
        (b"X\x07\x00\x00\x00storage", b"X\x06\x00\x00\x00module", "refers to something other than a storage"),
        (b"\x89}tR", b"\x89}}tR", None),
        (b"\x89}tR", b"\x89}X\x01\x00\x00\x00xtR", "a view that is still to be negated"),
        (b"\x89}tR", b"\x89tR", None),
    ],
)
def test_descriptions_of_tensors(tmp_path, old, new, message):
    """Every number of a tensor may be wrong; torch would read bytes of others, or crash."""
    whole = b"\x80\x02}X\x0d\x00\x00\x00transformer.a" + TENSOR + b"s."
    values = torch.arange(6.0)
    parts = {"data/0": values.numpy().tobytes()}
    path = write_archive(tmp_path / "a.pt", whole, parts)
    assert open_tensors(path).read("transformer.a").tolist() == values.view(2, 3).tolist()
    path = write_archive(tmp_path / "b.pt", whole.replace(old, new), parts)
    if message is None:
        assert open_tensors(path).read("transformer.a").tolist() == values.view(2, 3).tolist()
        return
    with pytest.raises(CheckpointError, match=message):
        open_tensors(path)


@pytest.mark.parametrize(
    "operations",
    [
        [name("os.system"), b"U\x02ls\x85R"],
        [name("posix.system"), b"U\x02ls\x85R"],
        [name("builtins.eval"), b"U\x011\x85R"],
        [name("builtins.getattr"), b"N\x85R"],
        [name("operator.attrgetter"), b"N\x85R"],
        [name("torch.load"), b"N\x85R"],
        [name("torch.hub.load"), b"N\x85R"],
        [name("torch.serialization.load"), b"N\x85R"],
        [name("torch.storage._load_from_bytes"), b"N\x85R"],
        [name("torch._utils._rebuild_tensor_v2.__globals__"), b"N\x85R"],
        [name("torch.Tensor.set_"), b"N\x85R"],
        [name("torch.FloatStorage.from_file"), b"N\x85R"],
        [name("modeling_glm.checkpoints.pickles.Ignored"), b")R"],
        [name("numpy.load"), b"N\x85R"],
        [name("numpy.core.multiarray._reconstruct.__globals__"), b")R"],
        [name("collections.OrderedDict.__class__"), b")R"],
        [b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93", b")R"],  # STACK_GLOBAL
        [b"(U\x02lsios\nsystem\n"],  # INST
        [b"(", name("os.system"), b"U\x02lso"],  # OBJ
        [b"\x82\x01"],  # EXT1
        [b"\x83\x01\x00"],
        [b"\x84\x01\x00\x00\x00"],
        [b"Pos.system\n"],  # PERSID
        [b"]Q"],
        [b"]]R"],  # calls that are not of a name
        [b"})R"],
        [name("torch.device"), b")R)R"],
        [name("torch.device"), b")RN\x86R"],
        [name("torch.FloatStorage"), b")R"],
        [name("torch.float32"), b")R"],
        [name("torch.device"), b"}b"],  # BUILD on a name, a list, a tuple
        [b"]}b"],
        [b")}b"],
        [b"]K\x01K\x02s"],  # SETITEM of a list
        [b"}K\x01a"],  # APPEND to a dict
        [name("torch.device"), b"K\x01a"],
        [name("torch._tensor._rebuild_from_type_v2"), b"(", name("torch.device"), name("torch.Tensor"), b")}tR"],
        [b"\x96" + (10**12).to_bytes(8, "little")],  # BYTEARRAY8 of a terabyte
        [b"\x8d" + (10**12).to_bytes(8, "little")],
        [b"\x8b\xff\xff\xff\x7f"],
        [b"T\xff\xff\xff\xff"],
        [b"0"],
        [b"h\x07"],
        [b"e"],
        [b"(t(u"],
        [b"}(K\x01u"],
        [b"\xfe"],
        [],
    ],
    ids=lambda operations: repr(b"".join(operations))[2:40] or "nothing",
)
def test_hostile_operations(operations, monkeypatch):
    """Each is refused, also where `copyreg` has a class for an extension, and nothing is imported."""
    called = []
    monkeypatch.setitem(copyreg._extension_cache, 1, lambda *arguments: called.append(arguments))
    monkeypatch.setitem(copyreg._inverted_registry, 1, ("os", "system"))
    modules = set(sys.modules)
    with pytest.raises((pickle.UnpicklingError, ValueError)):
        read(*operations)
    assert called == []
    assert set(sys.modules) == modules


ARGUMENTS = (b")", b"N\x85", b"}\x85", b"]\x85", b"K\x01K\x02\x86", b"((tt", b"h\x00\x85", TENSOR + b"\x85")


def test_nothing_that_is_allowed_is_called():
    """Whatever its arguments and its state are, an allowed name makes only plain values and our own classes."""
    made = []
    for allowed, arguments in itertools.product(sorted({*CALLS, *IGNORED_GLOBALS}), ARGUMENTS):
        with contextlib.suppress(pickle.UnpicklingError, ValueError):
            made.append(read(name(allowed), b"q\x00", arguments, b"R}(U\x0c__setstate__h\x00U\x08__init__h\x00ub"))
    assert len(made) > 200
    assert {type(value) for value in made} == {Ignored, dict, StoredTensor, UnusualTensor}
    assert not any(hasattr(value, "__setstate__") for value in made)


def test_state_changes_no_class():
    """BUILD sets attributes and, with a pair, calls setattr: of nothing that lives on."""
    before = dict(vars(Ignored)), dict(vars(argparse.Namespace)), dict(CALLS)
    state = b"}U\x06lockedK\x01s}U\x07__doc__K\x02s\x86"
    for target in (name("argparse.Namespace") + b")R", name("argparse.Namespace") + b")\x81", b"}", TENSOR):
        read(target, state, b"b")
    assert before == (dict(vars(Ignored)), dict(vars(argparse.Namespace)), dict(CALLS))


def repeat(operation: bytes, number: int = 10_000) -> bytes:
    return operation * number


NUMBERS = [b"\x8a\x10" + (number * (2**61 - 1)).to_bytes(16, "little") + b"N" for number in range(10**4, 4 * 10**4)]
BOMBS = {
    "a place in the memo": b"]r\xff\xff\xff\xff.",
    "depth": repeat(b"(", 10**5) + repeat(b"t", 10**5) + b".",
    "deep keys": b")" + repeat(b"\x85", 10**5) + b"q\x00}h\x00Ns.",
    "shared lists": b"]q\x00" + repeat(b"]q\x01(h\x00h\x00h\x00h\x00eq\x00") + b".",
    "copies of pairs": b"]("
    + repeat(b"K\x01K\x02\x86")
    + b"eq\x00"
    + repeat(name("collections.OrderedDict") + b"h\x00\x85R")
    + b".",
    "copies of counts": b"}("
    + b"".join(NUMBERS[:10_000])
    + b"uq\x00"
    + repeat(name("collections.Counter") + b"h\x00\x85R")
    + b".",
    "numbers of one hash": b"}(" + b"".join(NUMBERS) + b"u.",
    "digits": b"L" + repeat(b"9", 10**5) + b"L\n.",
    "a long number": b"\x8b" + (10**7).to_bytes(4, "little") + repeat(b"\x7f", 10**7) + b".",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs(kind):
    """Pickles that would take terabytes, or for ever, or crash Python, are read or refused within a second or so."""
    start = time.process_time()
    with limited_memory(2**30), contextlib.suppress(ValueError):
        PickleReader().read(io.BytesIO(b"\x80\x02" + BOMBS[kind]))
    assert time.process_time() - start < 10


class Settings:
    """A class that other code must refuse, and that no file of ours may let in."""


def test_other_code_still_refuses_what_it_must(tmp_path, monkeypatch):
    """Threads convert a file with settings, while others load files of which one holds a class of the same name."""
    good = save_module(
        tmp_path / "good.pt",
        base_weights(num_hidden_layers=1),
        args=argparse.Namespace(lr=1),
        seed=np.float64(1),
    )
    torch.save({"a": torch.zeros(1), "args": argparse.Namespace(lr=1)}, tmp_path / "foreign.pt")
    torch.save({"a": torch.zeros(1)}, tmp_path / "plain.pt")
    config = tiny_config(num_hidden_layers=1)
    marked = torch.serialization.get_safe_globals()
    failed, accepted, refused = [], [], []
    ended = threading.Event()

    def convert(number):
        for _ in range(2):
            try:
                convert_checkpoint(good, tmp_path / f"glm-{number}", config=config, overwrite=True)
            except Exception as error:
                failed.append(error)

    def load():
        while not ended.is_set():
            torch.load(tmp_path / "plain.pt", weights_only=True)
            try:
                torch.load(tmp_path / "foreign.pt", weights_only=True)
                accepted.append(1)
            except pickle.UnpicklingError:
                refused.append(1)

    loaders = [threading.Thread(target=load) for _ in range(2)]
    converters = [threading.Thread(target=convert, args=(number,)) for number in range(8)]
    for thread in (*loaders, *converters):
        thread.start()
    for thread in converters:
        thread.join()
    ended.set()
    for thread in loaders:
        thread.join()
    assert failed == accepted == []
    assert refused
    assert torch.serialization.get_safe_globals() == marked


def test_what_others_allow_is_not_allowed_here(tmp_path):
    torch.save({"module": base_weights(), "args": Settings()}, tmp_path / "a.pt")
    refused = pytest.raises(CheckpointError, match=r"holds more than tensors \(GLOBAL .*Settings\)")
    with torch.serialization.safe_globals([Settings]), refused:
        open_tensors(tmp_path / "a.pt")


def test_names_are_those_that_torch_allows():
    """What `weights_only` allows in a file can be read here, too."""
    for allowed in ("collections.OrderedDict", "torch.Size", "torch.float32", "torch.BFloat16Storage", "torch.device"):
        assert read(name(allowed)).name == allowed
    with pytest.raises(UnsafePickleError, match=r"GLOBAL os.system"):
        read(name("os.system"))
