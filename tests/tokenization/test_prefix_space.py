"""A space in front of every text: in all vocabularies, at once, and after saving and loading."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from modeling_glm import GLMTokenizer
from modeling_glm.tokenization.prefix_space import has_prefix_space, set_prefix_space
from tests.support.original_files import VOCABULARIES, write_vocabulary

TEXTS = ["The dog runs.", " The dog", "a [MASK] b", "[MASK]a", "", "\tb"]


def ids(tokenizer, texts=TEXTS) -> list[list[int]]:
    return tokenizer(texts, add_special_tokens=False).input_ids


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tokenizer):
    root = tmp_path_factory.mktemp("prefix_space")
    tokenizer.save_pretrained(root / "trained")
    return {"trained": root / "trained", **{name: write_vocabulary(name, root / name) for name in VOCABULARIES}}


@pytest.mark.parametrize("family", ["trained", "gpt2", "roberta"])
def test_a_byte_level_vocabulary_reads_a_space(folders, family):
    plain = GLMTokenizer.from_pretrained(folders[family])
    spaced = GLMTokenizer.from_pretrained(folders[family], add_prefix_space=True)
    assert (plain.add_prefix_space, spaced.add_prefix_space) == (False, True)
    assert ids(spaced, ["The dog", "a [MASK]b", "b"]) == ids(plain, [" The dog", " a [MASK]b", " b"])
    assert ids(spaced, [" The dog", "[MASK]a", ""]) == ids(plain, [" The dog", "[MASK]a", ""])
    words = spaced(["The", "dog"], is_split_into_words=True, add_special_tokens=False)
    assert words.input_ids == ids(plain, [" The dog"])[0]
    offsets = spaced("The dog", return_offsets_mapping=True, add_special_tokens=False).offset_mapping
    assert (offsets[0][0], offsets[-1][1]) == (0, 7)


@pytest.mark.parametrize(
    ("family", "wanted"),
    [("trained", True), ("trained", False), ("gpt2", True), ("bert", True), ("chinese", False)],
)
def test_it_acts_at_once_and_after_loading(folders, family, wanted, tmp_path):
    given = GLMTokenizer.from_pretrained(folders[family], add_prefix_space=wanted)
    changed = GLMTokenizer.from_pretrained(folders[family])
    first = ids(changed)
    before = changed.add_prefix_space
    changed.add_prefix_space = wanted
    assert changed.add_prefix_space == given.add_prefix_space
    assert ids(changed) == ids(given)
    changed.save_pretrained(tmp_path)
    loaded = GLMTokenizer.from_pretrained(tmp_path)
    assert loaded.add_prefix_space == changed.add_prefix_space
    assert ids(loaded) == ids(changed)
    changed.add_prefix_space = before
    assert ids(changed) == first


def test_the_signs_of_sentencepiece(folders):
    plain = GLMTokenizer.from_pretrained(folders["chinese"], add_prefix_space=False)
    usual = GLMTokenizer.from_pretrained(folders["chinese"])
    assert usual.add_prefix_space
    assert usual.tokenize("one")[0].startswith("▁")
    assert not plain.tokenize("one")[0].startswith("▁")
    assert plain.tokenize("one one")[-1] == usual.tokenize("one one")[-1] == "▁one"


def test_metaspace():
    backend = Tokenizer(models.BPE({sign: index for index, sign in enumerate("▁ab")}, []))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    assert has_prefix_space(backend)
    assert backend.encode("ab").tokens == ["▁", "a", "b"]
    set_prefix_space(backend, False)
    assert backend.encode("ab").tokens == ["a", "b"]
    assert backend.decode(backend.encode(" a b").ids) == " a b"
    set_prefix_space(backend, True)
    assert backend.encode("ab").tokens == ["▁", "a", "b"]
    assert backend.decode(backend.encode("a b").ids) == "a b"


def test_vocabularies_of_whole_words_stay_as_they_are():
    backend = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    set_prefix_space(backend, True)
    assert not has_prefix_space(backend)
    assert backend.encode("a b").ids == [0, 1]
