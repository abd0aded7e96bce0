"""Arguments of `generate` that `fill_blanks` passes on: they belong to their texts, and unknown ones are refused."""

import pytest
import torch

from modeling_glm import BlankConstraint, fill_blanks
from modeling_glm.filling.arguments import arguments_of_rows

# In another order than by length.
TEXTS = ["Paris is the capital of [MASK], and of France.", "The [MASK].", "The number 404 is [MASK]."]
NEGATIVE = ["The fox is [MASK].", "The quick brown fox is not [MASK].", "Rome is the capital of Italy, and [MASK]."]


def fill(model, tokenizer, texts, **settings):
    return fill_blanks(model, tokenizer, texts, max_new_tokens_per_blank=4, **settings)


def negative(tokenizer, texts):
    read = tokenizer(texts, return_tensors="pt", padding=True)
    return {
        "guidance_scale": 3.0,
        "negative_prompt_ids": read["input_ids"],
        "negative_prompt_attention_mask": read["attention_mask"],
    }


@pytest.mark.parametrize("how", [{}, {"num_beams": 2}, {"num_answers": 2, "do_sample": True}], ids=str)
def test_negative_prompts_belong_to_their_texts(model, tokenizer, how):
    together = fill(model, tokenizer, TEXTS, **negative(tokenizer, NEGATIVE), **how)
    for number, text in enumerate(TEXTS):
        alone = fill(
            model, tokenizer, text, first_number=number, **negative(tokenizer, NEGATIVE[number : number + 1]), **how
        )
        assert [filling.text for filling in alone] == [filling.text for filling in together[number]]
        scores = [filling.log_prob for filling in together[number]]
        assert [filling.log_prob for filling in alone] == pytest.approx(scores, abs=1e-4)
    given = negative(tokenizer, NEGATIVE)
    listed = {**given, "negative_prompt_ids": given["negative_prompt_ids"].tolist()}
    assert together == fill(model, tokenizer, TEXTS, **listed, **how)
    # Another order of the negative texts is another result.
    assert together != fill(model, tokenizer, TEXTS, **negative(tokenizer, NEGATIVE[::-1]), **how)


@pytest.mark.parametrize(
    "how", [{}, {"num_beams": 2}, {"order": "confident-first"}, {"do_sample": True, "num_answers": 2}], ids=str
)
def test_the_function_of_a_prefix_gets_the_number_of_the_text(model, tokenizer, how):
    words = [[" dog", " The"], [" fox", " the"], [" capital", " number"]]  # two for each text, as beams need
    ids = [[tokenizer.encode(word, add_special_tokens=False)[0] for word in pair] for pair in words]
    ends = [tokenizer.eop_token_id, tokenizer.eos_token_id]

    def allow(number: int, input_ids: torch.Tensor) -> list[int]:
        return ids[number - 5] if input_ids[-1] == tokenizer.sop_token_id else ends

    found = fill(model, tokenizer, TEXTS, prefix_allowed_tokens_fn=allow, first_number=5, **how)
    for fillings, allowed in zip(found, ids, strict=True):
        assert fillings[0].answers[0].token_ids[0] in allowed


def test_rows_get_their_part():
    tensor = torch.arange(3)[:, None]
    given = {"negative_prompt_ids": tensor, "max_time": 1.0}
    assert arguments_of_rows(given, [2, 0, 0])["negative_prompt_ids"].tolist() == [[2], [0], [0]]
    assert given["negative_prompt_ids"] is tensor
    assert arguments_of_rows({"max_time": 1.0}, [1]) == {"max_time": 1.0}


@pytest.mark.parametrize("constraints", [None, BlankConstraint(choices=["fox", "dog"])], ids=["generated", "scored"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_anwsers": 3}, "num_anwsers"),
        ({"score_observers": []}, "fill_blanks sets score_observers itself"),
        ({"generate_kwargs": {}}, "fill_blanks sets generate_kwargs itself"),
        ({"stop_strings": ["."]}, "stop_strings: an answer of fill_blanks ends with its end token"),
        ({"num_answers": 3, "num_beams": 2}, "num_answers=3 and num_beams=2: expected as many beams"),
        ({"temperature": 0.5}, "temperature=0.5 shapes draws: set do_sample=True"),
        ({"negative_prompt_ids": torch.zeros(2, 3)}, "negative_prompt_ids has 2 rows, but there are 3 texts"),
    ],
)
def test_what_is_refused(model, tokenizer, arguments, message, constraints):
    with pytest.raises(ValueError, match=message):
        fill_blanks(model, tokenizer, TEXTS, constraints=constraints, **arguments)
