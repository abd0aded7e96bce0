"""Regular expressions over the tokens of answers."""

from modeling_glm.constraints.regular_expression import RegexAutomaton
from modeling_glm.tokenization.token_bytes import token_bytes


def test_an_expression_leaves_room_for_its_end(tokenizer):
    """Near the limit only what can still become a match may follow."""
    rule = RegexAutomaton(tokenizer, "(?:zz)*q", len(tokenizer))
    token = {text.decode(): token_id for token_id, text in token_bytes(tokenizer).items() if text.isascii()}
    assert rule.allowed((), 3)[token["z"]]
    assert not rule.allowed((), 2)[token["z"]]
    assert rule.allowed((), 1)[token["q"]]
    assert rule.may_end((token["q"],))
    assert not rule.allowed((token["q"],), 9).any()
    assert rule.shortest() == 1
