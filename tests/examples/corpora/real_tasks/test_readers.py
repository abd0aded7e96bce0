"""Readers of the labelled texts of the archives."""

import pytest

from examples.corpora.real_tasks import readers


def write(path, content: str):
    path.write_bytes(content.encode())
    return path


def test_ratings_between_the_limits_are_left_out(tmp_path):
    lines = ["1\t0.6\tQuite good", "2\t0.5\tNeither", "3\t-0.5\tNeither", "", "4\t-3.25\tBad: it's\u2028bad"]
    path = write(tmp_path / "a.txt", "\r\n".join(lines))
    assert list(readers.read_ratings(path)) == [
        {"text": "Quite good", "label": "positive"},
        {"text": "Bad: it's\u2028bad", "label": "negative"},
    ]


def test_questions_are_untokenized_and_have_their_coarse_class(tmp_path):
    path = write(tmp_path / "a.txt", "NUM:date When 's `` Mira '' shown ?\nABBR:exp What does A.B. mean ?\n")
    assert list(readers.read_questions(path)) == [
        {"text": 'When\'s "Mira" shown?', "label": "NUM"},
        {"text": "What does A.B. mean?", "label": "ABBR"},
    ]


@pytest.mark.parametrize(
    ("tokenized", "text"),
    [
        ("Who 's in the band ` Mira ' ?", "Who's in the band 'Mira'?"),
        ("Did n't the cats ' owner say , and why ?", "Didn't the cats' owner say, and why?"),
        ("Name two , three or four .", "Name two, three or four."),
        ("Nothing to do here", "Nothing to do here"),
    ],
)
def test_untokenize(tokenized, text):
    assert readers.untokenize(tokenized) == text


def test_messages_may_have_several_lines(tmp_path):
    path = write(tmp_path / "a.csv", ',spam,text\n0,0,"Hi, Mira\nsee you"\n1,1,Buy now\n')
    assert list(readers.read_messages(path)) == [
        {"text": "Hi, Mira\nsee you", "label": "ham"},
        {"text": "Buy now", "label": "spam"},
    ]


def test_documents_stand_behind_three_lines_of_head(tmp_path):
    path = write(tmp_path / "a.tab", "Category\tText\nd\tstring\nclass\t\nearn\tprofit rose \ngrain\twheat fell\n")
    assert list(readers.read_documents(path)) == [
        {"text": "profit rose ", "label": "earn"},
        {"text": "wheat fell", "label": "grain"},
    ]


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("ratings", "1\t0.9\tGood\n2\tgood\tGood", r"a\.csv, line 2: the rating is 'good', expected a number"),
        ("ratings", "1\t0.9\tGood\n\n2\t0.9", r"line 3 is '2\\t0\.9': expected a number, a mean rating and a text"),
        ("ratings", "1\t0.9\t \n", "line 1 is .*: expected a number, a mean rating and a text"),
        ("questions", "NUM:date When ?\nnothing\n", "line 2 is 'nothing': expected 'CLASS:kind A question"),
        ("messages", ",spam,text\n0,2,Hi\n", r"line 2 is .*: expected the columns 'spam' \(0 or 1\) and 'text'"),
        ("messages", ",spam,text\n0,1\n", "line 2: The line has 2 columns"),
        ("documents", "earn\tprofit\n", r"a\.csv begins with \['earn\\tprofit'\]: expected"),
        ("documents", "Category\tText\nd\tstring\nclass\t\nearn\n", "line 4 is 'earn': expected a label and a text"),
    ],
)
def test_errors_name_file_and_line(tmp_path, form, content, message):
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(ValueError, match=message):
        list(readers.FORMS[form](path))
