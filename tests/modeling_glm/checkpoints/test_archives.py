"""The parts of a file of `torch.save` are found, and archives that two readers would read differently are refused."""

import io
import struct
import tarfile
import zipfile
import zlib

import pytest
import torch

from modeling_glm.checkpoints.archives import read_saved_file
from modeling_glm.checkpoints.files import CheckpointError, open_tensors
from tests.support.checkpoints import assert_same, edit_archive, save_module, write_archive

WEIGHTS = {"transformer.a": torch.arange(6.0), "transformer.b": torch.arange(100).half()}


def test_regions_hold_the_elements(tmp_path):
    for path, archive in ((tmp_path / "new.pt", True), (tmp_path / "old.pt", False)):
        torch.save(WEIGHTS, path, _use_new_zipfile_serialization=archive)
        saved = read_saved_file(path)
        content = path.read_bytes()
        for name, tensor in WEIGHTS.items():
            start, length, checksum = saved.regions[saved.content[name].storage.key]
            assert content[start : start + length] == tensor.numpy().tobytes()
            assert checksum == (zlib.crc32(content[start : start + length]) if archive else 0)
        assert not saved.is_big_endian


def test_an_archive_of_another_name_behind_other_bytes(tmp_path):
    """The file may have been renamed; a byte order is not written by old versions."""
    path = save_module(tmp_path / "a.pt", WEIGHTS)
    edit_archive(path, lambda name, content: None if name in ("byteorder", "version") else content)
    file = open_tensors(path.rename(tmp_path / "other.bin"))
    assert_same({name: file.read(name) for name in file.tensors}, WEIGHTS)


def damage_tar(path):
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("storages")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)


def damage_compressed(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"]" * 10**8)


def damage_repeated(path):
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(path.with_suffix(".new"), "w") as again:
        for name in (*archive.namelist(), "a/data/0"):
            again.writestr(name, archive.read(name))
    path.with_suffix(".new").replace(path)


def damage_overlapping(path):
    """Let a thousand parts be the same bytes, as a bomb of archives does."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/0", bytes(10**6))
        for number in range(1, 1000):
            again = zipfile.ZipInfo(f"a/{number}")
            first = archive.filelist[0]
            for name in ("header_offset", "file_size", "compress_size", "CRC"):
                setattr(again, name, getattr(first, name))
            archive.filelist.append(again)


def damage_two_pickles(path):
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("b/data.pkl", b"}.")


def damage_no_header(path):
    """The sizes in the list at the end are right, but no header stands where a part without a checksum begins."""
    torch.serialization.set_crc32_options(False)
    try:
        save_module(path, WEIGHTS)
    finally:
        torch.serialization.set_crc32_options(True)
    with zipfile.ZipFile(path) as archive:
        (part,) = (part for part in archive.infolist() if part.filename.endswith("/data/0"))
    content = bytearray(path.read_bytes())
    content[part.header_offset] ^= 1
    path.write_bytes(content)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_tar, "it is a tar file, as torch wrote before version 0.1.10"),
        (damage_compressed, r"its part 'a/data.pkl' is compressed, which torch.save never does"),
        (damage_repeated, r"it has two parts named 'a/data/0'"),
        (damage_overlapping, "its parts overlap or reach beyond its end"),
        (damage_two_pickles, "it is an archive with 2 parts named data.pkl, expected one"),
        (damage_no_header, "is damaged"),
        (
            lambda path: edit_archive(path, lambda name, part: None if name == "data.pkl" else part),
            "0 parts named data",
        ),
        (lambda path: write_archive(path, b"}.", {"constants.pkl": b"]."}), "it is an archive of TorchScript"),
        (lambda path: path.write_bytes(b""), "it is empty"),
        (lambda path: path.write_bytes(b"PK\x03\x04"), "is damaged"),
        (lambda path: path.write_bytes(b"\x80\x02K\x01." * 5), "does not begin with the numbers"),
    ],
)
def test_archives_that_are_refused(tmp_path, damage, message):
    damage(path := save_module(tmp_path / "a.pt", WEIGHTS))
    with pytest.raises(CheckpointError, match=message):
        open_tensors(path)
    assert not list(tmp_path.glob("*.patch"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], r"it ends after [\d,]+ bytes, expected"),
        (lambda content: content[:-208], "is not of the size that it should have|it ends after"),
        (lambda content: content.replace(struct.pack("<Q", 100), struct.pack("<Q", 2**60)), "is not of the size"),
        (lambda content: content.replace(struct.pack("<Q", 100), struct.pack("<Q", 99)), "is not of the size"),
        (lambda content: content.replace(b"Kd", b"Kc"), "is not of the size|reaches"),
    ],
)
def test_old_files_that_are_refused(tmp_path, change, message):
    torch.save(WEIGHTS, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pt").read_bytes()
    (tmp_path / "a.pt").write_bytes(change(whole))
    assert change(whole) != whole
    with pytest.raises(CheckpointError, match=message):
        open_tensors(tmp_path / "a.pt")


def test_the_list_of_storages_of_an_old_file(tmp_path):
    torch.save({"transformer.a": torch.zeros(1)}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    whole = (tmp_path / "a.pt").read_bytes()
    end = whole.rindex(b"\x80\x02]")
    for keys in (b"].", b"}.", b"]K\x01a.", b"](X\x01\x00\x00\x00xX\x01\x00\x00\x00xe."):
        (tmp_path / "a.pt").write_bytes(whole[:end] + b"\x80\x02" + keys + bytes(100))
        with pytest.raises(CheckpointError, match="its list of storages is not that of its tensors"):
            open_tensors(tmp_path / "a.pt")
    assert zipfile.is_zipfile(io.BytesIO(whole)) is False
