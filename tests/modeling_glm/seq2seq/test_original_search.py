"""The originals' searches: their own ids and scores, naive loops, `generate` of Transformers where it agrees, and refusals."""

import copy
import dataclasses

import pytest
import torch
from transformers import LogitsProcessorList, MaxTimeCriteria, RepetitionPenaltyLogitsProcessor, StoppingCriteriaList

from modeling_glm import DataCollatorForInfillingSeq2Seq, GLMForConditionalGeneration
from modeling_glm.layout_glm import compute_position_ids, find_parts
from modeling_glm.seq2seq.original_search import (
    fill_as_originals,
    original_beams,
    original_infilling,
    search_as_originals,
)
from modeling_glm.seq2seq.originals.texts import restore_infilling
from modeling_glm.tokenization.seq2seq.published import read_seq2seq_task
from tests.support.models import TOKEN_IDS, make_model, pad_rows, prompts, words
from tests.support.naive_search import naive_beams, naive_infilling
from tests.support.original_search import load_model, load_tokenizer, name_case, read_cases, read_inputs, read_settings

BEAMS, INFILLING = read_cases("beams"), read_cases("infilling")
SOP, EOP, PAD, EOS = (TOKEN_IDS[f"{name}_token_id"] for name in ("sop", "eop", "pad", "eos"))


def with_answers(cases):
    return [case for case in cases["cases"] if "error" not in case]


def read_answer(config, row):
    """The ids of an answer without its frame and padding, as the golden data have them."""
    ids = row[1 : row.index(config.eop_token_id)] if config.eop_token_id in row else row[1:]
    return [token for token in ids if token != config.pad_token_id]


@pytest.mark.parametrize("case", with_answers(BEAMS), ids=name_case)
def test_golden_beams(case):
    model = load_model("beams", case["model"], case["eop_row"])
    inputs = read_inputs(case, BEAMS["inputs"][case["inputs"]])
    found = search_as_originals(model, **inputs, **read_settings(case))
    assert [read_answer(model.config, row) for row in found.sequences.tolist()] == case["kept_ids"]
    assert found.scores.tolist() == pytest.approx(case["scores"], abs=1e-4)


# One case of every model, task and layout, whose inputs are made from the files.
MASK_PADDING = "--mask-pad-token"
FROM_FILES = {
    (case["model"], case["task"], MASK_PADDING in case["flags"]): case
    for case in sorted(with_answers(BEAMS), key=lambda case: case["eop_row"] == 1)  # answers of various lengths win
    if "--no-block-position" not in case["flags"]
}


@pytest.mark.parametrize("case", FROM_FILES.values(), ids=name_case)
def test_golden_beams_from_the_files_of_a_task(case, tmp_path):
    """Read the files, write prompts in the originals' layout, search: no ids or positions are given."""
    for name, text in BEAMS["files"].items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    model, tokenizer = load_model("beams", case["model"], case["eop_row"]), load_tokenizer(case["model"])
    asked = read_settings(case)
    lengths = {
        "max_source_length": int(case["flags"][case["flags"].index("--src-seq-length") + 1]),
        "max_target_length": asked["max_new_tokens"],
    }
    task = read_seq2seq_task(case["task"])
    settings = task.collator_settings(tokenizer, original=True, **lengths)
    settings["layout"] = dataclasses.replace(settings["layout"], mask_padding=MASK_PADDING in case["flags"])
    collator = DataCollatorForInfillingSeq2Seq(tokenizer, **settings)
    rows = task.read(tmp_path, "test", tokenizer=tokenizer, original=True)
    found = search_as_originals(model, **collator.prompts(rows), **asked)
    assert [read_answer(model.config, row) for row in found.sequences.tolist()] == case["kept_ids"]
    assert found.scores.tolist() == pytest.approx(case["scores"], abs=1e-4)


@pytest.mark.parametrize("case", [case for case in BEAMS["cases"] if "error" in case], ids=name_case)
def test_golden_errors(case):
    """The originals divide by zero, and lose the answers of all rows."""
    model = load_model("beams", case["model"], case["eop_row"])
    inputs, settings = read_inputs(case, BEAMS["inputs"][case["inputs"]]), read_settings(case)
    with pytest.raises(ValueError, match=r"answer of row \d+ is empty, .* length of 0 tokens.* give length_penalty=0"):
        search_as_originals(model, **inputs, **settings)
    found = search_as_originals(model, **inputs, **{**settings, "length_penalty": 0})
    assert [] in [read_answer(model.config, row) for row in found.sequences.tolist()]


@pytest.mark.parametrize("case", with_answers(INFILLING), ids=name_case)
def test_golden_infilling(case):
    model = load_model("infilling", case["model"], case["eop_row"])
    config, settings = model.config, read_settings(case)
    found = fill_as_originals(model, **read_inputs(case, case["inputs"]), **settings)
    for sample, row, expected in zip(case["inputs"], found.sequences.tolist(), case["filled_ids"], strict=True):
        ids = row[: row.index(config.eop_token_id)] if config.eop_token_id in row else row
        pieces: list[list[int]] = []
        for token in ids:
            pieces += [[]] if token == config.sop_token_id else []
            pieces[-1] += [] if token in (config.sop_token_id, config.pad_token_id) else [token]
        filled = []
        for token in sample["text"][: sample["attention_mask"]]:
            if token in config.mask_token_ids:
                filled += pieces.pop(0) if pieces else []  # blanks that were not reached vanish
            else:
                filled.append(token)
        assert [token for token in filled if token != config.pad_token_id] == expected


@pytest.mark.parametrize("case", [case for case in INFILLING["cases"] if "error" in case], ids=name_case)
def test_blanks_are_found_where_the_originals_fail(case):
    """With task masks the originals look for another mask in the texts of this task, and fail with an IndexError."""
    model, asked = load_model("infilling", case["model"], case["eop_row"]), read_settings(case)
    rules = {"size": asked.get("no_repeat_ngram_size", 0), "least": asked.get("min_new_tokens", 0)}
    inputs = read_inputs(case, case["inputs"])
    found = fill_as_originals(model, **inputs, **asked)
    for ids, row0, row1, row in zip(
        inputs["input_ids"].tolist(), *inputs["position_ids"].unbind(1), found.sequences.tolist(), strict=True
    ):
        places = list(zip(row0.tolist(), row1.tolist(), strict=True))
        blanks = [place for place, token in enumerate(ids) if token in model.config.mask_token_ids]
        expected, _ = naive_infilling(model, ids, places, blanks, most=min(asked["max_new_tokens"], 8), **rules)
        shown = [token for token in expected if token != model.config.pad_token_id]
        assert row[1 : len(shown) + 1] == shown


def test_golden_texts():
    """The decoded answers, and the filled texts behind their fixes."""
    texts, expected = [], []
    for cases, name, restore in ((BEAMS, "kept_ids", str), (INFILLING, "filled_ids", restore_infilling)):
        for case in with_answers(cases):
            tokenizer = load_tokenizer(case["model"])
            texts += [restore(str(tokenizer.decode(ids))) for ids in case[name]]
            expected += case["predictions"]
    assert texts == expected


# Rows of different lengths, with one blank each.
ROWS = [
    [2, *words(4, 1), 3, *words(2, 2), 1],
    [2, 4, *words(11, 3), 1],
    [2, *words(2, 4), 5],
    [2, *words(17, 5), 3, 1],
    [2, *words(6, 6), 3, 1],
]
SEARCHES = [
    {"num_beams": 1, "max_new_tokens": 7},
    {"num_beams": 2, "length_penalty": 0.7, "max_new_tokens": 7},
    {"num_beams": 3, "length_penalty": 1.0, "no_repeat_ngram_size": 2, "max_new_tokens": 6, "num_return_sequences": 3},
    {"num_beams": 3, "no_repeat_ngram_size": 1, "min_new_tokens": 4, "max_new_tokens": 4},
    {"num_beams": 4, "length_penalty": -2.0, "min_new_tokens": 2, "max_new_tokens": 5, "num_return_sequences": 2},
]


@pytest.fixture(scope="module")
def model() -> GLMForConditionalGeneration:
    """Its answers end at various lengths, and hold ends of text, which are ordinary tokens to the originals."""
    model = make_model(GLMForConditionalGeneration, seed=7)
    embeddings, norm = model.get_input_embeddings().weight, model.glm.transformer.final_layernorm
    with torch.no_grad():
        for token, by in ((EOP, 7), (EOS, 3)):
            norm.bias += by * embeddings[token] / embeddings[token].norm() ** 2
    return model


def padded(rows, side):
    ids = pad_rows(rows, side)
    mask = pad_rows([[1] * len(row) for row in rows], side)
    return {"input_ids": ids, "attention_mask": mask}


def as_naive(row, config):
    """The context with its start of piece, and its positions."""
    ids = [*row, SOP]
    positions = compute_position_ids(torch.tensor([ids]), config)[0]
    return ids, list(zip(*positions.tolist(), strict=True))


def drop_padding(ids):
    return [token for token in ids if token not in (PAD, EOS)]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_beams_are_those_of_a_naive_loop(model, search, side):
    found = search_as_originals(model, **padded(ROWS, side), **search)
    names = {
        "num_beams": "beams",
        "length_penalty": "penalty",
        "no_repeat_ngram_size": "size",
        "min_new_tokens": "least",
    }
    naive = {names[name]: value for name, value in search.items() if name in names}
    expected = [
        answer
        for row in ROWS
        for answer in naive_beams(model, *as_naive(row, model.config), most=search["max_new_tokens"], **naive)[
            : search.get("num_return_sequences", 1)
        ]
    ]
    lengths = {len(ids) for ids, _ in expected}
    assert len(lengths) > 1 or search.get("min_new_tokens") == search["max_new_tokens"]
    for row, (ids, _) in zip(found.sequences.tolist(), expected, strict=True):
        shown = [SOP, *drop_padding(ids)]
        assert row == shown + [PAD] * (len(row) - len(shown))
    assert found.scores.tolist() == pytest.approx([score for _, score in expected], abs=1e-4)


@pytest.mark.parametrize("search", SEARCHES, ids=str)
def test_as_custom_generate(model, search):
    inputs = padded(ROWS, "left")
    found = search_as_originals(model, **inputs, **search)
    settings = {"length_penalty": 0.0, **search}
    sequences = model.generate(**inputs, **settings, custom_generate=original_beams)
    opened = torch.nn.functional.pad(inputs["input_ids"], (0, 1), value=SOP)
    copies = search.get("num_return_sequences", 1)
    assert torch.equal(sequences[:, : opened.shape[1]], opened.repeat_interleave(copies, dim=0))
    assert torch.equal(sequences[:, opened.shape[1] - 1 :], found.sequences)
    output = model.generate(**inputs, **settings, custom_generate=original_beams, return_dict_in_generate=True)
    assert torch.equal(output.sequences, sequences)
    assert torch.equal(output.sequences_scores, found.scores)


def test_the_batch_changes_nothing(model):
    for row, together in zip(
        ROWS, search_as_originals(model, **padded(ROWS, "right"), **SEARCHES[1]).sequences, strict=True
    ):
        alone = search_as_originals(model, torch.tensor([row]), **SEARCHES[1]).sequences[0]
        assert together[: len(alone)].tolist() == alone.tolist()
        assert set(together[len(alone) :].tolist()) <= {PAD}


@pytest.mark.parametrize(
    "search",
    [
        {"num_beams": 1},
        {"num_beams": 3, "length_penalty": 0.0},
        {"num_beams": 4, "length_penalty": 0.0, "no_repeat_ngram_size": 2, "min_new_tokens": 2},
    ],
    ids=str,
)
def test_beams_of_transformers_agree_without_a_penalty(model, search):
    """One divides by (n + 1)^penalty and the other by n^penalty, so with a penalty of 0 both divide by 1."""
    inputs = padded(ROWS, "left")
    settings = {"max_new_tokens": 7, **search}
    ours = search_as_originals(model, **inputs, **settings)
    theirs = model.generate(**inputs, **settings, eos_token_id=EOP, do_sample=False)[:, inputs["input_ids"].shape[1] :]
    for row, other in zip(ours.sequences.tolist(), theirs.tolist(), strict=True):
        assert read_answer(model.config, row) == drop_padding(read_answer(model.config, other))


def agree_with_transformers(has_penalty):
    """Whether `generate` gives the originals' ids, for every row of the golden cases with or without a penalty."""
    same = []
    for case in with_answers(BEAMS):
        settings = read_settings(case)
        is_penalised = settings["num_beams"] > 1 and bool(settings.get("length_penalty"))
        if is_penalised != has_penalty or case["flags"][-1] == "--no-block-position":
            continue
        model = load_model("beams", case["model"], case["eop_row"])
        inputs = read_inputs(case, BEAMS["inputs"][case["inputs"]])
        settings = (
            {"length_penalty": 0.0, **settings} if settings["num_beams"] > 1 else {**settings, "length_penalty": None}
        )
        end = model.config.eop_token_id
        ids = model.generate(**inputs, **settings, eos_token_id=end, do_sample=False)[
            :, inputs["input_ids"].shape[1] - 1 :
        ]
        answers = [read_answer(model.config, row) for row in ids.tolist()]
        same += [answer == expected for answer, expected in zip(answers, case["kept_ids"], strict=True)]
    return same


def test_beams_of_transformers_find_the_golden_answers_without_a_penalty():
    same = agree_with_transformers(has_penalty=False)
    assert len(same) > 30
    assert all(same)


def test_beams_of_transformers_lose_golden_answers_with_a_penalty():
    """They divide by (n + 1)^penalty: most answers stay the best, some do not."""
    same = agree_with_transformers(has_penalty=True)
    assert 0.5 < sum(same) / len(same) < 1


FILLINGS = [
    {"max_new_tokens": 12},
    {"max_new_tokens": 9, "no_repeat_ngram_size": 2},
    {"max_new_tokens": 20, "no_repeat_ngram_size": 3, "min_new_tokens": 6},
    {"max_new_tokens": 1},
]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("search", FILLINGS, ids=str)
def test_infilling_is_that_of_a_naive_loop(model, search, side):
    """Prompts with one, three, one and two blanks."""
    found = fill_as_originals(model, **padded(prompts(), side), **search)
    for row, ids, score in zip(prompts(), found.sequences.tolist(), found.scores.tolist(), strict=True):
        context, positions = as_naive(row, model.config)
        blanks = find_parts(torch.tensor([row]), model.config).blanks[0].nonzero()[:, 0].tolist()
        expected, total = naive_infilling(
            model,
            context,
            positions,
            blanks,
            most=search["max_new_tokens"],
            size=search.get("no_repeat_ngram_size", 0),
            least=search.get("min_new_tokens", 0),
        )
        shown = [SOP, *drop_padding(expected)]
        assert ids == shown + [PAD] * (len(ids) - len(shown))
        assert score == pytest.approx(total, abs=1e-4)
    # With one beam, several blanks are filled so. `generate` does the same as a hook.
    assert torch.equal(search_as_originals(model, **padded(prompts(), side), **search).sequences, found.sequences)
    filled = model.generate(**padded(prompts(), side), **search, custom_generate=original_infilling)
    assert torch.equal(filled[:, -found.sequences.shape[1] :], found.sequences)


def test_given_positions_may_say_that_row_1_stands_still(model):
    """The originals' no-block-position, in beams and in infilling: 1 throughout."""
    row = prompts()[3]
    context, places = as_naive(row, model.config)
    positions = torch.tensor(places).T[None]
    longer = torch.cat((positions, positions[..., -1:].expand(-1, -1, 8)), dim=-1)
    ids = torch.tensor([context])
    still = search_as_originals(model, ids, position_ids=longer, num_beams=2, max_new_tokens=8)
    flat = [*places, *[places[-1]] * 8]
    ((expected, _), _) = naive_beams(model, context, flat, beams=2, most=8)
    assert drop_padding(expected) == [token for token in still.sequences[0, 1:].tolist() if token != PAD]
    filled = fill_as_originals(model, ids, position_ids=longer, max_new_tokens=8)
    assert filled.scores != fill_as_originals(model, ids, position_ids=positions, max_new_tokens=8).scores


def test_a_context_that_is_read_as_text(model):
    """Padding counts in positions and is seen, unless the mask hides it: as the text of that many ends."""
    row = [2, *words(4, 1), 3, EOS, EOS, EOS, SOP]
    positions = torch.stack((torch.tensor([*range(9), 5]), torch.tensor([0] * 9 + [1])))[None]
    settings = {"num_beams": 3, "length_penalty": 0.7, "max_new_tokens": 5}
    read = search_as_originals(model, torch.tensor([row]), position_ids=positions, **settings)
    assert torch.equal(read.scores, search_as_originals(model, torch.tensor([row[:-1]]), **settings).scores)
    mask = torch.tensor([[1] * 6 + [0] * 3 + [1]])
    hidden = search_as_originals(model, torch.tensor([row]), mask, positions, **settings)
    short = search_as_originals(model, torch.tensor([row[:6]]), **settings)
    assert hidden.scores.tolist() == pytest.approx(short.scores.tolist(), abs=1e-5)
    assert hidden.scores.tolist() != pytest.approx(read.scores.tolist(), abs=1e-3)


def test_a_training_model_keeps_its_mode():
    model = make_model(GLMForConditionalGeneration, hidden_dropout=0.5).train()
    first, second = (search_as_originals(model, torch.tensor(ROWS[:1]), max_new_tokens=4) for _ in range(2))
    assert torch.equal(first.scores, second.scores)
    assert model.training


def test_with_lora(model):
    peft = pytest.importorskip("peft")
    wrapped = peft.get_peft_model(
        copy.deepcopy(model),
        peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["query_key_value"], init_lora_weights=False),
    )
    inputs = padded(ROWS, "left")
    found = search_as_originals(wrapped, **inputs, **SEARCHES[1])
    merged = search_as_originals(wrapped.merge_and_unload(), **inputs, **SEARCHES[1])
    assert found.scores.tolist() == pytest.approx(merged.scores.tolist(), abs=1e-4)
    assert found.scores.tolist() != pytest.approx(
        search_as_originals(model, **inputs, **SEARCHES[1]).scores.tolist(), abs=1e-2
    )


def test_soft_prompts_are_refused(model):
    peft = pytest.importorskip("peft")
    wrapped = peft.get_peft_model(
        copy.deepcopy(model), peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    )
    inputs = padded(ROWS, "left")
    with pytest.raises(ValueError, match="does not know virtual tokens"):
        search_as_originals(wrapped, **inputs, max_new_tokens=3)
    with pytest.raises(ValueError, match="does not know virtual tokens"):
        wrapped.generate(**inputs, max_new_tokens=3, custom_generate=original_beams)


def test_several_blanks_need_one_beam(model):
    rows = padded(prompts(), "left")
    with pytest.raises(
        ValueError, match="Row 1 of input_ids has 3 blanks, but the originals' beams fill one: give num_beams=1"
    ):
        search_as_originals(model, **rows, num_beams=2, max_new_tokens=5)
    with pytest.raises(ValueError, match="Row 1 of input_ids has 3 blanks"):
        search_as_originals(model, **rows, length_penalty=0.7, max_new_tokens=5)
    with pytest.raises(ValueError, match="Row 1 of input_ids has 3 blanks"):
        model.generate(**rows, num_beams=2, max_new_tokens=5, custom_generate=original_beams)
    with pytest.raises(ValueError, match=r"num_beams=2, .* the originals' infilling is greedy"):
        model.generate(**rows, num_beams=2, max_new_tokens=5, custom_generate=original_infilling)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens=0: expected 1 to 48, because the position table has 48 rows"),
        ({"max_new_tokens": 49}, "max_new_tokens=49: expected 1 to 48"),
        ({"max_new_tokens": 2.5}, "max_new_tokens=2.5 is of type float"),
        ({"num_beams": 0}, "num_beams=0: expected 1 to 32"),
        ({"num_beams": 33}, "num_beams=33: expected 1 to 32, because two candidates for every beam"),
        ({"length_penalty": float("nan")}, "length_penalty=nan: expected a finite number"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size=-1: expected at least 0"),
        ({"min_new_tokens": 6}, "min_new_tokens=6: expected 0 to 5, the most tokens of an answer"),
        ({"num_beams": 2, "num_return_sequences": 3}, "num_return_sequences=3: expected 1 to 2, the number of beams"),
    ],
    ids=str,
)
def test_limits(model, settings, match):
    with pytest.raises(ValueError, match=match):
        search_as_originals(model, **padded(ROWS, "left"), **{"max_new_tokens": 5, **settings})


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"do_sample": True}, "do_sample"),
        ({"diversity_penalty": 0.5, "num_beams": 2}, "diversity_penalty"),
        ({"score_observers": [lambda ids, scores: scores]}, "score_observers"),
        ({"early_stopping": True, "num_beams": 2}, "early_stopping"),
        ({"repetition_penalty": 1.5}, "RepetitionPenaltyLogitsProcessor"),
        ({"eos_token_id": 12}, r"eos_token_id=\[7, 12\]"),
        ({"use_cache": False}, "use_cache=False"),
        ({"output_attentions": True, "return_dict_in_generate": True}, "output_attentions"),
        ({"stopping_criteria": StoppingCriteriaList([MaxTimeCriteria(9)])}, "MaxTimeCriteria"),
        (
            {"logits_processor": LogitsProcessorList([RepetitionPenaltyLogitsProcessor(1.5)])},
            "RepetitionPenaltyLogitsProcessor",
        ),
        ({"cache_implementation": "static"}, "past_key_values, a StaticCache"),
    ],
    ids=[
        "sample",
        "groups",
        "observers",
        "early",
        "repetition",
        "end",
        "no cache",
        "attentions",
        "criteria",
        "processor",
        "static",
    ],
)
def test_nothing_is_ignored(model, settings, match):
    with pytest.raises(ValueError, match=f"The originals' search does not know .*{match}.*: leave it out"):
        model.generate(**padded(ROWS, "left"), max_new_tokens=3, custom_generate=original_beams, **settings)


def test_an_answer_that_has_begun_is_refused(model):
    with pytest.raises(ValueError, match="The piece of row 0 has tokens already"):
        search_as_originals(model, torch.tensor([[*ROWS[0], SOP, 20]]), max_new_tokens=3)


def test_no_answer_outgrows_the_table(model):
    """The limits of `generate` are for all tokens, so the table ends the answer, as it does without the hook."""
    settings = {**padded(ROWS[:1], "left"), "max_new_tokens": 99, "suppress_tokens": None, "min_new_tokens": 47}
    ids = model.generate(**settings, custom_generate=original_beams)[0, len(ROWS[0]) :].tolist()
    alone = search_as_originals(model, torch.tensor(ROWS[:1]), max_new_tokens=47, min_new_tokens=47)
    assert ids == alone.sequences[0].tolist()
