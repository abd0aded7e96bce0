"""Grammars over the tokens of answers, beside a naive reference."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llguidance")

from modeling_glm import BlankConstraint, fill_blanks
from modeling_glm.constraints import parser_steps
from modeling_glm.constraints.factory import Automata
from modeling_glm.constraints.grammar import byte_matcher, read_grammar, read_schema
from modeling_glm.constraints.parser_steps import GrammarAutomaton
from modeling_glm.constraints.rules import BlankRules
from modeling_glm.constraints.token_steps import VocabularyBytes
from modeling_glm.tokenization.blanks import decode_piece
from modeling_glm.tokenization.token_bytes import token_bytes
from tests.support.grammars import PERSON, SCHEMAS, SUMS, follows, read_json, walk

FAMILIES = ["own", "gpt2", "bert", "roberta", "chinese"]
PEOPLE = BlankConstraint(json_schema=PERSON)
SUM = BlankConstraint(grammar=SUMS)


def make(grammar, tokenizer) -> GrammarAutomaton:
    return GrammarAutomaton(grammar, tokenizer, VocabularyBytes(token_bytes(tokenizer), len(tokenizer)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("grammar", [read_schema(PERSON), read_grammar(SUMS)], ids=["schema", "sums"])
def test_tokens_are_those_that_the_bytes_allow(of_family, family, grammar):
    """Token by token: an answer may begin with the bytes of the prefix and of the token."""
    tokenizer = of_family(family)
    automaton, texts = make(grammar, tokenizer), token_bytes(tokenizer)
    generator = torch.Generator().manual_seed(0)
    prefix = ()
    for _ in range(6):
        expected = set()
        start = byte_matcher(grammar)
        assert start.consume_tokens([byte for token_id in prefix for byte in texts[token_id]])
        for token_id, text in texts.items():
            if start.validate_tokens(list(text)) == len(text):
                expected.add(token_id)
        allowed = automaton.allowed(prefix, 99)
        assert set(allowed.nonzero().flatten().tolist()) == expected
        assert automaton.may_end(prefix) == start.is_accepting()
        if not expected:
            break
        prefix = (*prefix, sorted(expected)[int(torch.randint(len(expected), (), generator=generator))])


@pytest.mark.slow
@settings(max_examples=40)
@given(schema=SCHEMAS, seed=st.integers(0, 99), room=st.integers(0, 12))
def test_answers_follow_their_schema_and_end_in_time(tokenizer, schema, seed, room):
    asked = BlankConstraint(json_schema=schema)
    longest = BlankRules(asked, Automata(tokenizer, len(tokenizer)), 999)._grammars[0].shortest() + room
    rules, piece = walk(asked, tokenizer, longest, seed)
    answer = rules.read(tokenizer, piece)
    assert len(piece) <= longest
    assert asked.accepts(answer)
    assert follows(schema, read_json(answer))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("asked", [PEOPLE, SUM], ids=["schema", "sums"])
def test_every_vocabulary_ends_in_time(of_family, family, asked):
    tokenizer = of_family(family)
    shortest = BlankRules(asked, Automata(tokenizer, len(tokenizer)), 999)._grammars[0].shortest()
    for longest in (shortest, shortest + 1, shortest + 9):
        for seed in range(3):
            rules, piece = walk(asked, tokenizer, longest, seed, ends=0.0)
            answer = rules.read(tokenizer, piece)
            assert answer is not None, decode_piece(tokenizer, piece)
            assert asked.accepts(answer)


@pytest.mark.parametrize(
    "search",
    [{}, {"num_answers": 3}, {"do_sample": True, "num_answers": 2}, {"order": "confident-first"}],
    ids=["greedy", "beams", "sample", "first"],
)
@pytest.mark.parametrize("asked", [PEOPLE, SUM], ids=["schema", "sums"])
def test_every_search_finds_answers(model, tokenizer, asked, search):
    """Texts with one blank and with two, where the other one is free."""
    texts = ["The [MASK] fox.", "The [MASK] fox jumps over [MASK]."]
    longest = BlankRules(asked, Automata(tokenizer, len(tokenizer)), 99)._grammars[0].shortest() + 3
    found = fill_blanks(
        model,
        tokenizer,
        texts,
        constraints=[[asked], [BlankConstraint(max_new_tokens=3), asked]],
        max_new_tokens_per_blank=longest,
        **search,
    )
    for fillings in found:
        assert fillings
        for filling in fillings:
            assert asked.accepts(filling.answers[-1].text)
            assert len(filling.answers[-1].token_ids) <= longest


def test_conditions_hold_together(model, tokenizer):
    asked = BlankConstraint(grammar=SUMS, regex="[0-9]+[+][0-9]+", forbidden_words=["1"], max_new_tokens=6)
    (best, *_) = fill_blanks(model, tokenizer, "The [MASK] fox.", 3, constraints=asked)
    assert asked.accepts(best.answers[0].text)
    (best,) = fill_blanks(
        model, tokenizer, "The [MASK] fox.", constraints=BlankConstraint(choices=["1+2", "1+"], grammar=SUMS)
    )
    assert best.answers[0].text == "1+2"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            BlankConstraint(json_schema=PERSON),
            "the shortest answer that was found has [0-9]+ tokens, but .* at most 3: raise",
        ),
        (
            BlankConstraint(grammar='start: "a" start'),
            "grammar='start: \"a\" start': no answer was found that the vocab",
        ),
        (
            BlankConstraint(json_schema={"$ref": "#"}),
            "json_schema='.*': no answer was found that the vocabulary can form",
        ),
        (BlankConstraint(grammar="start: <[5]>"), "no answer was found that the vocabulary can form"),
        (BlankConstraint(grammar=SUMS, choices=["a", "b"]), "None of the choices"),
    ],
    ids=str,
)
def test_what_no_answer_can_meet_is_refused(model, tokenizer, asked, message):
    with pytest.raises(ValueError, match=f"Text 0: .*{message}"):
        fill_blanks(model, tokenizer, "The [MASK] fox.", constraints=asked, max_new_tokens_per_blank=3)


def test_what_a_vocabulary_cannot_write_is_refused(of_family):
    tokenizer = of_family("bert")
    with pytest.raises(ValueError, match="no answer was found that the vocabulary can form"):
        BlankRules(BlankConstraint(grammar='start: "Q\u4e2d"'), Automata(tokenizer, len(tokenizer)), 9)


def test_special_and_unknown_tokens_lead_nowhere(tokenizer):
    automaton = make(read_grammar("start: /.*/"), tokenizer)
    for token_id in (*tokenizer.all_special_ids, len(tokenizer) + 5):
        assert not automaton.may_end((token_id,))
        assert not automaton.allowed((token_id,), 5).any()


def test_a_larger_or_smaller_embedding_has_masks_of_its_size(tokenizer):
    texts = token_bytes(tokenizer)
    for size in (len(tokenizer) + 7, len(tokenizer) - 7):
        automaton = GrammarAutomaton(read_grammar(SUMS), tokenizer, VocabularyBytes(texts, size))
        allowed = automaton.allowed((), 9)
        assert allowed.shape == (size,)
        assert allowed.any()
        assert not allowed[len(tokenizer) :].any()


def test_tokens_that_begin_a_long_way_are_left_out(tokenizer):
    """A number may end, but an open bracket needs two more tokens."""
    automaton = make(read_grammar(SUMS), tokenizer)
    token = {text.decode(): token_id for token_id, text in token_bytes(tokenizer).items() if text.isascii()}
    scores = torch.zeros(len(tokenizer))
    scores[[token["("], token["0"], token["1"]]] = 5.0
    for room, opens in ((3, True), (2, False), (1, False)):
        kept = automaton.keep_ending((), room, automaton.allowed((), room), scores)
        assert bool(kept[token["("]]) is opens
        assert kept[token["1"]]
    assert not automaton.keep_ending((token["("],), 1, automaton.allowed((token["("],), 1), scores).any()
    roomy = automaton.allowed((), 99)
    assert automaton.keep_ending((), 99, roomy, scores) is roomy


def test_parsers_and_masks_are_kept_within_limits(tokenizer, monkeypatch):
    monkeypatch.setattr(parser_steps, "MOST_PARSERS", 4)
    monkeypatch.setattr(parser_steps, "MASK_BYTES", 1)
    monkeypatch.setattr(parser_steps, "MOST_PREFIXES", 4)
    few, many = make(read_grammar(SUMS), tokenizer), make(read_grammar(SUMS), tokenizer)
    many._most_masks = 10**6
    _, piece = walk(SUM, tokenizer, 30, 3, ends=0.0)
    scores = torch.randn(len(tokenizer), generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        for end in range(len(piece), 0, -1):
            room = 40 - end
            for automaton in (few, many):
                kept = automaton.keep_ending(piece[:end], room, automaton.allowed(piece[:end], room), scores)
                assert torch.equal(kept, few.keep_ending(piece[:end], room, few.allowed(piece[:end], room), scores)), (
                    "endings do not depend on what was asked before"
                )
            assert torch.equal(few.allowed(piece[:end], room), many.allowed(piece[:end], room))
    assert len(few._parsers) <= 4
    assert len(few._masks) <= 16
    assert len(few._endings) <= 4 + parser_steps.LIKELIEST + len(piece)


def test_threads_share_an_automaton(tokenizer):
    automata = Automata(tokenizer, len(tokenizer))
    expected = [walk(SUM, tokenizer, 12, seed)[1] for seed in range(8)]

    def follow(seed: int) -> tuple[int, ...]:
        rules, prefix = BlankRules(SUM, automata, 12), ()
        generator = torch.Generator().manual_seed(seed)
        while True:
            scores = torch.randn(len(tokenizer), generator=generator)
            allowed = rules.allowed(prefix, scores)
            ends = rules.may_end(prefix) and float(torch.rand((), generator=generator)) < 0.3
            if ends or not allowed.any():
                return prefix
            prefix = (*prefix, int(scores.masked_fill(~allowed, -torch.inf).argmax()))

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(follow, [*range(8)] * 3))
    assert found == expected * 3
