"""
Follow a regular expression token by token.

The automaton over bytes says where each token leads from each state. Bytes of one class are alike, so tokens are first
grouped by their classes: to `[0-9]{4}`, all tokens of two digits are one. The groups form a trie, which is walked from all
states at once, one byte per step.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from .automaton import Prefix
from .byte_table import DEAD, FAR, SMALLER, ByteAutomaton, distances, show_pattern, spread

MOST_STEPS = 8_000_000  # pairs of a state and a group of tokens
STEPS_AT_ONCE = 1_000_000
MASK_BYTES = 2**25  # of all masks that are kept
MOST_PREFIXES = 2**16


class VocabularyBytes:
    """
    Hold the bytes of all tokens in one array.

    Args:
        tokens: The bytes of every token that may be in an answer, at least one byte each.
        vocab_size: The number of rows of the embedding. Tokens behind them are left out.
    """

    def __init__(self, tokens: Mapping[int, bytes], vocab_size: int):
        kept = {token_id: text for token_id, text in tokens.items() if token_id < vocab_size and text}
        self.vocab_size = vocab_size
        self.texts = kept
        self.ids = np.fromiter(kept, np.int64, len(kept))
        self.flat = np.frombuffer(b"".join(kept.values()), np.uint8)
        self.lengths = np.fromiter(map(len, kept.values()), np.int64, len(kept))


@dataclass(frozen=True)
class Level:
    """
    Hold the nodes of a trie at one depth.

    Attributes:
        classes: (nodes,) int64, the class of bytes that leads to each node.
        begins: (nodes + 1,) int64, where the children of each node begin in the next level.
        ends: (nodes,) bool, whether tokens end at the node.
        first: The number of the first node among the nodes of all levels.
    """

    classes: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    first: int


class RegexAutomaton:
    """
    Accept answers that a regular expression matches completely. A space may come first.

    Args:
        pattern: The expression, for messages.
        automaton: Its automaton over bytes.
        vocabulary: The bytes of the tokens.

    Raises:
        ValueError: If the expression and the vocabulary together exceed the limit of steps.
    """

    def __init__(self, pattern: str, automaton: ByteAutomaton, vocabulary: VocabularyBytes):
        self._automaton = automaton
        self._vocabulary = vocabulary
        levels, self._tokens, self._token_begins = _group_tokens(automaton, vocabulary)
        states, self._targets, self._nodes = _walk(pattern, automaton, levels)
        count = len(automaton.finals)
        self._begins = np.concatenate([[0], np.cumsum(np.bincount(states, minlength=count))])
        self._distances = distances(states, self._targets, automaton.finals)
        self._states: dict[Prefix, int] = {(): automaton.start}
        self._masks: OrderedDict[tuple[int, int], torch.Tensor] = OrderedDict()
        self._most_masks = max(16, MASK_BYTES // vocabulary.vocab_size)

    def allowed(self, prefix: Prefix, room: int) -> torch.Tensor:
        state = self._state(prefix)
        steps = slice(self._begins[state], self._begins[state + 1])
        left = self._distances[self._targets[steps]]
        # More room than the longest of the ways to an end needs changes nothing.
        known = left[left != FAR]
        key = state, min(room, int(known.max(initial=-1)) + 1)
        mask = self._masks.pop(key, None)
        if mask is None:
            nodes = self._nodes[steps][left < key[1]]
            places = spread(self._token_begins[nodes], self._token_begins[nodes + 1])[1]
            mask = torch.zeros(self._vocabulary.vocab_size, dtype=torch.bool)
            mask[torch.from_numpy(self._tokens[places])] = True
        self._masks[key] = mask  # the last one used stands last
        if len(self._masks) > self._most_masks:
            self._masks.popitem(last=False)
        return mask

    def may_end(self, prefix: Prefix) -> bool:
        return bool(self._automaton.finals[self._state(prefix)])

    def shortest(self) -> int | None:
        """Return the number of tokens of the shortest answer, or None if the vocabulary can form none."""
        found = int(self._distances[self._automaton.start])
        return None if found == FAR else found

    def _state(self, prefix: Prefix) -> int:
        state = self._states.get(prefix)
        if state is None:
            before = self._state(prefix[:-1])
            text = self._vocabulary.texts.get(prefix[-1])
            state = DEAD if text is None else self._automaton.follow(before, text)
            if len(self._states) >= MOST_PREFIXES:
                self._states = {(): self._automaton.start}
            self._states[prefix] = state
        return state


def _group_tokens(automaton: ByteAutomaton, vocabulary: VocabularyBytes) -> tuple[list[Level], np.ndarray, np.ndarray]:
    """
    Build the trie of the tokens' classes, without tokens that have a byte no match has.

    Returns:
        The levels, from the root on; the tokens, ordered by the node where they end; and where those of each node begin.
    """
    useless: np.ndarray = automaton.table.max(axis=0) == DEAD  # (classes,)
    classes = automaton.classes[vocabulary.flat].astype(np.int64)
    begins = np.cumsum(vocabulary.lengths) - vocabulary.lengths
    kept = np.flatnonzero(np.add.reduceat(useless[classes], begins, dtype=np.int64) == 0) if len(begins) else begins
    begins, lengths, ids = begins[kept], vocabulary.lengths[kept], vocabulary.ids[kept]
    width = automaton.table.shape[1]
    levels = [Level(np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros(1, np.bool_), 0)]
    node_of_token = np.zeros(len(ids), np.int64)
    running, parents = np.arange(len(ids)), np.zeros(len(ids), np.int64)
    depth, first = 0, 1
    while len(running):
        keys, nodes = np.unique(parents * width + classes[begins[running] + depth], return_inverse=True)
        before = levels[-1]
        levels[-1] = Level(
            before.classes,
            np.searchsorted(keys // width, np.arange(len(before.classes) + 1)),
            before.ends,
            before.first,
        )
        depth += 1
        done = lengths[running] == depth
        ends = np.zeros(len(keys), np.bool_)
        ends[nodes[done]] = True
        node_of_token[running[done]] = nodes[done] + first
        levels.append(Level(keys % width, np.zeros(len(keys) + 1, np.int64), ends, first))
        running, parents = running[~done], nodes[~done]
        first += len(keys)
    order = np.argsort(node_of_token, kind="stable")
    return levels, ids[order], np.concatenate([[0], np.cumsum(np.bincount(node_of_token, minlength=first))])


def _walk(pattern: str, automaton: ByteAutomaton, levels: list[Level]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """
    Walk the trie from all states at once.

    Returns:
        Three (steps,) arrays, ordered by the first: a state, the state that tokens lead to, and the node of these tokens.
    """
    alive = np.flatnonzero(automaton.finals | automaton.table.any(axis=1)).astype(np.int32)
    waiting = [(0, alive, alive, np.zeros(len(alive), np.int32))]
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    steps = 0
    while waiting:
        depth, states, reached, nodes = waiting.pop()
        level = levels[depth]
        if depth + 1 == len(levels):
            continue
        begins, ends = level.begins[nodes], level.begins[nodes + 1]
        if (ends - begins).sum() > STEPS_AT_ONCE and len(states) > 1:
            half = len(states) // 2
            waiting += [(depth, states[part], reached[part], nodes[part]) for part in (slice(half), slice(half, None))]
            continue
        owners, children = spread(begins, ends)
        below = levels[depth + 1]
        after = automaton.table[reached[owners], below.classes[children]]
        lives = after != DEAD
        states, reached, nodes = states[owners[lives]], after[lives], children[lives].astype(np.int32)
        if not len(states):
            continue
        steps += len(states)
        if steps > MOST_STEPS:
            raise ValueError(
                f"regex={show_pattern(pattern)} has an automaton of {len(alive):,} states, which need more than "
                f"{MOST_STEPS:,} steps with the tokens of this vocabulary, the limit. {SMALLER}."
            )
        end_here = below.ends[nodes]
        found.append((states[end_here], reached[end_here], nodes[end_here] + np.int32(below.first)))
        waiting.append((depth + 1, states, reached, nodes))
    if not found:
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.int32)
    sources, targets, tokens = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(sources.astype(np.uint16) if len(automaton.finals) <= 2**16 else sources, kind="stable")
    return sources[order], targets[order], tokens[order]
