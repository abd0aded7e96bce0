"""Members of archives, compared with what was put in."""

import lzma

import pytest

from examples.corpora.archives.members import ArchiveError, extract
from tests.support.archives import make_debian, make_tar, make_zip

TEXTS = {"a/one.txt": b"one", "two.txt": b"", "b/three.txt": bytes(range(256)) * 5000}


def read(tmp_path, name, content, members):
    (tmp_path / name).write_bytes(content)
    wanted = {member: tmp_path / "out" / str(number) / "file" for number, member in enumerate(members)}
    extract(tmp_path / name, wanted)
    return {member: path.read_bytes() for member, path in wanted.items()}


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("x.whl", make_zip),
        ("x.zip", make_zip),
        ("x.tar.gz", make_tar),
        ("x.tgz", make_tar),
        ("x.tar.xz", lambda texts: make_tar(texts, lzma.compress)),
        ("x.tar", lambda texts: make_tar(texts, bytes)),
        ("x.deb", make_debian),
    ],
)
def test_members_are_those_that_were_put_in(tmp_path, name, make):
    assert read(tmp_path, name, make(TEXTS), TEXTS) == TEXTS
    some = ["two.txt", "a/one.txt"]
    assert read(tmp_path, name, make(TEXTS), some) == {member: TEXTS[member] for member in some}


def test_archive_in_an_archive(tmp_path):
    inner = make_tar({"./deep/one.txt": b"one", "./two.txt": b"two"}, lzma.compress)
    content = make_debian(
        {"debian-binary": b"2.0", "control.tar.xz": make_tar({}, lzma.compress), "data.tar.xz": inner}
    )
    members = ["data.tar.xz!./two.txt", "debian-binary", "data.tar.xz!./deep/one.txt"]
    assert read(tmp_path, "x.deb", content, members) == dict(zip(members, [b"two", b"2.0", b"one"], strict=True))


def test_archive_in_an_archive_in_an_archive(tmp_path):
    inner = make_zip({"text": b"deep"})
    content = make_tar({"x/inner.tar.gz": make_tar({"most.zip": inner, "other": b""}), "x/after": b"after"})
    members = ["x/inner.tar.gz", "x/after"]
    assert read(tmp_path, "x.tar.gz", content, members)["x/after"] == b"after"
    nested = read(tmp_path, "y.tar.gz", content, ["x/inner.tar.gz!other", "x/after"])
    assert nested == {"x/inner.tar.gz!other": b"", "x/after": b"after"}


def test_archive_is_read_once(tmp_path):
    inner = make_tar({"text": b"deep"})
    with pytest.raises(ArchiveError, match=r"lacks inner\.tar\.gz!text$"):
        read(tmp_path, "x.tar.gz", make_tar({"inner.tar.gz": inner}), ["inner.tar.gz", "inner.tar.gz!text"])


@pytest.mark.parametrize("members", [["nowhere"], ["a/one.txt", "nowhere"], ["a"]])
def test_missing_member_is_named(tmp_path, members):
    with pytest.raises(ArchiveError, match=rf"x\.tar\.gz lacks {members[-1]}$"):
        read(tmp_path, "x.tar.gz", make_tar(TEXTS), members)


def test_missing_member_of_an_inner_archive_is_named(tmp_path):
    content = make_tar({"inner.tar.gz": make_tar({"text": b"deep"})})
    with pytest.raises(ArchiveError, match=r"lacks inner\.tar\.gz!nowhere$"):
        read(tmp_path, "x.tar.gz", content, ["inner.tar.gz!nowhere"])


@pytest.mark.parametrize("name", ["x.whl", "x.tar.gz", "x.tgz", "x.deb"])
@pytest.mark.parametrize("content", [b"", b"no archive at all", b"!<arch>\nhalf a header"])
def test_damaged_archive_is_named(tmp_path, name, content):
    with pytest.raises(ArchiveError, match=r"x\.\S+ (is damaged|lacks one)"):
        read(tmp_path, name, content, ["one"])


@pytest.mark.parametrize(("name", "make"), [("x.whl", make_zip), ("x.tar.gz", make_tar), ("x.deb", make_debian)])
def test_cut_archive_is_named(tmp_path, name, make):
    content = make({"one": bytes(range(256)) * 500, "two": b"two"})
    with pytest.raises(ArchiveError, match=r"x\.\S+ (is damaged|lacks two)"):
        read(tmp_path, name, content[: len(content) // 2], ["two"])
