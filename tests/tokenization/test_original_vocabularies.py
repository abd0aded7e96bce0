"""The four original vocabularies: ids of pretraining, decoding, special tokens, offsets and broken files."""

import json
import re
import shutil
from functools import cache

import pytest
import sentencepiece
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from modeling_glm import GLMConfig, GLMTokenizer
from modeling_glm.configuration_glm import PRESETS
from tests.support.checkpoints import ORIGINAL
from tests.support.original_files import (
    VOCABULARIES,
    golden_records,
    read_golden,
    special_tokens,
    write_hub_folder,
    write_vocabulary,
)
from tests.support.uploaded import TOKENIZER_CODE

SOURCES = [*VOCABULARIES, *(f"{family}, hub" for family in VOCABULARIES), "roberta_bracket, hub"]
PRESET = {"gpt2": "glm-10b", "bert": "glm-large", "roberta": "glm-roberta-large", "chinese": "glm-large-chinese"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The original folder of every source, and the folder that we save from it."""
    root = tmp_path_factory.mktemp("originals")
    found = {}
    for source in SOURCES:
        variant, _, hub = source.partition(", ")
        found[source] = (write_hub_folder if hub else write_vocabulary)(variant, root / source.replace(", ", "-"))
        saved = root / f"{found[source].name}-saved"
        GLMTokenizer.from_pretrained(found[source]).save_pretrained(saved)
        found[f"{source}, saved"] = saved
    return found


@pytest.fixture(scope="module")
def load(folders):
    """Load tokenizers, each one only once."""
    tokenizers = {}

    def load(source: str) -> GLMTokenizer:
        if source not in tokenizers:
            tokenizers[source] = GLMTokenizer.from_pretrained(folders[source])
        return tokenizers[source]

    return load


@pytest.fixture(scope="module")
def load_fixture(tmp_path_factory):
    """Load tokenizers from the repository's own copy of the vocabularies, whose words and ids are known."""
    root = tmp_path_factory.mktemp("fixtures")

    @cache
    def load(family: str) -> GLMTokenizer:
        return GLMTokenizer.from_pretrained(write_vocabulary(family, root / family, fixture=True))

    return load


def family_of(source: str) -> str:
    return re.match("[a-z0-9]+", source)[0]


@pytest.mark.parametrize("saved", ["", ", saved"])
@pytest.mark.parametrize("source", SOURCES)
def test_ids_and_decoding_are_those_of_training(load, source, saved):
    """On every text of the golden data."""
    tokenizer = load(source + saved)
    records = [record for record in golden_records(family_of(source)) if "thudm" in record]
    assert records
    texts = [record["text"] for record in records]
    expected = [record["thudm"]["ids"] for record in records]
    assert tokenizer(texts, add_special_tokens=False)["input_ids"] == expected
    assert [tokenizer.encode(text, add_special_tokens=False) for text in texts] == expected
    decoded = [record["thudm"] for record in records if "decode" in record["thudm"]]
    assert len(decoded) > len(records) / 2
    assert [tokenizer.decode(record["ids"]) for record in decoded] == [record["decode"] for record in decoded]


@pytest.mark.parametrize("saved", [False, True])
def test_shared_gmask(folders, tmp_path, saved):
    """GLM-10B-Chinese as its authors trained it: [gMASK] ends a piece, and [dBLOCK] has its usual id."""
    tokenizer = GLMTokenizer.from_pretrained(folders["chinese"], shared_gmask=True)
    if saved:
        tokenizer.save_pretrained(tmp_path)
        tokenizer = GLMTokenizer.from_pretrained(tmp_path)
    records = [record for record in golden_records("chinese") if "thudm" in record]
    assert sum("thudm_nofix" in record for record in records) >= 3
    for record in records:
        expected = record.get("thudm_nofix", record["thudm"]["ids"])
        expected = expected if isinstance(expected, list) else expected["ids"]
        assert tokenizer.encode(record["text"], add_special_tokens=False) == expected, record["text"]
    assert tokenizer.gmask_token_id == tokenizer.eop_token_id == 50007
    assert (tokenizer.smask_token_id, tokenizer.dblock_token_id) == (50008, 50009)


def test_shared_gmask_by_the_files(folders, tmp_path):
    folder = shutil.copytree(folders["chinese"], tmp_path / "chinese")
    (folder / "added_tokens.json").write_text(json.dumps({"<|endofpiece|>": 50007, "[gMASK]": 50007}))
    tokenizer = GLMTokenizer.from_pretrained(folder)
    assert tokenizer.gmask_token_id == tokenizer.eop_token_id == 50007


@pytest.mark.parametrize("saved", ["", ", saved"])
@pytest.mark.parametrize("source", SOURCES)
def test_special_tokens_have_the_ids_of_training(load, source, saved):
    tokenizer = load(source + saved)
    family = family_of(source)
    names = {"ENC": "cls", "MASK": "mask", "sMASK": "smask", "gMASK": "gmask", "dBLOCK": "dblock"}
    commands = special_tokens()[f"thudm_{family.replace('chinese', 'chinese_fix')}"]["commands"]
    expected = {names.get(role, role): token_id for role, _, token_id, *_ in commands}
    # The hub's RoBERTa files have a <pad> of their own; training padded with the end of text.
    assert {role: getattr(tokenizer, f"{role}_token_id") for role in expected} == expected
    for role in {"smask", "gmask", "dblock"} - expected.keys():
        assert getattr(tokenizer, f"{role}_token") is None
    assert len(tokenizer) <= PRESETS[PRESET[family]]["vocab_size"]
    config = GLMConfig.from_preset(PRESET[family])
    assert tokenizer.special_token_ids == {
        name: value for name in tokenizer.special_token_ids if (value := getattr(config, name)) is not None
    }
    assert set(tokenizer.all_special_ids) == set(expected.values())


def test_layouts_by_hand(load_fixture):
    cls, eos, sep, mask = 101, 0, 102, 103
    words = load_fixture("bert")("the [MASK] dog", "a cat", return_token_type_ids=True)
    the, dog, a, cat = load_fixture("bert").convert_tokens_to_ids(["the", "dog", "a", "cat"])
    assert words.input_ids == [cls, the, mask, dog, sep, a, cat, eos]
    assert words.token_type_ids == [0, 0, 0, 0, 0, 1, 1, 1]
    # RoBERTa separates and ends by one token.
    tokenizer = load_fixture("roberta")
    assert tokenizer.convert_ids_to_tokens(tokenizer("the [MASK] dog", "a").input_ids) == [
        "[CLS]", "the", "[MASK]", "Ġdog", "[SEP]", "a", "[SEP]",
    ]  # fmt: skip
    tokenizer = load_fixture("gpt2")
    assert tokenizer.convert_ids_to_tokens(tokenizer("the [gMASK]").input_ids) == ["[CLS]", "the", "[gMASK]"]
    assert load_fixture("chinese")("中国的首都是[MASK]。").tokens() == [
        "[CLS]", "▁中国", "的首", "都是", "[MASK]", "▁。", "<|endoftext|>",
    ]  # fmt: skip


@pytest.mark.parametrize("family", VOCABULARIES)
def test_pairs_are_the_texts_between_special_tokens(load, family):
    tokenizer = load(family)
    pairs = [record for record in golden_records(family) if "text_pair" in record]
    assert pairs
    for pair in pairs:
        first, second = (tokenizer.encode(pair[key], add_special_tokens=False) for key in ("text", "text_pair"))
        expected = [tokenizer.cls_token_id, *first, tokenizer.sep_token_id, *second, tokenizer.eos_token_id]
        if second and second[-1] == tokenizer.gmask_token_id:
            expected.pop()  # to be continued
        assert tokenizer([pair["text"]], [pair["text_pair"]])["input_ids"] == [expected]


PRINTABLE = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
SPECIAL = st.sampled_from(["[MASK]", " [MASK] ", "<|startofpiece|>", "[CLS]", "<|endoftext|>", "  "])
ASCII_TEXTS = st.lists(st.one_of(st.text(PRINTABLE, max_size=20), SPECIAL), max_size=6).map("".join)


@pytest.mark.parametrize("family", VOCABULARIES)
@given(text=ASCII_TEXTS)
@settings(max_examples=80)
def test_offsets_cover_the_text(load, family, text):
    """The spans of the tokens follow each other, and leave out only white space."""
    if family == "roberta":  # rewrites this alias to its token
        text = text.replace("<|endoftext|>", "[SEP]")
    encoded = load(family)(text, add_special_tokens=False, return_offsets_mapping=True)
    position = 0
    for token, (start, stop) in zip(encoded.tokens(), encoded.offset_mapping, strict=True):
        if token == "▁":  # SentencePiece adds a space in front of a text
            continue
        assert position <= start <= stop <= len(text)
        assert not text[position:start].strip()
        position = stop
    assert not text[position:].strip()
    spans = zip(encoded.tokens(), encoded.offset_mapping, strict=True)
    special = {"[MASK]", "<|startofpiece|>", "[CLS]"}
    found = [(token.strip(), text[start:stop].strip()) for token, (start, stop) in spans if token.strip() in special]
    assert [name for name, _ in found] == re.findall(r"\[MASK\]|<\|startofpiece\|>|\[CLS\]", text)
    assert all(name == part for name, part in found)


def test_offsets_of_chinese_text(load_fixture):
    text = "清华大学，ＡＩ和㎏ 北京"
    encoded = load_fixture("chinese")(text, add_special_tokens=False, return_offsets_mapping=True)
    stretches = [text[start:stop] for start, stop in encoded.offset_mapping]
    assert encoded.tokens() == ["▁清", "华大学", ",", "AI", "和", "kg", "▁北京"]
    assert stretches == ["清", "华大学", "，", "ＡＩ", "和", "㎏", " 北京"]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("family", ["gpt2", "roberta"])
@given(text=TEXTS)
@example(text="naïve café 中文 😀\n\n  two")
@settings(max_examples=80)
def test_byte_level_decoding_restores_any_text(load, family, text):
    # White space alone has no tokens, and special tokens are not restored.
    assume(text.strip() and not re.search(r"\[\w+\]|<\|?\w+\|?>", text))
    tokenizer = load(family)
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


# The Precompiled normalizer of tokenizers looks up graphemes, sentencepiece bytes. They differ if a combining mark follows
# a character that has a compatibility form.
WITHOUT_MARKS = st.text(
    st.characters(exclude_categories=["Cs", "M", "Cf", "Sk", "Lm"], max_codepoint=0x9FFF), max_size=40
)


@pytest.fixture(scope="module")
def processor():
    return sentencepiece.SentencePieceProcessor(model_proto=read_golden("vocab/cog-pretrain.model"))


@given(text=st.one_of(WITHOUT_MARKS, st.lists(st.integers(3, 49_999), max_size=20)))
@example(text="<n>一二<n>  <s></s><unk>")
@example(text=" 　全角 ①½ ﬁ")
@settings(max_examples=200)
def test_chinese_ids_are_those_of_sentencepiece(load, processor, text):
    if not isinstance(text, str):
        text = "".join(map(processor.id_to_piece, text)).replace("▁", " ")
    assume(text.strip() and "[" not in text and "<|" not in text)
    assert load("chinese").encode(text, add_special_tokens=False) == processor.encode(text)


def test_every_chinese_piece_is_read_as_sentencepiece_reads_it(load, processor):
    texts = [processor.id_to_piece(index).replace("▁", " ") for index in range(3, 50_000)]
    assert load("chinese")(texts, add_special_tokens=False)["input_ids"] == processor.encode(texts)


@pytest.mark.parametrize("family", VOCABULARIES)
@pytest.mark.parametrize("trust_remote_code", [None, True])
def test_auto_tokenizer(folders, load, family, trust_remote_code):
    """The folders on the hub name code that Transformers 5 cannot import. Our class is used, trusted or not."""
    tokenizer = AutoTokenizer.from_pretrained(folders[f"{family}, hub"], trust_remote_code=trust_remote_code)
    assert type(tokenizer) is GLMTokenizer
    assert tokenizer.get_vocab() == load(family).get_vocab()
    assert tokenizer("one [MASK] two").input_ids == load(family)("one [MASK] two").input_ids


@pytest.mark.parametrize("family", VOCABULARIES)
def test_saved_folder_has_one_vocabulary_file(folders, family):
    saved = folders[f"{family}, hub, saved"]
    names = {path.name for path in saved.iterdir()}
    assert names == {"tokenizer.json", "tokenizer_config.json", *TOKENIZER_CODE}
    written = json.loads((saved / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert written["tokenizer_class"] == "GLMTokenizer"
    assert written["auto_map"] == {"AutoTokenizer": ["tokenization_glm.GLMTokenizer", None]}
    assert not {"do_lower_case", "use_fast", "errors", "add_prefix_space"} & written.keys()


@pytest.mark.parametrize("special", [True, False])
def test_tokens_that_a_user_added_are_kept(folders, tmp_path, special):
    folder = shutil.copytree(folders["gpt2, hub"], tmp_path / "gpt2")
    added = json.loads((folder / "added_tokens.json").read_text())
    (folder / "added_tokens.json").write_text(json.dumps({**added, "[dBLOCK]": 50265, "<mine>": 50266}))
    if special:
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        settings["additional_special_tokens"].append("<mine>")
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    tokenizer = GLMTokenizer.from_pretrained(folder)
    tokenizer.save_pretrained(tmp_path / "saved")
    for found in (tokenizer, GLMTokenizer.from_pretrained(tmp_path / "saved")):
        assert found.encode("a <mine>b", add_special_tokens=False)[-2:] == [50266, 65]
        assert ("<mine>" in found.all_special_tokens) is special
        assert found.dblock_token_id == 50265


def test_ids_that_the_files_give_to_special_tokens_are_followed(folders, tmp_path):
    """A fine-tuned model may give other ids to the tokens behind the vocabulary."""
    folder = write_vocabulary("gpt2", tmp_path / "gpt2")
    (folder / "added_tokens.json").write_text(json.dumps({"[MASK]": 50257, "<|startofpiece|>": 50300}))
    tokenizer = GLMTokenizer.from_pretrained(folder)
    assert (tokenizer.mask_token_id, tokenizer.sop_token_id) == (50257, 50300)
    assert tokenizer.eop_token_id == 50258
    assert len(tokenizer) == 50301


def test_rows_without_a_meaning_are_text(load):
    """[UNUSED1] is the name of a row on the hub. In pretraining it was ordinary text."""
    tokenizer = load("chinese, hub")
    assert max(tokenizer.encode("[UNUSED1]", add_special_tokens=False)) < 50_000
    assert tokenizer.unk_token_id == 50_004


@pytest.mark.parametrize(
    ("family", "name", "change", "message"),
    [
        ("chinese", "cog-pretrain.model", lambda data: data[:-1000], "not a complete SentencePiece model"),
        ("chinese", "cog-pretrain.model", lambda data: b"", "not a complete SentencePiece model"),
        (
            "chinese",
            "cog-pretrain.model",
            lambda data: b"version https://git-lfs\n",
            "not a complete SentencePiece model",
        ),
        ("gpt2", "vocab.json", lambda data: data[:1000], "vocab.json"),
        ("gpt2", "merges.txt", lambda data: data[:1000] + b"\nonce\n", "merges.txt"),
        ("gpt2", "merges.txt", lambda data: data + b"zzqq xxqq\n", "merges.txt"),
        ("bert", "vocab.txt", lambda data: b"[PAD]\nthe\n", r"vocab.txt.*\[UNK\]"),
        ("bert", "vocab.txt", lambda data: data + b"the\n", "vocab.txt.*'the'"),
        ("bert", "vocab.txt", lambda data: b"\xff\xfe" + data, "vocab.txt"),
    ],
)
def test_broken_files(tmp_path, family, name, change, message):
    folder = write_vocabulary(family, tmp_path)
    (folder / name).write_bytes(change((folder / name).read_bytes()))
    with pytest.raises(ValueError, match=message):
        GLMTokenizer.from_pretrained(folder)


def test_missing_files(tmp_path):
    folder = write_vocabulary("gpt2", tmp_path)
    (folder / "merges.txt").unlink()
    with pytest.raises(ValueError, match=r"expected tokenizer.json, or .*vocab.json with merges.txt"):
        GLMTokenizer.from_pretrained(folder)


def test_two_tokens_with_one_id(tmp_path):
    folder = write_vocabulary("gpt2", tmp_path)
    (folder / "added_tokens.json").write_text(json.dumps({"<a>": 50270, "<b>": 50270}))
    with pytest.raises(ValueError, match=r"50270 to both '<[ab]>' and '<[ab]>'"):
        GLMTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": 1000000000}', "gives 1000000000 to 'a', expected a whole number from 0 to"),
        ('{"a": 16000000}', "gives the id 16000000 to 'a', but the vocabulary has .* tokens: expected at most"),
        ('{"a": -1}', "gives -1 to 'a', expected a whole number"),
        ('{"a": true}', "gives True to 'a', expected a whole number"),
        ('{"a": 1.5}', "gives 1.5 to 'a', expected a whole number"),
        ('{"a": "1"}', "gives '1' to 'a', expected a whole number"),
        ("[1]", "cannot be read .*: expected JSON files"),
    ],
    ids=lambda text: text[:12],
)
def test_absurd_ids(tmp_path, content, message):
    """Ids between the vocabulary and an added token get names, so an id of a billion would take all memory."""
    for name in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copyfile(ORIGINAL / name, tmp_path / name)
    (tmp_path / "added_tokens.json").write_text(content)
    with pytest.raises(ValueError, match=message):
        GLMTokenizer.from_pretrained(tmp_path)


NESTED = {"deep": "[" * 100_000, "shallow": '{"a": ' * 150 + "1" + "}" * 150, "a list": "[1]", "a number": "7"}


@pytest.mark.parametrize("kind", NESTED)
@pytest.mark.parametrize(
    "name", ["added_tokens.json", "vocab.json", "cloze.json", "config.json", "tokenizer_config.json"]
)
def test_nested_files_are_refused_in_words(tmp_path, name, kind):
    for each in ("vocab.json", "merges.txt", "tokenizer_config.json"):
        shutil.copyfile(ORIGINAL / each, tmp_path / each)
    (tmp_path / name).write_text(NESTED[kind])
    with pytest.raises(
        ValueError, match=rf"{name} (is nested too deeply|holds a)|tokenizer in .* cannot be read|{name}"
    ):
        GLMTokenizer.from_pretrained(tmp_path)
