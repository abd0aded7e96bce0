"""Find out whether a pattern can be prepared soon, in a process that can be ended."""

import pickle
import subprocess
import sys
from collections.abc import Mapping

MOST_SECONDS = 2  # of a processor
MOST_WAITING = 20  # seconds, on a busy machine
MOST_BYTES = 2**31
# The preparation cannot be interrupted, and its time grows quickly: `.{20}` takes seconds, `.{30}` minutes.
PROBE = f"""
import pickle, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CPU, ({MOST_SECONDS}, {MOST_SECONDS}))
    resource.setrlimit(resource.RLIMIT_AS, ({MOST_BYTES}, {MOST_BYTES}))
except ImportError:  # not on Windows
    pass
from outlines_core import Index, Vocabulary
pattern, ids = pickle.load(sys.stdin.buffer)
try:
    Index(f" ?(?:{{pattern}})", Vocabulary(2**32 - 1, ids))
except ValueError:
    pass  # another message says what is wrong
"""


def takes_too_long(pattern: str, tokens: Mapping[int, bytes]) -> bool:
    """
    Return whether a regular expression takes too long, or too much memory, to prepare for a vocabulary.

    Args:
        pattern: The regular expression.
        tokens: The bytes of every token.
    """
    ids: dict[bytes, list[int]] = {}
    for token_id, text in tokens.items():
        ids.setdefault(text, []).append(token_id)
    given = pickle.dumps((pattern, ids))
    try:
        ended = subprocess.run(
            [sys.executable, "-c", PROBE], input=given, capture_output=True, timeout=MOST_WAITING, check=False
        )
    except subprocess.TimeoutExpired:
        return True
    return ended.returncode != 0
