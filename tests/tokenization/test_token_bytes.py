"""The bytes of tokens, in all vocabularies of the originals and in others."""

import copy

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models

from modeling_glm import GLMTokenizer
from modeling_glm.tokenization.token_bytes import list_special_ids, token_bytes
from tests.support.original_files import VOCABULARIES, write_vocabulary


@pytest.fixture(scope="module", params=VOCABULARIES)
def original(request, tmp_path_factory) -> GLMTokenizer:
    return GLMTokenizer.from_pretrained(write_vocabulary(request.param, tmp_path_factory.mktemp(request.param)))


def build(vocabulary: dict[str, int], decoder=None) -> GLMTokenizer:
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    if decoder is not None:
        backend.decoder = decoder
    return GLMTokenizer(tokenizer_object=backend)


@pytest.mark.parametrize("text", ["The price, in 1987: $12.50 (it's low)!", "naïve café", "中文 文本"])
def test_bytes_of_the_tokens_are_the_text(original, text):
    texts = token_bytes(original)
    ids = original(text, add_special_tokens=False)["input_ids"]
    joined = b"".join(texts.get(token_id, b"") for token_id in ids).decode()
    plain = original.decode([token_id for token_id in ids if token_id in texts])
    assert joined.replace(" ", "") == plain.replace(" ", "")


def test_special_tokens_are_left_out(original):
    texts = token_bytes(original)
    vocabulary = original.get_vocab()
    # SentencePiece has an <unk> of its own beside ours.
    left_out = {*original.all_special_ids, original.unk_token_id, vocabulary.get("<unk>", original.unk_token_id)}
    assert texts.keys() == set(vocabulary.values()) - left_out


@pytest.mark.parametrize(
    ("token", "decoder", "expected"),
    [
        ("Ġcapital", decoders.ByteLevel(), b" capital"),
        ("Ċ", decoders.ByteLevel(), b"\n"),
        ("中", decoders.ByteLevel(), "中".encode()),  # added by a user: no character of the byte alphabet
        ("##ing", decoders.WordPiece(), b"ing"),
        ("dog", decoders.WordPiece(), b" dog"),
        ("▁dog", decoders.Metaspace(), b" dog"),
        ("<0x0A>", decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()]), b"\n"),
        ("dog", None, b" dog"),
    ],
)
def test_kinds_of_vocabularies(token, decoder, expected):
    tokenizer = build({"[UNK]": 0, token: 1}, decoder)
    assert token_bytes(tokenizer) == {1: expected}


def test_added_tokens_are_seen():
    tokenizer = build({"[UNK]": 0, "dog": 1})
    before = token_bytes(tokenizer)
    tokenizer.add_tokens(["cat"])
    assert token_bytes(tokenizer).keys() - before.keys() == {tokenizer.convert_tokens_to_ids("cat")}


def test_prompt_tokens_are_special(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.add_tokens([AddedToken("<|soft0|>", special=True)], special_tokens=True)
    added = tokenizer.convert_tokens_to_ids("<|soft0|>")
    assert set(list_special_ids(tokenizer)) == {added, *tokenizer.all_special_ids}
    assert added not in token_bytes(tokenizer)


def test_special_tokens_that_change_are_seen(tokenizer):
    changed = copy.deepcopy(tokenizer)
    assert token_bytes(changed).get(changed.sep_token_id) is None
    changed.add_tokens(["naïve"])
    assert token_bytes(changed)[len(changed) - 1] == "naïve".encode()
    before = changed.eos_token_id
    changed.eos_token = "[SEP]"
    # It stays special in the backend, which shows nothing for it.
    assert changed.decode([before], skip_special_tokens=True) == ""
    assert before not in token_bytes(changed)


def test_unknown_decoder():
    with pytest.raises(ValueError, match="a decoder of type CTC"):
        token_bytes(build({"[UNK]": 0}, decoders.CTC()))
