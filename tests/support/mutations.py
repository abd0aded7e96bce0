"""Damage and edit the files of checkpoints at random, as disks and attackers do."""

import copy
import io
import json
import pickletools
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Values that no setting, size or name should have.
ABSURD: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        3,
        10**6,
        10**9,
        10**12,
        2**63,
        10**30,
        0.5,
        3.0,
        1e300,
        float("inf"),
        float("nan"),
    ),
    *(
        "",
        "3",
        "three",
        "\ud800",
        "\0",
        "../../etc/passwd",
        "a" * 10_000,
        [],
        [3],
        ["GLMModel"],
        [[[]]],
        {},
        {"a": {"b": [1]}},
    ),
    {"__class__": "os.system"},
]
# Names that mean something in Python, in the library, or in a checkpoint.
NAMES = [
    *(
        "num_hidden_layers",
        "num_layers",
        "hidden_size",
        "num_attention_heads",
        "vocab_size",
        "max_position_embeddings",
    ),
    *(
        "num_labels",
        "id2label",
        "architectures",
        "model_type",
        "dtype",
        "torch_dtype",
        "hidden_act",
        "intermediate_size",
    ),
    *(
        "auto_map",
        "quantization_config",
        "attribute_map",
        "__class__",
        "save_pretrained",
        "to_dict",
        "per_layer_config",
    ),
    *(
        "rope_scaling",
        "layer_types",
        "tie_word_embeddings",
        "mask_token_id",
        "eos_token_id",
        "num_beams",
        "weight_map",
    ),
    *("metadata", "__metadata__", "transformers_version", "_name_or_path", "configuration_files", "pad_token_id"),
]
NESTED = ["[" * 100_000, '{"a":' * 100_000, "[" * 500 + "]" * 500, '{"a":' * 150 + "1" + "}" * 150]


def attack(marker: Path) -> list[bytes]:
    """Write operations of pickles that make a folder when they run, each by another way."""
    path = str(marker).encode()
    text = b"X" + struct.pack("<I", len(path)) + path
    return [
        b"cos\nmkdir\n" + text + b"\x85R",
        b"cposix\nmkdir\n" + text + b"\x85R",
        b"(" + text + b"ios\nmkdir\n",
        b"(cos\nmkdir\n" + text + b"o",
        b"X\x02\x00\x00\x00osX\x05\x00\x00\x00mkdir\x93" + text + b"\x85R",
        b"cbuiltins\nexec\nX" + struct.pack("<I", len(path) + 22) + b"import os;os.mkdir('" + path + b"')\x85R",
        b"ccollections\nOrderedDict\n)R}X\x0c\x00\x00\x00__setstate__cos\nmkdir\nsb" + text + b"b",
        b"ctorch.hub\nload\n" + text + b"\x85R",
        b"cos\nmkdir\n" + text + b"\x85\x81",
        b"\x82\x01\x85R",
    ]


def damage_bytes(draw: random.Random, content: bytes) -> bytes:
    """Flip bits, cut, repeat, move or blank out bytes."""
    data = bytearray(content)
    if not data:
        return b"\0"
    # Mostly where the structure is: at the start or the end.
    first = draw.choice([0, len(data) - min(len(data), 300), draw.randrange(len(data))])
    first = min(first + draw.randrange(200), len(data) - 1)
    kind = draw.randrange(6)
    if kind == 0:
        for _ in range(draw.choice([1, 1, 1, 3, 20])):
            data[min(first + draw.randrange(100), len(data) - 1)] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del data[draw.choice([first, draw.randrange(len(data))]) :]
    elif kind == 2:
        del data[first : first + draw.choice([1, 8, 1000])]
    elif kind == 3:
        data[first:first] = draw.choice([draw.randbytes(draw.choice([1, 8, 100])), data[first : first + 500]])
    elif kind == 4:
        count = draw.choice([1, 8, 1000])
        data[first : first + count] = bytes(len(data[first : first + count]))
    else:
        data[first : first + 8] = struct.pack("<q", draw.choice([0, 1, -1, 2**31, 2**62, 100_000_000]))
    return bytes(data)


def edit_pickle(draw: random.Random, content: bytes, attacks: list[bytes]) -> bytes:
    """Change the operations of a pickle one by one, so that most of them still fit together."""
    try:
        places = [place for _, _, place in pickletools.genops(io.BytesIO(content))]
    except ValueError:
        return damage_bytes(draw, content)
    operations = [content[a:b] for a, b in zip(places, [*places[1:], len(content)], strict=True)]
    for _ in range(draw.choice([1, 1, 2, 5])):
        at = draw.randrange(len(operations))
        kind = draw.randrange(8)
        if kind == 0:
            del operations[at]
        elif kind == 1:
            operations.insert(at, operations[draw.randrange(len(operations))])
        elif kind == 2:
            other = draw.randrange(len(operations))
            operations[at], operations[other] = operations[other], operations[at]
        elif kind in (3, 4):
            operations.insert(at, draw.choice(attacks))
        elif kind == 5:
            operations[at] = draw.choice(
                [b"N", b"}", b"]", b")", b"(", b"0", b"2", b"R", b"b", b"s", b"u", b"t", b"Q", b"a"]
            )
        else:
            numbers = [index for index, operation in enumerate(operations) if operation[:1] in b"KMJ"]
            if numbers:
                value = draw.choice([0, 1, 2, 33, -1, 2**31 - 1, 2**40, 2**62, 2**64])
                operations[draw.choice(numbers)] = b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
        if not operations:
            return b"."
    return b"".join(operations)


def edit_saved(draw: random.Random, content: bytes, attacks: list[bytes]) -> bytes:
    """Edit a file of torch.save: the parts of an archive, with right checksums, or the pickles of an old file."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return edit_pickle(draw, content, attacks) if draw.random() < 0.3 else _edit_old_file(draw, content, attacks)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = [(name, archive.read(name)) for name in archive.namelist()]
    kind = draw.randrange(8)
    at, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    compression = zipfile.ZIP_STORED
    if kind < 4:
        parts = [
            (name, edit_pickle(draw, part, attacks) if name.endswith("data.pkl") else part) for name, part in parts
        ]
    elif kind == 4:
        parts[at], parts[other] = (parts[at][0], parts[other][1]), (parts[other][0], parts[at][1])
    elif kind == 5:
        del parts[at]
    elif kind == 6:
        parts[at] = (parts[at][0], damage_bytes(draw, parts[at][1]))
    else:
        added = draw.choice(
            [parts[at][0], "a/constants.pkl", "b/data.pkl", "../outside", "/absolute", "a/data/\ud7ff"]
        )
        parts.append((added, parts[other][1]))
        compression = draw.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, part in parts:
            archive.writestr(name, part)
    return file.getvalue()


def _edit_old_file(draw: random.Random, content: bytes, attacks: list[bytes]) -> bytes:
    """Edit one of the five pickles at the start of an old file."""
    file, ends = io.BytesIO(content), [0]
    for _ in range(5):
        list(pickletools.genops(file))
        ends.append(file.tell())
    which = draw.choice([0, 1, 2, 3, 3, 3, 4])
    start, end = ends[which : which + 2]
    return content[:start] + edit_pickle(draw, content[start:end], attacks) + content[end:]


def edit_json(draw: random.Random, content: bytes) -> bytes:
    """Set, remove and rename entries, at any depth."""
    if draw.random() < 0.1:
        return draw.choice(NESTED).encode()
    value = json.loads(content)
    if draw.random() < 0.05:
        value = copy.deepcopy(draw.choice(ABSURD))
    for _ in range(draw.choice([1, 1, 1, 3])):
        target = value
        while isinstance(target, dict) and (inner := [v for v in target.values() if isinstance(v, dict) and v]):
            if draw.random() < 0.3:
                break
            target = draw.choice(inner)
        if not isinstance(target, dict):
            break
        key = draw.choice([*NAMES, *target]) if draw.random() < 0.5 or not target else draw.choice([*target])
        if draw.random() < 0.15:
            target.pop(key, None)
        else:
            known = target.get(key)
            near = [known + 1, known - 1, str(known), float(known), [known]] if type(known) is int else []
            target[key] = copy.deepcopy(draw.choice([*ABSURD, *near, *near]))
    return json.dumps(value).encode()


def edit_safetensors(draw: random.Random, content: bytes) -> bytes:
    """Edit the header: names, dtypes, shapes and places of tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    for _ in range(draw.choice([1, 1, 3])):
        name = draw.choice([*header])
        entry = header[name]
        kind = draw.randrange(6)
        if kind == 0:
            header[
                draw.choice([*ABSURD[18:25], "glm." + name, name.replace("layers.0", "layers.1000000")]).__str__()
            ] = header.pop(name)
        elif kind == 1:
            del header[name]
        elif kind == 2 and isinstance(entry, dict) and "dtype" in entry:
            entry["dtype"] = draw.choice(["I8", "F64", "F8_E4M3", "BOOL", "C64", "F4", "X", "BF16", "F16"])
        elif kind == 3 and isinstance(entry, dict) and entry.get("shape"):
            entry["shape"] = draw.choice(
                [[], [0], [10**12, 0], [2**63, 2], [-1], entry["shape"][::-1], [*entry["shape"], 1]]
            )
        elif kind == 4 and isinstance(entry, dict) and "data_offsets" in entry:
            entry["data_offsets"] = draw.choice([[0, 0], [0, 8], [2**63, 2**63], [8, 0], entry["data_offsets"][::-1]])
        else:
            header[name] = copy.deepcopy(draw.choice(ABSURD))
    encoded = json.dumps(header).encode()
    if draw.random() < 0.1:
        encoded = draw.choice(NESTED).encode()
    return struct.pack("<Q", len(encoded)) + encoded + content[8 + length :]


def edit_card(draw: random.Random, content: bytes) -> bytes:
    """Replace the metadata of a card by hostile YAML, or its text by sections without an end."""
    doubling = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))])
    block = draw.choice(
        [
            *(
                "a: &a [*a]",
                "a: [" * 1000,
                "[" * 100_000,
                doubling,
                doubling.replace("[", "{<<: [").replace("]", "]}"),
            ),
            *(
                "- a",
                "3",
                "a: !!int ''",
                "tags: {a: b}",
                "model-index: 3",
                "license: [mit]",
                "? [a]\n: b",
                "a: 1:1:1",
                "tags:",
            ),
        ]
    ).encode()
    text = b"<!-- modeling-glm: usage -->\n" * draw.choice([0, 1, 10_000])
    return draw.choice([b"---\n" + block + b"\n---\n" + text, b"\xff\xfe" + content, content + text])


def mutate_file(draw: random.Random, path: Path, attacks: list[bytes]) -> None:
    """Change a file in one of the ways that suit it."""
    kind = draw.random()
    if kind < 0.02:
        path.unlink()
        path.mkdir()
    elif kind < 0.04:
        path.unlink()
        path.symlink_to(draw.choice([path.name, "nowhere", "/dev/null", "."]))
    elif kind < 0.06:
        path.unlink()
    elif kind < 0.3:
        path.write_bytes(damage_bytes(draw, path.read_bytes()))
    else:
        path.write_bytes(EDITS[path.suffix](draw, path.read_bytes(), attacks))


Edit = Callable[[random.Random, bytes, list[bytes]], bytes]
EDITS: dict[str, Edit] = {
    ".pt": edit_saved,
    ".bin": edit_saved,
    ".safetensors": lambda draw, content, _: edit_safetensors(draw, content),
    ".json": lambda draw, content, _: edit_json(draw, content),
    ".md": lambda draw, content, _: edit_card(draw, content),
    ".txt": lambda draw, content, _: damage_bytes(draw, content),
    ".model": lambda draw, content, _: damage_bytes(draw, content),
}
