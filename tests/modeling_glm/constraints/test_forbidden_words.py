"""Words that answers must not contain."""

from modeling_glm.constraints.forbidden_words import ForbiddenWordsAutomaton
from modeling_glm.tokenization.token_bytes import token_bytes


def test_words_are_forbidden_however_they_are_cut(tokenizer):
    """And only where they stand by themselves."""
    rule = ForbiddenWordsAutomaton(tokenizer, ["the"], len(tokenizer))
    token = {text.decode(): token_id for token_id, text in token_bytes(tokenizer).items() if text.isascii()}
    letters = tuple(token[letter] for letter in " the")
    for step, token_id in enumerate(letters):
        assert rule.allowed(letters[:step], 9)[token_id]  # it may go on: "then" is another word
        assert rule.may_end(letters[:step])
    assert not rule.may_end(letters)
    allowed = rule.allowed(letters, 9)
    assert not allowed[token[" "]]
    assert allowed[token["n"]]
    assert rule.may_end((*letters, token["n"]))
    assert not rule.may_end(tuple(token[letter] for letter in "The"))
    assert rule.may_end((token["a"], *letters[1:]))  # "athe"
