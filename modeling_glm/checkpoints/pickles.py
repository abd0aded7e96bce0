"""Read the pickle of a `torch.save` file as a description: which tensors there are, and where their bytes lie."""

import math
import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any

import torch

# A pickle of torch.save has some thirty operations for a tensor. A few bytes of a hostile one take up to a hundred bytes
# of memory for each operation, so this bounds memory (1 GB) and time.
MOST_OPERATIONS = 10_000_000
MOST_DIMENSIONS = 64  # of a tensor of torch

# Objects that the originals' training left in its files beside tensors: states of random numbers, settings, loss
# scalers. The others are what torch itself allows with `weights_only=True`. Nothing is done with any of them.
IGNORED_GLOBALS = frozenset(
    (
        *("_codecs.encode", "argparse.Namespace", "numpy.ndarray", "numpy.dtype"),
        *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
        *(
            f"{module}.{name}"
            for module in ("deepspeed.runtime.fp16.loss_scaler", "fp16.loss_scaler")
            for name in ("LossScaler", "DynamicLossScaler")
        ),
        *("builtins.bytearray", "builtins.set", "builtins.complex", "torch.device", "torch.Tensor"),
        *(f"torch.{kind}Tensor" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Byte", "Bool")),
        *("torch.serialization._get_layout", "torch.per_tensor_affine", "torch.per_tensor_symmetric"),
        *("torch.per_channel_affine", "torch.per_channel_symmetric", "torch.per_channel_affine_float_qparams"),
    )
)

DTYPES_BY_NAME = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
STORAGE_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "QInt8Storage": torch.int8,
    "QUInt8Storage": torch.uint8,
    "QInt32Storage": torch.int32,
    "QUInt4x2Storage": torch.uint8,
    "QUInt2x4Storage": torch.uint8,
    "UntypedStorage": torch.uint8,
}
STORAGES = {
    f"{module}.{name}": dtype
    for module in ("torch", "torch.cuda", "torch.storage")
    for name, dtype in STORAGE_DTYPES.items()
}


class UnsafePickleError(UnpicklingError):
    """Raised for a pickle with an object that could run code if it were loaded."""


class Ignored:
    """Stands for an object that is not needed."""


@dataclass(frozen=True, eq=False)
class Global:
    """The name of a class or function. It is never imported."""

    name: str


@dataclass(frozen=True, eq=False)
class Storage:
    """
    Bytes of the file that tensors share.

    Attributes:
        key: Its name in the file.
        dtype: Of its elements.
        count: How many there are.
        start: The first one, counted from the start of the bytes of `key`. Only old files have other than 0.
    """

    key: str
    dtype: torch.dtype
    count: int
    start: int = 0


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """
    A tensor of strided elements in a storage.

    Attributes:
        storage: Where its bytes are.
        dtype: Of the tensor. That of the storage may be bytes.
        offset: Its first element, counted in elements from the start of the storage.
        shape, strides: As those of a `torch.Tensor`.
    """

    storage: Storage
    dtype: torch.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    @property
    def extent(self) -> int:
        """How many elements lie between the first and the last one, both included: shape (2, 3) of strides (4, 1) -> 7."""
        if 0 in self.shape:
            return 0
        return 1 + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True, eq=False)
class UnusualTensor:
    """A tensor without plain elements, such as a sparse one. `kind` says which, for messages."""

    kind: str


class _OpaqueKey:
    """Stands for the key of a dict that is not a plain value. Hashing what a pickle made could take for ever."""


class PickleReader:
    """
    Follow the operations of a pickle, without calling or importing anything that it names.

    `torch.load(weights_only=True)` does not suffice. It refuses the settings in the files of the originals' training,
    and `torch.serialization.safe_globals` lets them in for every thread of the process, so that other code accepts what
    it must refuse. `torch.load` with another `pickle_module` hands the name of a hostile class, and the tar files and
    TorchScript archives of old versions, to code of torch that was not made to resist them; it also validates the sparse
    tensors that another thread is loading. Here a name that is allowed becomes a `Global`, "calling" it looks its name up
    in a table of our own functions, and the result is a plain dict, list, tuple, number or text, or one of the classes
    above. So nothing outlives the reading, and threads share nothing.

    Attributes:
        storages: All storages by their key, as the pickle first names them.
    """

    def __init__(self) -> None:
        self.storages: dict[str, Storage] = {}
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks below each mark
        self._memo: dict[int, Any] = {}

    def read(self, file: Any) -> Any:
        """
        Read one pickle from where a file stands, and leave it at the first byte behind the pickle.

        Raises:
            UnsafePickleError: if it names a class or function that is not allowed.
            UnpicklingError: if it is damaged, or of a form that torch.save does not write.
        """
        self._stack, self._below, self._memo = [], [], {}
        try:
            for count, (operation, argument, _) in enumerate(pickletools.genops(file)):
                if count == MOST_OPERATIONS:
                    raise UnpicklingError(f"its pickle has more than {MOST_OPERATIONS:,} operations")
                if (act := ACTIONS.get(operation.name)) is None:
                    raise UnpicklingError(
                        f"its pickle has the operation {operation.name}, which torch.save never writes"
                    )
                act(self, argument)
            return self._stack.pop()
        except (IndexError, KeyError, AttributeError, TypeError, OverflowError) as error:
            raise UnpicklingError("the operations of its pickle do not fit together") from error

    def _pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._below.pop()
        return items

    def _push_mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _push_text(self, value: str) -> None:
        """Push a string of Python 2, of which pickletools shows each byte as a character."""
        self._stack.append(value.encode("latin-1").decode("utf-8", errors="replace"))

    def _push_global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._stack.append(find_global({"__builtin__": "builtins"}.get(module, module), name))

    def _push_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise UnpicklingError("its pickle names a class by something other than text")
        self._stack.append(find_global(module, name))

    def _pack(self, count: int | None) -> None:
        """Make a tuple of the last `count` values, or of all since the last mark."""
        items = self._pop_mark() if count is None else [self._stack.pop() for _ in range(count)][::-1]
        self._stack.append(tuple(items))

    def _extend(self, items: Sequence[Any]) -> None:
        if isinstance(target := self._stack[-1], list):
            target.extend(items)
        elif not isinstance(target, Ignored):
            raise UnpicklingError(f"its pickle appends to a {type(target).__name__}")

    def _append(self, _: Any) -> None:
        self._extend([self._stack.pop()])

    def _set_items(self, items: Sequence[Any]) -> None:
        if isinstance(target := self._stack[-1], dict):
            if len(items) % 2:
                raise UnpicklingError("its pickle has a key without a value")
            target.update(zip(map(_make_key, items[::2]), items[1::2], strict=True))
        elif not isinstance(target, Ignored):
            raise UnpicklingError(f"its pickle sets an entry of a {type(target).__name__}")

    def _set_item(self, _: Any) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items((key, value))

    def _call(self, _: Any) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if not isinstance(function, Global):
            raise UnsafePickleError(f"a call of a {type(function).__name__}")
        if not isinstance(arguments, tuple):
            raise UnpicklingError("its pickle calls something without a tuple of arguments")
        self._stack.append(call_global(function.name, arguments))

    def _call_with_names(self, _: Any) -> None:
        self._stack.pop()  # keyword arguments: of objects that are ignored
        self._call(None)

    def _set_state(self, _: Any) -> None:
        """Leave out the state of an object. That of an OrderedDict holds the versions of modules."""
        self._stack.pop()
        if not isinstance(self._stack[-1], Ignored | StoredTensor | UnusualTensor | dict):
            raise UnsafePickleError(f"a state for a {type(self._stack[-1]).__name__}")

    def _remember(self, index: int | None) -> None:
        self._memo[len(self._memo) if index is None else index] = self._stack[-1]

    def _recall(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _find_storage(self, _: Any) -> None:
        """Handle a persistent id: ("storage", class, key, location, count), in old files with a view at the end."""
        identity = self._stack.pop()
        if not isinstance(identity, tuple) or len(identity) not in (5, 6) or identity[0] != "storage":
            raise UnpicklingError("its pickle refers to something other than a storage")
        _, kind, key, _, count = identity[:5]
        if not isinstance(kind, Global) or kind.name not in STORAGES:
            raise UnpicklingError("a storage has no type")
        if not isinstance(key, str) or not is_size(count):
            raise UnpicklingError("a storage has no key or no size")
        storage = Storage(key, STORAGES[kind.name], count)
        self.storages.setdefault(key, storage)
        if len(identity) == 6 and identity[5] is not None:
            _, start, size = identity[5]
            if not is_size(start) or not is_size(size) or start + size > count:
                raise UnpicklingError(f"a view reaches beyond the storage {key}")
            storage = Storage(key, storage.dtype, size, start)
        self._stack.append(storage)


def is_size(value: Any) -> bool:
    """Return whether a value is a whole number that torch can hold."""
    return type(value) is int and 0 <= value < 2**63


def find_global(module: str, name: str) -> Global:
    """
    Find the name of a class or function among those that are allowed.

    Raises:
        UnsafePickleError: if it is not.
    """
    full_name = f"{module}.{name}"
    if full_name in CALLS or full_name in IGNORED_GLOBALS or full_name in STORAGES or full_name in DTYPES_BY_NAME:
        return Global(full_name)
    raise UnsafePickleError(f"GLOBAL {full_name}")


def call_global(name: str, arguments: tuple) -> Any:
    """Make what the class or function of this name would make, as one of the classes of this module."""
    if name in CALLS:
        try:
            return CALLS[name](*arguments)
        except (TypeError, ValueError) as error:
            raise UnpicklingError(f"{name} has other arguments than torch.save writes") from error
    if name in IGNORED_GLOBALS:
        return Ignored()
    raise UnsafePickleError(f"a call of {name}")


def _make_key(key: Any) -> Any:
    # A long number may be one of many with the same hash.
    plain = key is None or isinstance(key, str | bytes | bool | float) or (type(key) is int and abs(key) < 2**63)
    return key if plain else _OpaqueKey()


def _make_dict(items: Any = ()) -> dict:
    """
    Make a dict. A Counter is made of a dict, and Python 2 wrote an OrderedDict as a list of pairs.

    Neither is copied, because a pickle may refer to one list ever so often.
    """
    if isinstance(items, dict):
        return items
    pairs = list(items)
    if isinstance(items, list):
        items.clear()
    return {_make_key(key): value for key, value in pairs}


def _make_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *details: Any) -> StoredTensor | UnusualTensor:
    """Stand in for `_rebuild_tensor` and `_rebuild_tensor_v2`, whose last argument holds marks of lazy operations."""
    if not isinstance(storage, Storage):
        raise UnpicklingError("a tensor has no storage")
    if len(details) == 3 and details[2]:
        return UnusualTensor("a view that is still to be negated or conjugated")
    return _check_tensor(StoredTensor(storage, storage.dtype, offset, shape, strides))


def _make_typed_tensor(storage: Any, offset: Any, shape: Any, strides: Any, *details: Any) -> Any:
    """Stand in for `_rebuild_tensor_v3`, for dtypes that have no class of storages."""
    dtype = details[2]
    if not isinstance(storage, Storage) or not isinstance(dtype, Global) or dtype.name not in DTYPES_BY_NAME:
        raise UnpicklingError("a tensor has no storage or no dtype")
    if len(details) == 4 and details[3]:
        return UnusualTensor("a view that is still to be negated or conjugated")
    return _check_tensor(StoredTensor(storage, DTYPES_BY_NAME[dtype.name], offset, shape, strides))


def _check_tensor(tensor: StoredTensor) -> StoredTensor:
    if len(tensor.shape) != len(tensor.strides) or len(tensor.shape) > MOST_DIMENSIONS:
        raise UnpicklingError(f"a tensor has {len(tensor.shape)} dimensions and {len(tensor.strides)} strides")
    sizes = (tensor.shape, tensor.strides, (tensor.offset,))
    if not all(isinstance(part, tuple) and all(map(is_size, part)) for part in sizes):
        raise UnpicklingError("the shape of a tensor is not of whole numbers")
    return tensor


def find_fault(tensor: StoredTensor, length: int) -> str | None:
    """Say in words why a tensor cannot be read from its storage, of which the file has `length` bytes; None if it can."""
    width = tensor.dtype.itemsize
    length -= tensor.storage.start * tensor.storage.dtype.itemsize
    available = min(tensor.storage.count * tensor.storage.dtype.itemsize, length)
    if tensor.extent and (tensor.offset + tensor.extent) * width > available:
        return (
            f"of shape {tensor.shape} reaches {(tensor.offset + tensor.extent) * width:,} bytes into its storage, which "
            f"has {available:,}: get the file again"
        )
    if (count := math.prod(tensor.shape)) * width > available:
        return (
            f"of shape {tensor.shape} and strides {tensor.strides} has {count:,} elements, but they share "
            f"{available // width:,} places in the file, expected one for each: save a copy made by its clone()"
        )
    return None


def _make_parameter(data: Any = None, *_: Any) -> Any:
    return data if isinstance(data, StoredTensor | UnusualTensor) else Ignored()


def _make_typed(function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
    """Stand in for `_rebuild_from_type_v2`: a tensor with attributes, such as a buffer."""
    if (
        not isinstance(function, Global)
        or not function.name.startswith("torch._utils.")
        or not isinstance(kind, Global)
    ):
        raise UnpicklingError("a tensor is made by something else")
    return call_global(function.name, arguments)


def _make_unusual(kind: str) -> Callable[..., UnusualTensor]:
    return lambda *_: UnusualTensor(kind)


# What a call of each allowed name makes. None of the real functions is ever called.
CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _make_dict,
    "collections.Counter": _make_dict,
    "torch.Size": lambda sizes=(): sizes,
    "torch.nn.parameter.Parameter": _make_parameter,
    "torch._utils._rebuild_parameter": _make_parameter,
    "torch._utils._rebuild_parameter_with_state": _make_parameter,
    "torch._utils._rebuild_tensor": _make_tensor,
    "torch._utils._rebuild_tensor_v2": _make_tensor,
    "torch._utils._rebuild_tensor_v3": _make_typed_tensor,
    "torch._tensor._rebuild_from_type": _make_typed,
    "torch._tensor._rebuild_from_type_v2": _make_typed,
    "torch._utils._rebuild_sparse_tensor": _make_unusual("a sparse tensor"),
    "torch._utils._rebuild_sparse_csr_tensor": _make_unusual("a sparse tensor"),
    "torch._utils._rebuild_qtensor": _make_unusual("a quantized tensor"),
    "torch._utils._rebuild_nested_tensor": _make_unusual("a nested tensor"),
    "torch._utils._rebuild_wrapper_subclass": _make_unusual("a subclass of tensors"),
    "torch._utils._rebuild_meta_tensor_no_storage": _make_unusual("a tensor of the meta device, without values"),
    "torch._utils._rebuild_device_tensor_from_numpy": _make_unusual("an array of another device"),
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": _make_parameter,
}

Action = Callable[[PickleReader, Any], Any]

# What each operation does. Those of extensions, buffers out of band, instances of old classes and text ids are missing:
# torch.save does not write them, and `copyreg` keeps real classes for the first.
ACTIONS: dict[str, Action] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda reader, _: None),
    **dict.fromkeys(
        (
            *("BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE"),
            *("BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "INT", "LONG", "FLOAT", "UNICODE"),
        ),
        PickleReader._push,
    ),
    **dict.fromkeys(("SHORT_BINSTRING", "BINSTRING"), PickleReader._push_text),
    "NONE": lambda reader, _: reader._push(None),
    "NEWTRUE": lambda reader, _: reader._push(True),
    "NEWFALSE": lambda reader, _: reader._push(False),
    "EMPTY_TUPLE": lambda reader, _: reader._push(()),
    "EMPTY_DICT": lambda reader, _: reader._push({}),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda reader, _: reader._push([])),
    "MARK": PickleReader._push_mark,
    "POP": lambda reader, _: reader._stack.pop(),
    "POP_MARK": lambda reader, _: reader._pop_mark(),
    "DUP": lambda reader, _: reader._push(reader._stack[-1]),
    "TUPLE": lambda reader, _: reader._pack(None),
    "TUPLE1": lambda reader, _: reader._pack(1),
    "TUPLE2": lambda reader, _: reader._pack(2),
    "TUPLE3": lambda reader, _: reader._pack(3),
    **dict.fromkeys(("LIST", "FROZENSET"), lambda reader, _: reader._push(reader._pop_mark())),
    "APPEND": PickleReader._append,
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda reader, _: reader._extend(reader._pop_mark())),
    "SETITEM": PickleReader._set_item,
    "SETITEMS": lambda reader, _: reader._set_items(reader._pop_mark()),
    "GLOBAL": PickleReader._push_global,
    "STACK_GLOBAL": PickleReader._push_stack_global,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), PickleReader._call),
    "NEWOBJ_EX": PickleReader._call_with_names,
    "BUILD": PickleReader._set_state,
    "BINPERSID": PickleReader._find_storage,
    **dict.fromkeys(("BINPUT", "LONG_BINPUT", "MEMOIZE"), PickleReader._remember),
    **dict.fromkeys(("BINGET", "LONG_BINGET"), PickleReader._recall),
}

__all__ = ["PickleReader", "StoredTensor", "UnsafePickleError", "UnusualTensor", "find_fault"]
