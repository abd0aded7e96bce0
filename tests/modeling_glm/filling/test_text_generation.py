"""pipeline("text-generation") fills prompts and answers chats; other models keep the built-in pipeline."""

import copy
import json
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, TextGenerationPipeline, pipeline

from modeling_glm import GLMForConditionalGeneration, GLMTextGenerationPipeline, GLMTokenizer
from tests.support.containers import CONTAINERS
from tests.support.models import make_model
from tests.support.paths import EXAMPLES

PROMPTS = ["The quick brown fox [gMASK]", "In the year [gMASK]"]
CHAT = [{"role": "user", "content": "Write 12 in words."}]
TEMPLATE = "{{ cls_token }}{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
REPLY = "{% if add_generation_prompt %}The number 12 is [gMASK]{% endif %}"
CLASSES = [None, GLMTextGenerationPipeline]


@pytest.fixture(scope="module")
def model(tokenizer) -> GLMForConditionalGeneration:
    return make_model(GLMForConditionalGeneration, vocab_size=len(tokenizer), **tokenizer.special_token_ids)


@pytest.fixture(scope="module")
def trained() -> tuple[GLMForConditionalGeneration, GLMTokenizer]:
    """The embedded checkpoint, which writes numbers in words."""
    folder = EXAMPLES / "glm-tiny"
    return GLMForConditionalGeneration.from_pretrained(folder, dtype="float32").eval(), GLMTokenizer.from_pretrained(
        folder
    )


def build(model, tokenizer, **settings):
    return pipeline("text-generation", model=model, tokenizer=tokenizer, do_sample=False, max_new_tokens=6, **settings)


@pytest.fixture(scope="module", params=CLASSES, ids=["built-in", "own"])
def writer(request, model, tokenizer):
    return build(model, tokenizer, pipeline_class=request.param)


@pytest.fixture(scope="module")
def answers(model, tokenizer) -> list[str]:
    inputs = tokenizer(PROMPTS, return_tensors="pt", padding=True)
    return [row[0] for row in tokenizer.decode_blanks(model.generate(**inputs, do_sample=False, max_new_tokens=6))]


def chatting(tokenizer, template: str) -> GLMTokenizer:
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.chat_template = template
    return tokenizer


def test_the_answer_takes_the_place_of_the_mask(writer, tokenizer, answers):
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        (record,) = writer(prompt)
        assert record == {"generated_text": tokenizer.fill(prompt, [answer])}
        assert type(record["generated_text"]) is str
        assert record["generated_text"].startswith(prompt.removesuffix(" [gMASK]"))
        (record,) = writer(prompt, return_full_text=False)
        assert record == {"generated_text": answer}
        assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("batch_size", [1, 2])
def test_a_batch_is_as_one_at_a_time(writer, batch_size):
    assert writer(PROMPTS, batch_size=batch_size) == [writer(prompt) for prompt in PROMPTS]


def test_any_form_of_many_prompts(model, tokenizer):
    writer = build(model, tokenizer, pipeline_class=GLMTextGenerationPipeline)
    expected = [writer(prompt) for prompt in PROMPTS]
    for name, make in CONTAINERS.items():
        assert list(writer(make(PROMPTS))) == expected, name
    assert [list(writer(make([]))) for make in CONTAINERS.values()] == [[]] * len(CONTAINERS)
    assert writer({"text": PROMPTS[0]}) == expected[0]


def test_several_sequences_and_several_blanks(writer):
    text = "The [MASK] fox [gMASK]"
    records = writer(text, do_sample=True, num_return_sequences=3, max_new_tokens=20)
    assert len(records) == 3
    assert all("MASK]" not in record["generated_text"] for record in records)
    (record,) = writer(text, return_full_text=False, max_new_tokens_per_blank=3, max_new_tokens=20)
    assert len(record["generated_text"].split("\n")) == 2


def test_the_own_class_has_a_line_for_a_blank_that_was_not_reached(model, tokenizer):
    writer = build(model, tokenizer, pipeline_class=GLMTextGenerationPipeline)
    (record,) = writer("The [MASK] fox [gMASK]", return_full_text=False, max_new_tokens=2)
    assert record["generated_text"].endswith("\n")


def test_ids_and_spelt_out_tokens_are_as_in_the_library(writer, tokenizer, model):
    ids = tokenizer(PROMPTS[0], return_tensors="pt").input_ids
    expected = model.generate(ids, do_sample=False, max_new_tokens=6)[0].tolist()
    assert writer(PROMPTS[0], return_tensors=True) == [{"generated_token_ids": expected}]
    (record,) = writer(PROMPTS[0], skip_special_tokens=False)
    assert record["generated_text"] == PROMPTS[0] + tokenizer.decode(expected[ids.shape[1] :])


def test_a_prompt_without_a_blank_is_refused(writer):
    with pytest.raises(ValueError, match=r"To continue a text, end it with \[gMASK\]"):
        writer("Once upon a time")


@pytest.mark.parametrize("pipeline_class", CLASSES)
def test_a_folder_is_loaded(model, tokenizer, answers, pipeline_class, tmp_path):
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = build(str(tmp_path), None, pipeline_class=pipeline_class)
    assert isinstance(loaded, pipeline_class or TextGenerationPipeline)
    assert loaded(PROMPTS[0]) == [{"generated_text": tokenizer.fill(PROMPTS[0], answers[:1])}]


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("The number 4836 is written four thousand eight hundred and thirty [gMASK]", "thirty-six"),
        ("The number 4836 is written four thousand eight hundred and thirty[gMASK]", "thirty-six"),
        ("The number 4836 is written four thousand eight hundred and thirty [MASK].", "thirty-six."),
        ("The number 57 is[MASK].", "The number 57 is read as fifty-seven."),
        ("The number 57 is \u00a0[MASK].", "The number 57 is read as fifty-seven."),
        (
            "The number 4836 is written[MASK] thousand [MASK] hundred and[MASK].",
            "four thousand eight hundred and thirty-six.",
        ),
    ],
)
def test_white_space_at_a_blank_is_that_of_the_answer(trained, prompt, filled):
    (record,) = build(*trained)(prompt, max_new_tokens=2 if "gMASK" in prompt else 8)
    assert record["generated_text"].endswith(filled)


@pytest.mark.parametrize(
    "prompt",
    [
        "The number 4836 is written four thousand eight hundred and thirty [gMASK]",
        "It isn [gMASK]",
        "The time is 19: [gMASK]",
        "[gMASK]",
        "[MASK] is [gMASK]",
    ],
)
def test_the_text_is_what_the_ids_say(trained, prompt):
    model, tokenizer = trained
    inputs = tokenizer(prompt, return_tensors="pt")
    ids = model.generate(**inputs, do_sample=False, max_new_tokens=6)[0].tolist()
    (record,) = build(model, tokenizer)(prompt)
    assert record["generated_text"] == tokenizer.decode(in_place(tokenizer, ids), skip_special_tokens=True)


def in_place(tokenizer, ids: list[int]) -> list[int]:
    """Put the pieces of a row in the place of their mask tokens."""
    start = ids.index(tokenizer.sop_token_id)
    pieces: list[list[int]] = []
    for token in ids[start:]:
        if token == tokenizer.sop_token_id:
            pieces.append([])
        else:
            pieces[-1].append(token)
    filled = []
    for token in ids[:start]:
        is_blank = token in tokenizer.mask_token_ids
        filled += (pieces.pop(0) if pieces else []) if is_blank else [token]
    return filled


def test_a_blank_that_was_not_reached_is_empty(trained):
    (record,) = build(*trained)("The number 4444 is written [MASK] thousand [MASK] hundred.", max_new_tokens=1)
    assert record["generated_text"] == "The number 4444 is written four thousand hundred."


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"num_beams": 2},
        {"cache_implementation": "static", "disable_compile": True},
        {"prompt_lookup_num_tokens": 2},
    ],
)
def test_a_stop_string_ends_its_piece_and_not_the_row(trained, how):
    model, tokenizer = trained
    inputs = tokenizer("The number 57 is [MASK]. The number 57 is written [MASK].", return_tensors="pt")
    outputs = model.generate(**inputs, tokenizer=tokenizer, stop_strings=[" as"], do_sample=False, **how)
    assert tokenizer.decode_blanks(outputs) == [["read as", "fifty-seven"]]


@pytest.mark.parametrize("stop", [">", "|>", "<|startofpiece|>", "piece", "]"])
def test_a_stop_string_is_not_found_in_special_tokens(trained, stop):
    model, tokenizer = trained
    inputs = tokenizer("The number 57 is [MASK]. The number 57 is written [MASK].", return_tensors="pt")
    expected = tokenizer.decode_blanks(model.generate(**inputs))
    for how in ({}, {"num_beams": 2}):
        outputs = model.generate(**inputs, tokenizer=tokenizer, stop_strings=[stop], **how)
        assert tokenizer.decode_blanks(outputs) == tokenizer.decode_blanks(model.generate(**inputs, **how))
    assert all(expected[0])


def test_stop_strings_in_the_pipeline(trained):
    prompt = "The number 57 is [MASK]. The number 57 is written [MASK]."
    (record,) = build(*trained)(prompt, stop_sequence=" as", max_new_tokens=20)
    assert record["generated_text"].endswith("The number 57 is written fifty-seven.")


def test_decoded_pieces_are_ordinary_strings_elsewhere(trained):
    _, tokenizer = trained
    ids = [tokenizer.sop_token_id, *tokenizer.encode(" read as", add_special_tokens=False), tokenizer.eop_token_id]
    text = tokenizer.decode(ids, skip_special_tokens=True)
    assert text == "read as"
    assert tokenizer.batch_decode([ids, ids], skip_special_tokens=True) == [text, text]
    assert tokenizer.decode(torch.tensor(ids), skip_special_tokens=True) == text
    assert "is[MASK]." + text == "is read as."
    assert "is" + text == "is read as"
    assert "is " + text + "!" == "is read as!"
    for plain in (pickle.loads(pickle.dumps(text)), copy.copy(text), copy.deepcopy(text)):
        assert plain == text
        assert type(plain) is str
    two = tokenizer.decode([*ids[:-1], *ids], skip_special_tokens=True)
    assert two == "read as\nread as"
    assert "[MASK] and [MASK]" + two == " read as and read as"
    assert "no blank: " + two == "no blank: read as\nread as"
    assert type(tokenizer.decode([tokenizer.cls_token_id, *ids], skip_special_tokens=True)) is str
    assert tokenizer.decode(ids).startswith(tokenizer.sop_token)


@settings(max_examples=20)
@given(data=st.data())
@pytest.mark.parametrize("family", ["own", "gpt2", "roberta", "bert", "chinese"])
def test_a_text_and_its_pieces_are_the_filled_text(of_family, family, data):
    tokenizer = of_family(family)
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    words = st.integers(0, tokenizer.vocab_size - 1).filter(lambda token: token not in special)
    spaces = st.sampled_from(["", " ", "\n", "\u00a0"])
    text = "The" + "".join(data.draw(st.lists(spaces.map("{}[MASK] end".format), min_size=1, max_size=3)))
    pieces = [data.draw(st.lists(words, max_size=4)) for _ in range(text.count("[MASK]"))]
    ids = [token for piece in pieces for token in (tokenizer.sop_token_id, *piece)] + [tokenizer.eop_token_id]
    (answers,) = tokenizer.decode_blanks([ids])
    assert text + tokenizer.decode(ids, skip_special_tokens=True) == tokenizer.fill(text, answers)


@pytest.mark.parametrize("pipeline_class", CLASSES)
@pytest.mark.parametrize("template", [TEMPLATE + REPLY, TEMPLATE + REPLY.replace("[gMASK]", "{{ gmask_token }}")])
def test_a_chat_is_answered(trained, template, pipeline_class):
    model, tokenizer = trained
    writer = build(model, chatting(tokenizer, template), pipeline_class=pipeline_class)
    prompt = tokenizer("user: Write 12 in words.\nThe number 12 is [gMASK]", return_tensors="pt")
    answer = tokenizer.decode_blanks(model.generate(**prompt, do_sample=False, max_new_tokens=6))[0][0]
    expected = [{"generated_text": [*CHAT, {"role": "assistant", "content": answer}]}]
    assert writer(CHAT) == expected
    assert writer([CHAT, CHAT], batch_size=2) == [expected, expected]
    assert writer(CHAT, return_full_text=False) == [{"generated_text": answer}]
    # The answer goes into the next turn.
    again = writer([*expected[0]["generated_text"], *CHAT])
    assert len(again[0]["generated_text"]) == 4


def test_a_template_of_another_model_gets_a_blank(trained):
    model, tokenizer = trained
    foreign = TEMPLATE + REPLY.replace(" [gMASK]", "\n")
    assert (
        chatting(tokenizer, foreign)
        .apply_chat_template(CHAT, add_generation_prompt=True, tokenize=False)
        .endswith("The number 12 is\n[gMASK]")
    )
    assert "MASK]" not in chatting(tokenizer, foreign).apply_chat_template(CHAT, tokenize=False)
    expected = build(model, chatting(tokenizer, TEMPLATE + REPLY))(CHAT)
    assert build(model, chatting(tokenizer, foreign))(CHAT) == expected


@pytest.mark.parametrize(
    ("begun", "ended"),
    [
        ("The number 12 is", "The number 12 is read as"),
        ("The number 12 is ", "The number 12 is read as"),
        ("The number [MASK] is read as twelve.", "The number 12 is read as twelve."),
    ],
)
def test_a_message_that_has_begun_goes_on(trained, begun, ended):
    model, tokenizer = trained
    writer = build(model, chatting(tokenizer, TEMPLATE + REPLY))
    (record,) = writer([*CHAT, {"role": "assistant", "content": begun}], max_new_tokens=2)
    assert record["generated_text"][0] == CHAT[0]
    assert record["generated_text"][-1] == {"role": "assistant", "content": ended}


def test_chats_as_ids(trained):
    tokenizer = chatting(trained[1], TEMPLATE + REPLY)
    chats = [[*CHAT, {"role": "assistant", "content": begun}] for begun in ("twelve", "It is [MASK].")]
    texts = tokenizer.apply_chat_template(chats, continue_final_message=True, tokenize=False)
    assert [text.splitlines()[-1] for text in texts] == ["assistant: twelve[gMASK]", "assistant: It is [MASK]."]
    inputs = tokenizer.apply_chat_template(chats, continue_final_message=True, padding=True, return_tensors="pt")
    expected = tokenizer(texts, add_special_tokens=False, padding=True, return_tensors="pt")
    assert torch.equal(inputs["input_ids"], expected["input_ids"])
    assert torch.equal(inputs["attention_mask"], expected["attention_mask"])
    ids = tokenizer.apply_chat_template(chats[0], continue_final_message=True, return_dict=False)
    assert ids == tokenizer(texts[0], add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("pipeline_class", CLASSES)
def test_a_blank_in_a_message_that_is_given_is_an_error(trained, pipeline_class):
    """It would be filled first, and its answer would stand in the model's message."""
    tokenizer = chatting(trained[1], TEMPLATE + REPLY)
    writer = build(trained[0], tokenizer, pipeline_class=pipeline_class)
    asked = [*CHAT, {"role": "assistant", "content": "twelve"}, {"role": "user", "content": "Is it [MASK]?"}]
    with pytest.raises(ValueError, match=r"message 2 has a blank: .*Is it \[MASK\]\?.* Leave it out"):
        writer(asked)
    with pytest.raises(ValueError, match="Chat 1, message 2 has a blank"):
        tokenizer.apply_chat_template([CHAT, asked], add_generation_prompt=True)
    with pytest.raises(ValueError, match="message 2 has a blank"):
        tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": "No"}], continue_final_message=True)
    assert "[MASK]?" in tokenizer.apply_chat_template(asked, tokenize=False)  # such as for training


@pytest.mark.parametrize("pipeline_class", CLASSES)
def test_a_chat_without_a_template_is_told_what_to_set(trained, pipeline_class):
    model, tokenizer = trained
    with pytest.raises(ValueError, match=r"set tokenizer\.chat_template, for example to .* or give a text") as error:
        build(model, tokenizer, pipeline_class=pipeline_class)(CHAT)
    example = str(error.value).partition("example to '")[2].partition("', or give")[0]
    text = chatting(tokenizer, example.replace("\\n", "\n")).apply_chat_template(
        CHAT, add_generation_prompt=True, tokenize=False
    )
    assert text == "[CLS]user: Write 12 in words.\nassistant: [gMASK]"


def test_other_models_keep_the_pipeline_of_the_library(tokenizer):
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    writer = pipeline("text-generation", model=GPT2LMHeadModel(config), tokenizer=tokenizer)
    assert type(writer) is TextGenerationPipeline
    (record,) = writer("Once upon", max_new_tokens=3)
    assert record["generated_text"].startswith("Once upon")


@pytest.mark.parametrize("pipeline_class", CLASSES, ids=["built-in", "own"])
@pytest.mark.parametrize("padding", ["[MASK]", "[gMASK]", "<|startofpiece|>", "<|endofpiece|>"])
def test_padding_is_not_read_whatever_its_token_is(model, tokenizer, writer, padding, pipeline_class):
    """The mask hides it. Read as text, it would be a blank, or the start of a piece."""
    prompts = [*PROMPTS, "[MASK] is not far from [gMASK]"]
    padded = copy.deepcopy(tokenizer)
    padded.pad_token = padding
    together = build(model, padded, pipeline_class=pipeline_class)
    expected = [writer(prompt) for prompt in prompts]
    assert together(prompts, batch_size=3) == expected
    assert together(prompts, padding="max_length", tokenizer_encode_kwargs={"max_length": 30}) == expected
