"""The page of `examples/app.py` under many visitors and hostile requests."""

import json
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

pytest.importorskip("gradio")

from tests.support.stress import AT_LENGTH, StressOptions
from tests.support.visitors import Visitor, read_functions, served_page

AT_A_TIME = 50
MIB = 2**20
CHOICES = "client error\nserver error\nsuccess\nredirection"


@pytest.fixture(scope="module")
def served(request):
    """Visitors of the page, its process, and the lines that it has printed."""
    if StressOptions.read(request.config).is_smoke:
        pytest.skip(AT_LENGTH)
    with served_page() as (address, process, printed):
        functions = read_functions(address)
        yield lambda name: Visitor(address, functions, name), psutil.Process(process.pid), printed


def draw_question(draw: random.Random) -> tuple[str, list[Any]]:
    """Draw a question that the page answers, with what a visitor may set."""
    number = draw.randint(10, 9999)
    if draw.random() < 0.2:
        return "compare", [f"HTTP status {draw.choice([200, 301, 404, 503])} is OK, a [MASK].", CHOICES]
    text = draw.choice(
        [
            f"The number {number} is written [MASK].",
            f"The number {number} is written [MASK] thousand [MASK].",
            f"The time {number % 12}:15 has the hour ___ and the minute ___.",
            "1988 is a [MASK] year.",
        ]
    )
    method = draw.choice(["Likeliest", "Likeliest", "Drawn"])
    pattern = draw.choice(["", "", "", "[0-9]+", "[a-z]{1,8}"])
    return "ask", [
        None,
        text,
        draw.randint(1, 3),
        draw.randint(1, 6),
        method,
        draw.randint(1, 4),
        1.0,
        number,
        pattern,
    ]


def answer(visitor: Visitor, question: tuple[str, list[Any]]) -> Any:
    """Ask a question, and return what the page shows at its end. Runs are numbered, which says nothing of the answer."""
    function, data = question
    last = json.loads(visitor.ask(function, *data))[-1]["output"]["data"]
    return json.loads(re.sub(r'data-run=\\"\d+\\"', "", json.dumps(last)))


def answer_all(visitors: list[Visitor], questions: list[tuple[str, list[Any]]]) -> list[Any]:
    """Ask all questions at the same time, each by a visitor of its own."""
    with ThreadPoolExecutor(len(questions)) as pool:
        return list(pool.map(answer, visitors, questions))


def test_fifty_visitors_are_answered_as_one(stress, served):
    """Every question is answered as it is alone, and none waits for ever."""
    visit, _, printed = served
    for case in stress.cases(1, seconds=300, memory=None):
        with case:
            questions = [draw_question(case.random) for _ in range(AT_A_TIME)]
            alone = [answer(visit(f"alone {case.number} {n}"), question) for n, question in enumerate(questions)]
            visitors = [visit(f"together {case.number} {n}") for n in range(AT_A_TIME)]
            together = answer_all(visitors, questions)
            for question, found, expected in zip(questions, together, alone, strict=True):
                assert found == expected, question
            assert "Traceback" not in "".join(printed)


def test_memory_stays_flat_under_many_visitors(stress, served):
    visit, process, _ = served
    for case in stress.cases(1, seconds=300, memory=None):
        with case:
            used = []
            # The same visitors at every turn: Gradio keeps about 0.1 MiB of each session for an hour after it has ended.
            visitors = [visit(f"memory {case.number} {n}") for n in range(8)]
            for _ in range(9):
                answer_all(visitors, [draw_question(case.random) for _ in visitors])
                used.append(process.memory_info().rss / MIB)
            assert max(used[6:]) - min(used[3:6]) < 40, [round(size) for size in used]


ODD = [
    None,
    "",
    " ",
    "[MASK]",
    "x",
    0,
    1,
    -1,
    1.5,
    1e308,
    2**70,
    True,
    [],
    ["[MASK]"],
    {},
    {"text": "[MASK]"},
    "[MASK]" * 51,
    "a" * 200_000 + "[MASK]",
    "[MASK] \x00\ud83d\ude00\u202e\ufeff <script>alert(1)</script>",
    "[gMASK][sMASK][MASK]",
    "<|endofpiece|> [MASK] <|startofpiece|>",
]
PATTERNS = [
    "(a+)+b",
    "[0-9]{100000}",
    "(",
    "\\",
    ".{300}",
    "((a{50}){50}){50}",
    "(a|b)*a(a|b){20}",
    "[[:digit:]]{4}",
    "^$",
]
EVENTS = [None, {}, [], "x", {"filling": "x"}, {"filling": -1}, {"filling": 10**30}, {"blank": "0"}, {"release": None}]
EVENTS += [
    {"blank": "-1", "alternative": "-1"},
    {"blank": [], "alternative": {}},
    {"blank": "1e9", "alternative": "0"},
]
# Lines of a traceback.
OURS = re.compile(r'File ".*(examples/page|examples/app|modeling_glm|tokenization)/')
NAMES = ["ask", "compare", "click", "draw", "release_all", "stop_question", "load_example"]
DATA: dict[str, list[Any]] = {
    "ask": [None, "The number 12 is [MASK].", 2, 2, "Likeliest", 2, 1.0, 0, ""],
    "compare": ["Status 404 is Not Found, a [MASK].", CHOICES],
    "click": [None],
    "draw": [None],
    "release_all": [None],
    "stop_question": [],
    "load_example": [0],
}


def draw_hostile(draw: random.Random) -> tuple[str, list[Any], Any]:
    """Draw a request that no browser sends: values of other types, huge texts, too few and too many arguments."""
    function = draw.choice(NAMES)
    data = list(DATA[function])
    for _ in range(draw.randint(0, 3) if data else 0):
        data[draw.randrange(len(data))] = draw.choice(ODD)
    if function == "ask" and draw.random() < 0.3:
        data[-1] = draw.choice(PATTERNS)
    if draw.random() < 0.1:
        data = draw.choice([[], data[:-1], [*data, "more"], data * 3])
    return function, data, draw.choice(EVENTS) if draw.random() < 0.5 else None


def test_hostile_requests_are_refused_in_words(stress, served):
    """What Gradio itself refuses fails there. Whatever reaches our functions gets an answer or a message."""
    visit, process, printed = served
    for case in stress.cases(100, memory=None):
        with case:
            function, data, event_data = draw_hostile(case.random)
            shown = f"{function}({str(data)[:300]}), {event_data}"
            seen = len(printed)
            visitor = visit(f"hostile {case.number}")
            joined = visitor.join(function, *data, event_data=event_data)
            assert joined.status_code < 500, f"{shown}: {joined.text[:500]}"
            if joined.status_code == 200:
                messages = json.dumps(list(visitor.follow(joined.json()["event_id"])))
                assert "The model failed" not in messages, f"{shown}: {messages[-1500:]}"
            assert process.is_running()
            time.sleep(0.02)  # until the reader of its lines has read them
            failures = "".join(printed[seen:])
            assert not OURS.search(failures), f"{shown}: {failures[-3000:]}"
    assert "fillings found" in json.dumps(answer(visit("after all"), ("ask", DATA["ask"])))


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"data": 1}', b'{"fn_index": "x", "data": []}', b"[" * 10_000, b"\xff\xfe"]
)
def test_requests_that_are_no_questions_are_refused(served, body):
    visit, process, _ = served
    assert 400 <= visit("no question").post("queue/join", body).status_code < 500
    assert process.is_running()
