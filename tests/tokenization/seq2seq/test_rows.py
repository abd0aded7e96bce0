"""Rows in both layouts: raw and encoded, and what the originals' padding means to the model."""

import warnings

import pytest
import torch

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration
from modeling_glm.tokenization.seq2seq.encoding import read_pattern
from modeling_glm.tokenization.seq2seq.layouts import OriginalLayout
from modeling_glm.tokenization.seq2seq.rows import OriginalRowEncoder, RowEncoder, table_size
from tests.support.models import make_model

ROW = {"source": "The dog jumps", "target": "over the fox"}
LAYOUTS = [None, {}, {"mask_padding": True}, {"begins": False, "ends": True}]


def make_encoder(tokenizer, layout, pattern="{source} [sMASK]", lengths=(12, 8)) -> RowEncoder:
    settings = (tokenizer, read_pattern(pattern, tokenizer), "target", *lengths, "longest")
    return RowEncoder(*settings) if layout is None else OriginalRowEncoder(OriginalLayout(**layout), *settings)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_encoded_rows_are_read_as_raw_ones(tokenizer, layout):
    encoder = make_encoder(tokenizer, layout)
    (encoded,) = encoder.encode_references(ROW)
    assert encoder.encode_references(encoded) == [encoded]
    assert encoder.encode_prompt(encoded) == encoder.encode_prompt(ROW)
    assert encoder.encode_target(encoded) == encoder.encode_target(ROW)
    assert encoder.list_references(encoded) == encoder.list_references(ROW) == [ROW["target"]]


@pytest.mark.parametrize("layout", [None, {}], ids=str)
def test_gold_of_several_blanks_has_the_form_of_generate(tokenizer, layout):
    encoder = make_encoder(tokenizer, layout, "{source} [MASK] and [sMASK]", (16, 12))
    row = {"source": "x", "target": ["the dog", "fox"]}
    if layout is not None:
        row = {**row, "target": [row["target"]]}
    target = encoder.encode_target(row)
    assert target.count(tokenizer.sop_token_id) == 2
    assert target.count(tokenizer.eop_token_id) == 1
    assert tokenizer.decode_blanks([target]) == [["the dog", "fox"]]
    assert encoder.list_references(row) == ["the dog\nfox"]


def test_a_target_that_is_cut_has_no_end(tokenizer):
    encoder = make_encoder(tokenizer, None, lengths=(12, 3))
    (sample,) = encoder.encode_references(ROW)
    ids = tokenizer(f" {ROW['target']}", add_special_tokens=False).input_ids
    assert [label for label in sample["labels"] if label != -100] == ids[:3]
    assert encoder.encode_target(ROW) == [tokenizer.sop_token_id, *ids[:3]]


def test_encoded_rows_without_labels_are_prompts_only(tokenizer):
    encoder = make_encoder(tokenizer, None)
    assert encoder.encode_prompt({"input_ids": [5, 6]}) == [5, 6]
    with pytest.raises(ValueError, match="has input_ids, but no labels"):
        encoder.encode_references({"input_ids": [5, 6]})


def test_references_become_samples(tokenizer):
    encoder = make_encoder(tokenizer, None)
    row = {"source": "x", "target": ["dog", "fox"]}
    samples = encoder.encode_references(row)
    assert samples == [
        sample for target in row["target"] for sample in encoder.encode_references({**row, "target": target})
    ]
    assert encoder.list_references(row) == ["dog", "fox"]
    assert encoder.encode_target(row) == encoder.encode_target({**row, "target": "dog"})


def test_the_position_table_limits_answers_that_are_not_cut(tokenizer):
    small = tokenizer.with_cloze(None)
    small.model_max_length = 6
    assert table_size(small) == 6
    row = {"source": "x", "target": "dog fox cat over lazy quick"}
    limited = make_encoder(small, None, lengths=(None, None))
    with pytest.raises(ValueError, match=r"has \d+ tokens with its start, but the position table ends at 6"):
        limited.encode_references(row)
    assert len(make_encoder(small, None, lengths=(None, 6)).encode_target(row)) == 7
    with pytest.raises(ValueError, match=r"does not fit.*Raise max_source_length"):
        limited.encode_references({"source": "dog fox cat over lazy quick", "target": "x"})


def test_texts_without_tokens_and_without_targets(of_family):
    tokenizer = of_family("bert")
    encoder = make_encoder(tokenizer, None, "{source} [MASK]")
    with pytest.raises(ValueError, match="Target 'target' has no tokens in this vocabulary"):
        encoder.encode_references({"source": "x", "target": "\x00"})
    with pytest.raises(ValueError, match=r"The row has no 'target', but \['source'\]: say which column"):
        encoder.encode_references({"source": "x"})
    with pytest.raises(ValueError, match="Target 'target' is empty"):
        encoder.encode_references({"source": "x", "target": ""})


def losses(tokenizer, *batches, change=None):
    model = make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)
    if change is not None:
        with torch.no_grad():
            change(model)
    with torch.inference_mode():
        return [model(**batch).loss.item() for batch in batches]


def batch_of(encoder, positions=True):
    (sample,) = encoder.encode_references(ROW)
    sample = {name: torch.tensor(values)[None] for name, values in sample.items()}
    return sample if positions else {name: values for name, values in sample.items() if name != "position_ids"}


def test_padding_is_text_unless_it_is_hidden(tokenizer):
    closed = {"ends": True}
    alone, hidden, shown, longer = losses(
        tokenizer,
        batch_of(make_encoder(tokenizer, None)),
        batch_of(make_encoder(tokenizer, {**closed, "mask_padding": True})),
        batch_of(make_encoder(tokenizer, closed)),
        batch_of(make_encoder(tokenizer, closed, lengths=(20, 8))),
    )
    assert hidden == pytest.approx(alone, abs=1e-6)
    assert len({round(loss, 4) for loss in (alone, shown, longer)}) == 3


def test_without_block_positions_the_model_can_be_made_to_count(tokenizer):
    """The remedy that the warning names: the rows of the table become one, and counting makes no difference."""
    encoder = make_encoder(tokenizer, {"block_positions": False})
    with pytest.warns(
        UserWarning, match="set all rows of the model's block_position_embeddings behind row 1 to row 1"
    ):
        encoder.encode_prompt(ROW)

    def flatten(model):
        table = dict(model.named_parameters())["glm.transformer.block_position_embeddings.weight"]
        table[2:] = table[1]

    given, counted = batch_of(encoder), batch_of(encoder, positions=False)
    first, second = losses(tokenizer, given, counted, change=flatten)
    assert first == pytest.approx(second, abs=1e-6)
    first, second = losses(tokenizer, given, counted)
    assert abs(first - second) > 1e-3


def test_the_usual_layout_does_not_warn(tokenizer):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_encoder(tokenizer, {}).encode_prompt(ROW)


def test_collator_takes_encoded_rows_of_datasets(tokenizer):
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, layout="original", max_source_length=12, max_target_length=8)
    rows = [ROW, {**ROW, "source": "x"}]
    whole, encoded = collator(rows), collator([collator.encode(row) for row in rows])
    assert whole.keys() == encoded.keys() == {"input_ids", "attention_mask", "position_ids", "labels"}
    assert all(torch.equal(whole[name], encoded[name]) for name in whole)
