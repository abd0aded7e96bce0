"""Regular expressions over the tokens of answers, beside a naive reference."""

from random import Random

import pytest

from modeling_glm.constraints import token_steps
from modeling_glm.constraints.factory import Automata
from modeling_glm.constraints.token_steps import RegexAutomaton, VocabularyBytes
from modeling_glm.tokenization.token_bytes import token_bytes
from tests.support.patterns import NaiveTokens, compile_here, draw_pattern

FAMILIES = ["own", "gpt2", "bert", "roberta", "chinese"]


def make(pattern: str, tokenizer) -> RegexAutomaton:
    return RegexAutomaton(pattern, compile_here(pattern), VocabularyBytes(token_bytes(tokenizer), len(tokenizer)))


def test_an_expression_leaves_room_for_its_end(tokenizer):
    """Near the limit only what can still become a match may follow."""
    rule = make("(?:zz)*q", tokenizer)
    token = {text.decode(): token_id for token_id, text in token_bytes(tokenizer).items() if text.isascii()}
    assert rule.allowed((), 3)[token["z"]]
    assert not rule.allowed((), 2)[token["z"]]
    assert rule.allowed((), 1)[token["q"]]
    assert rule.may_end((token["q"],))
    assert not rule.allowed((token["q"],), 9).any()
    assert rule.shortest() == 1


@pytest.mark.parametrize("seed", range(12))
def test_automaton_agrees_with_a_naive_one(seed):
    """Tokens of one to four bytes: halves of characters, some with the same bytes, some behind the embedding."""
    random = Random(seed)
    texts = [*"abc 7_-", *(" a", "ab", "bc7", "  ", "é", "中", "7 a", "-_-", "aaaa")]
    tokens = {number: text.encode() for number, text in enumerate(texts)}
    tokens |= {90: b"\xc3", 91: b"\xa9", 92: b"\xe4", 93: b"\xb8\xad", 94: b"a", 120: b"a"}
    rust, _ = draw_pattern(random)
    if (automaton := compile_here(rust)) is None:
        pytest.skip("matches nothing")
    kept = {token: text for token, text in tokens.items() if token < 100}
    naive, fast = NaiveTokens(automaton, kept), RegexAutomaton(rust, automaton, VocabularyBytes(tokens, 100))
    assert fast.shortest() == naive.least.get(automaton.start)
    for _ in range(20):
        prefix: tuple[int, ...] = ()
        for room in range(random.randint(1, 5), 0, -1):
            expected = naive.allowed(prefix, room)
            assert set(fast.allowed(prefix, room).nonzero().flatten().tolist()) == expected
            text = b"".join(kept[token] for token in prefix)
            assert fast.may_end(prefix) == bool(automaton.finals[automaton.follow(automaton.start, text)])
            if not expected:
                break
            prefix = (*prefix, random.choice(sorted(expected)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pattern", ["[0-9]{4}", "^[a-z]+( [a-z]+)?$", r"\p{Han}{1,3}", ".*"])
def test_every_vocabulary_is_followed(of_family, family, pattern):
    """One step from the start, token by token."""
    tokenizer = of_family(family)
    rule, automaton = make(pattern, tokenizer), compile_here(pattern)
    expected = {
        token_id
        for token_id, text in token_bytes(tokenizer).items()
        if automaton.finals[automaton.follow(automaton.start, text)]
    }
    assert set(rule.allowed((), 1).nonzero().flatten().tolist()) == expected


def test_special_and_unknown_tokens_lead_nowhere(tokenizer):
    rule = make(".*", tokenizer)
    for token_id in (*tokenizer.all_special_ids, len(tokenizer) + 5):
        assert not rule.may_end((token_id,))
        assert not rule.allowed((token_id,), 5).any()


def test_walk_in_pieces_finds_the_same(tokenizer, monkeypatch):
    whole = make(".*fox.*", tokenizer)
    monkeypatch.setattr(token_steps, "STEPS_AT_ONCE", 50)
    pieces = make(".*fox.*", tokenizer)
    for room in (1, 2, 9):
        assert whole.allowed((), room).equal(pieces.allowed((), room))


def test_masks_and_prefixes_are_kept_within_bounds(tokenizer, monkeypatch):
    monkeypatch.setattr(token_steps, "MASK_BYTES", 16 * len(tokenizer))
    monkeypatch.setattr(token_steps, "MOST_PREFIXES", 8)
    rule = make("(?s:.){1,40}", tokenizer)
    (token, *_) = rule.allowed((), 40).nonzero().flatten().tolist()
    for length in range(40):
        assert rule.allowed((token,) * length, 40 - length).any()
    assert len(rule._masks) <= 16
    assert len(rule._states) <= 9


def test_steps_have_a_limit_that_is_named(tokenizer, monkeypatch):
    monkeypatch.setattr(token_steps, "MOST_STEPS", 10)
    with pytest.raises(ValueError, match=r"regex='\.\*fox' has an automaton of .* more than 10 steps"):
        Automata(tokenizer, len(tokenizer)).regex(".*fox")
