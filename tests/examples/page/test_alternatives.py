"""The distribution of every blank, against scores of one token at a time."""

import math

import pytest

from examples.page.alternatives import ALTERNATIVES
from examples.page.logic import Page, Question, Result
from modeling_glm import GLMForConditionalGeneration
from tests.support.models import make_model
from tests.support.naive_scoring import naive_log_probs
from tests.support.paths import ROOT

EMBEDDED = ROOT / "examples" / "glm-tiny"
TEXT = "The number [MASK] is written four thousand [MASK] hundred and thirty-six."
TIME = "The time 1[MASK]:20 has the hour 1[MASK] and the minute [MASK]."


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(str(EMBEDDED), "cpu")


@pytest.fixture(scope="module")
def result(page) -> Result:
    return viewed(page, page.fill(Question(text=TEXT)))


def viewed(page: Page, result: Result) -> Result:
    return list(page.view(result))[-1]


def one_token_answers(page: Page, text: str, blank: int, before: list[tuple[int, ...]]) -> dict[str, float]:
    """The probability of every digit as the whole answer of a blank: the likelier of its two spellings."""
    context = page.tokenizer(text)["input_ids"]
    found: dict[str, float] = {}
    for token_id in range(len(page.tokenizer)):
        digit = page.tokenizer.decode([token_id]).strip()
        if len(digit) == 1 and digit in "0123456789":
            scores = naive_log_probs(page.model, context, range(blank + 1), [*before, (token_id,)])[-1]
            found[digit] = max(found.get(digit, 0.0), math.exp(sum(scores)))
    return found


@pytest.mark.parametrize("blank", [0, 1])
def test_all_digits_are_ranked_as_one_by_one(page, blank):
    result = viewed(page, page.fill(Question(text=TIME, pattern="[0-9]", longest=1)))
    answers = result.fillings[0].answers
    expected = one_token_answers(page, TIME, blank, [answer.token_ids for answer in answers[:blank]])
    view = result.views[blank]
    assert view.probability == pytest.approx(expected.pop(answers[blank].text), rel=1e-3)
    best = sorted(expected, key=expected.__getitem__, reverse=True)[:ALTERNATIVES]
    assert [other.text for other in view.others] == best
    assert [other.probability for other in view.others] == pytest.approx([expected[d] for d in best], rel=1e-3)


def test_the_view_of_a_set_answer_does_not_read_it(page):
    free = viewed(page, page.fill(Question(text=TIME, pattern="[0-9]", longest=1)))
    result = viewed(page, page.put_alternative(free, 1, 0))
    given = result.question.given[1]
    assert result.fillings[0].answers[1].given
    expected = one_token_answers(page, TIME, 1, [result.fillings[0].answers[0].token_ids])
    assert result.views[1].probability == pytest.approx(expected[given], rel=1e-3)
    listed = {other.text: other.probability for other in result.views[1].others}
    assert listed == pytest.approx({text: expected[text] for text in listed}, rel=1e-3)
    assert given not in listed


def test_other_fillings_have_the_same_numbers(result):
    first = {other.text: other.probability for other in result.views[0].others}
    shown = {filling.answers[0].text: math.exp(filling.answers[0].log_prob) for filling in result.fillings[1:]}
    assert len(shown) == 2
    assert {text: first[text] for text in shown} == pytest.approx(shown, rel=1e-5)
    own = [math.exp(answer.log_prob) for answer in result.fillings[0].answers]
    assert [view.probability for view in result.views] == pytest.approx(own, rel=1e-5)


def test_other_fillings_of_one_blank_are_its_best_alternatives(page):
    result = viewed(page, page.fill(Question(text="The opposite of [MASK] is cold.")))
    listed = [(other.text, other.probability) for other in result.views[0].others]
    for filling, (text, probability) in zip(result.fillings[1:], listed[:2], strict=True):
        assert filling.answers[0].text == text
        assert math.exp(filling.answers[0].log_prob) == pytest.approx(probability, rel=1e-5)


@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_probabilities_are_of_one_distribution(page, result, chosen):
    result = viewed(page, page.choose_filling(result, chosen))
    for answer, view in zip(result.fillings[chosen].answers, result.views, strict=True):
        probabilities = [other.probability for other in view.others]
        assert 1 <= len(probabilities) <= ALTERNATIVES
        assert probabilities == sorted(probabilities, reverse=True)
        assert view.probability + sum(probabilities) <= 1 + 1e-6
        texts = [other.text for other in view.others]
        assert len(set(texts)) == len(texts)
        assert answer.text not in texts


def test_the_first_blank_does_not_depend_on_the_filling(page, result):
    """No answer stands before it, so all fillings ask for the same distribution."""
    distributions = []
    for chosen in range(3):
        found = viewed(page, page.choose_filling(result, chosen))
        own = found.fillings[chosen].answers[0].text
        listed = {other.text: other.probability for other in found.views[0].others}
        distributions.append({own: found.views[0].probability, **listed})
    common = set.intersection(*map(set, distributions))
    assert {filling.answers[0].text for filling in result.fillings} <= common
    for distribution in distributions[1:]:
        assert [distribution[text] for text in common] == pytest.approx(
            [distributions[0][text] for text in common], rel=1e-5
        )


@pytest.mark.parametrize("family", ["gpt2", "roberta", "bert", "chinese"])
def test_every_vocabulary(of_family, tmp_path, family):
    """Answers read as text, and each has the probability that its tokens have one by one."""
    tokenizer = of_family(family)
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": len(tokenizer)}
    special = {"smask_token_id": None, "gmask_token_id": None, **tokenizer.special_token_ids}
    make_model(GLMForConditionalGeneration, **size, **special).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    page = Page(str(tmp_path), "cpu")
    result = viewed(page, page.fill(Question(text="The ___ fox[MASK], he said.", number=2, longest=2)))
    context = page.tokenizer(result.question.text)["input_ids"]
    before: list[tuple[int, ...]] = []
    for blank, (answer, view) in enumerate(zip(result.fillings[0].answers, result.views, strict=True)):
        assert view.others
        for other in view.others:
            assert not {"##", "▁", "Ġ"} & {other.text[:2], other.text[:1]}
            scores = naive_log_probs(page.model, context, range(blank + 1), [*before, other.text.token_ids])[-1]
            assert other.probability == pytest.approx(math.exp(sum(scores)), rel=1e-3)
        before.append(answer.token_ids)
    changed = page.put_alternative(result, 1, 0)
    assert changed.fillings[0].answers[1].text == result.views[1].others[0].text
    shown = page.tokenizer.fill(
        result.question.text, [changed.fillings[0].answers[0].text, result.views[1].others[0].text]
    )
    assert changed.fillings[0].text == shown


def test_views_come_one_by_one(page):
    steps = list(page.view(page.fill(Question(text=TEXT))))
    assert [[view is not None for view in step.views] for step in steps] == [
        [False, False],
        [True, False],
        [True, True],
    ]
