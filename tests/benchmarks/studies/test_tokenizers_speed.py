"""The study of tokenizers."""

import pytest

from benchmarks.studies import tokenizers_speed
from tests.support.original_files import write_vocabulary


@pytest.mark.parametrize("family", ["bert", "gpt2", "chinese"])
def test_tokenizers_agree_and_are_compared(family, tmp_path, capsys):
    folder = write_vocabulary(family, tmp_path / family)
    tokenizers_speed.main([str(folder), "--characters", "50", "--texts", "20", "--rounds", "1"])
    rows = capsys.readouterr().out.splitlines()[4:]
    peers = {"bert": ["BertTokenizerLegacy"], "gpt2": ["ClvpTokenizer"]}
    expected = peers.get(family, ["BertGenerationTokenizer", "sentencepiece (C++)"])
    assert [row.split(" | ")[1] for row in rows] == expected
    assert all(row.startswith(f"| {family} | ") for row in rows)


def test_different_ids_are_refused():
    encoders = {tokenizers_speed.OURS: lambda texts: [[1]] * len(texts), "other": lambda texts: [[1], [2]]}
    with pytest.raises(ValueError, match="other gives other ids on 1 of 2 texts"):
        tokenizers_speed.compare_encoders(encoders, [["a", "b"], ["c", "d"]])


def test_folder_without_vocabulary_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has none of cog-pretrain\.model, vocab\.txt, vocab\.json"):
        tokenizers_speed.vocabulary_file(tmp_path)
