"""Places of spans: joined from several groups of texts, and put into another order."""

import numpy as np

from modeling_glm.tokenization.pretraining.spans import SpanPlaces


def places(*rows: tuple[int, int, int, bool]) -> SpanPlaces:
    text, start, stop, open_end = map(np.array, zip(*rows, strict=True))
    return SpanPlaces(text=text, start=start, stop=stop, open_end=open_end)


def rows(spans: SpanPlaces) -> list[tuple]:
    columns = (spans.text, spans.start, spans.stop, spans.open_end)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def test_joined_spans_are_in_the_order_of_the_texts():
    joined = SpanPlaces.join([places((0, 4, 6, False), (0, 1, 2, False), (2, 9, 10, False)), places((1, 7, 8, True))])
    assert rows(joined) == [(0, 1, 2, False), (0, 4, 6, False), (1, 7, 8, True), (2, 9, 10, False)]


def test_another_order():
    taken = places((0, 1, 2, False), (0, 4, 6, True)).take(np.array([1, 0]))
    assert rows(taken) == [(0, 4, 6, True), (0, 1, 2, False)]
