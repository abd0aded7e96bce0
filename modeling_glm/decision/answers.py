"""Answer many requests of typed questions in batches."""

from collections.abc import Mapping
from typing import Any, cast

from transformers import PreTrainedModel
from transformers.decision import Question

from ..decision_glm import GLMDecisionMixin
from ..questions_glm import DecisionRow, GLMDecisionConfig
from ..tokenization import GLMTokenizer
from ..utils.inference import evaluation_mode, require_class
from ..utils.numbers import check_batch_size
from ..utils.rows import OnError, check_rows, read_rows

Encoded = tuple[list[DecisionRow], list[Question]]


def decide(
    model: PreTrainedModel,
    tokenizer: GLMTokenizer,
    requests: Any,
    *,
    questions: Mapping[str, Any] | None = None,
    decision_config: GLMDecisionConfig | None = None,
    batch_size: int = 32,
    on_error: OnError = "raise",
) -> Any:
    """
    Answer the questions of one request or of many, as `pipeline("decision")` does for each alone.

    Example:

    ```python
    >>> urgent = {"type": "noul", "instructions": "Is it urgent?"}
    >>> answers = decide(model, tokenizer, ["The server is on fire.", "Nice weather."], questions={"urgent": urgent})
    >>> [answer["urgent"]["noul"] for answer in answers]
    [0.97, 0.04]
    ```

    Args:
        model: A `GLMForDecision`.
        tokenizer: The tokenizer of the model.
        requests: A request, as a dict or its JSON, or many in any form of rows: `{"state": ..., "questions": ...}`. With
            `questions`, a state or many.
        questions: The questions to ask about every state, by name.
        decision_config: Another decision config than the model's.
        batch_size: The number of rows in a forward pass. It does not change the result.
        on_error: "raise" raises the first request that cannot be answered, as a `RowError`. "record" puts its `RowError` in
            the place of its answers.

    Returns:
        For every request its answers by the names of the questions, in the format of `transformers.decision`; for a single
        request one such dict.

    Raises:
        ValueError: For a request that cannot be answered, with its number, and for another model.
    """
    require_class(model, "GLMForDecision")
    batch_size = check_batch_size("batch_size", batch_size)
    decider = cast(GLMDecisionMixin, model)
    config = decider.require_config(decision_config)
    rows = read_rows(requests, ("state", "questions") if questions is None else ())

    def encode(request: Any) -> Encoded:
        return config.encode(request if questions is None else {"state": request, "questions": questions}, tokenizer)

    checked = check_rows(rows, encode, kind="Request", on_error=on_error)
    scored = _score(decider, [of_request for of_request, _ in checked.good], batch_size)
    answers = []
    for (_, asked), of_request in zip(checked.good, scored, strict=True):
        scores = decider.correct_scores(of_request, asked, config)
        answers.append(
            {
                question.name: question.answer(of_question.softmax(-1).tolist())
                for question, of_question in zip(asked, scores, strict=True)
            }
        )
    results = checked.restore(answers)
    return results[0] if rows.single else results


def _score(
    model: GLMDecisionMixin, requests: list[list[DecisionRow]], batch_size: int
) -> list[list[list[tuple[int, float]]]]:
    """Score the rows of all requests, those of similar length together."""
    places = [(number, index) for number, rows in enumerate(requests) for index in range(len(rows))]
    places.sort(key=lambda place: len(requests[place[0]][place[1]].context))
    scored: list[list[list[tuple[int, float]]]] = [[[] for _ in rows] for rows in requests]
    with evaluation_mode(cast(PreTrainedModel, model)):
        for start in range(0, len(places), batch_size):
            batch = places[start : start + batch_size]
            found = model.score_rows([requests[number][index] for number, index in batch])
            for (number, index), of_row in zip(batch, found, strict=True):
                scored[number][index] = of_row
    return scored


__all__ = ["decide"]
