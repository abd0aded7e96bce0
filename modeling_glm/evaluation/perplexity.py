"""Compute the perplexity of texts per token and per word, over windows with a stride (paper section 3.3)."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from ..tokenization import GLMTokenizer
from ..utils.numbers import check_truth_value
from ..utils.rows import OnError, RowError, check_rows, read_rows, read_text
from .continuations import check_scoring_model, score_continuations
from .partial_results import evaluate_items, keep_results
from .texts import continuing_mask_id, encode_plain
from .windows import Window, check_window, default_stride, default_window, lay_out_window, plan_windows

# The originals compute no perplexity above that of this loss.
ORIGINAL_LARGEST_LOSS = 20.0


class _DocumentWindow(NamedTuple):
    document: int  # the number of the document
    window: Window


@dataclass(frozen=True, kw_only=True)
class Perplexity:
    """
    Hold how well a model predicts texts.

    Attributes:
        log_prob: The natural logarithm of the probability of all scored tokens.
        num_scored: The number of scored tokens. The first token of a document is not scored, because nothing stands
            before it, unless you ask for it.
        num_tokens: The number of all tokens.
        num_words: The number of words of the texts as they were given, separated by white space.
        num_bytes: The length of the texts as they were given, in UTF-8.
        num_windows: The number of windows.
        num_documents: The number of texts.
        num_unscored_documents: How many of them have no token to score: empty ones, and those of one token.
        num_original_words: The words as the originals count them: what single spaces separate. New lines do not.
        errors: The rows that are no texts, with `on_error="record"`.
    """

    log_prob: float
    num_scored: int
    num_tokens: int
    num_words: int
    num_bytes: int
    num_windows: int
    num_documents: int
    num_unscored_documents: int
    num_original_words: int
    errors: tuple[RowError, ...] = ()

    @property
    def loss(self) -> float:
        """The mean negative log-probability of a scored token."""
        return -self.log_prob / self.num_scored

    @property
    def perplexity(self) -> float:
        """The perplexity per scored token."""
        return exponentiate(self.loss)

    @property
    def word_perplexity(self) -> float:
        """The perplexity per word, which compares models of different vocabularies."""
        return exponentiate(-self.log_prob / self.num_words) if self.num_words else math.inf

    @property
    def bits_per_byte(self) -> float:
        """The bits that the model needs for a byte of text."""
        return -self.log_prob / math.log(2) / self.num_bytes

    def as_originals(self) -> dict[str, float]:
        """
        Compute the figures that the originals report.

        - They divide by the number of all tokens less one. That is right for one document. With several documents they
          score one token less in each, so their loss is too low.
        - Their perplexity per word ("adjusted") counts the words at single spaces, less one. The paper reports it.
        - No perplexity exceeds exp(20).

        A document without a token to score breaks their batches; here it is left out.
        """
        divisor = self.num_tokens - 1
        words = self.num_original_words - 1
        # One token or one word leaves nothing to divide by, where only --score-first scores it.
        loss = -self.log_prob / divisor if divisor > 0 else math.inf
        of_word = -self.log_prob / words if words > 0 else math.inf
        return {
            "loss": loss,
            "perplexity": math.exp(min(ORIGINAL_LARGEST_LOSS, loss)),
            "adjusted_perplexity": math.exp(min(ORIGINAL_LARGEST_LOSS, of_word)),
        }

    def metrics(self) -> dict[str, float]:
        """Return the measures by name; `original_...` are those of `as_originals`."""
        measured = {name: getattr(self, name) for name in ("loss", "perplexity", "word_perplexity", "bits_per_byte")}
        return measured | {f"original_{name}": value for name, value in self.as_originals().items()}

    def counts(self) -> dict[str, int]:
        """Return the numbers of tokens, words, windows and documents by name."""
        return {name: value for name, value in vars(self).items() if name.startswith("num_")}


def exponentiate(loss: float) -> float:
    """Compute `exp(loss)`, infinity where it exceeds float64."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


def compute_perplexity(
    model: Any,
    tokenizer: GLMTokenizer,
    texts: Any,
    *,
    window: int | None = None,
    stride: int | None = None,
    unidirectional: bool = False,
    score_first: bool = False,
    detokenize: Callable[[str], str] | None = None,
    batch_size: int = 16,
    on_error: OnError = "raise",
    progress: bool = False,
    partial_file: str | os.PathLike | None = None,
) -> Perplexity:
    """
    Compute the perplexity of texts. Each text is a document of its own; give one text to read all as one document.

    Example:

    ```python
    >>> result = compute_perplexity(model, tokenizer, open("article.txt").read(), window=255, stride=64)
    >>> result.perplexity, result.word_perplexity
    (5.71, 48.9)
    ```

    Args:
        model: A `GLMForConditionalGeneration`, or a PEFT wrapper around one.
        tokenizer: Its tokenizer.
        texts: One text or many, in any form of rows: see `modeling_glm.evaluation.windows` for how they are cut.
        window: The most tokens that the model sees at a time. By default one less than the position table holds, as in
            the paper (1023 for a table of 1024).
        stride: How many tokens each further window scores. By default a quarter of the window (256 for 1023). A smaller
            one shows more text before each token and takes longer.
        unidirectional: Whether the model reads from left to right only. By default it reads what was scored before in
            both directions.
        score_first: Whether to score the first token of every document, too, behind nothing but `[CLS]`.
        detokenize: Makes the text that the model reads from the one given, such as `detokenize_wikitext`. Words are
            counted in the text given.
        batch_size: The number of windows in a forward pass.
        on_error: "raise" to raise the error of the first row that is not a text, "record" to leave such rows out and keep
            their errors.
        progress: Whether to show a progress bar.
        partial_file: A file that keeps the results so far. Make the same call again to resume an interrupted one.
            Delete the file when you have the result.

    Raises:
        RowError: For the first row that is not a text.
        ValueError: For a window longer than the position table, a stride above the window, and if there is no token to
            score.
    """
    check_scoring_model(model)
    config: Any = model.config
    window = default_window(config) if window is None else window
    stride = default_stride(window) if stride is None else stride
    check_window(window, stride, config)
    unidirectional = check_truth_value("unidirectional", unidirectional)
    score_first = check_truth_value("score_first", score_first)
    checked = check_rows(read_rows(texts), read_text, kind="Text", on_error=on_error)
    documents = checked.good
    shown = documents if detokenize is None else [detokenize(text) for text in documents]
    ids = encode_plain(tokenizer, shown)
    plans = [plan_windows(len(tokens), window, stride, score_first=score_first) for tokens in ids]
    items = [_DocumentWindow(number, planned) for number, plan in enumerate(plans) for planned in plan]
    if not items:
        raise ValueError(_tell_nothing(ids, score_first))
    kept = keep_results(
        partial_file,
        "perplexity",
        model=model,
        texts=shown,
        settings={
            "window": window,
            "stride": stride,
            "unidirectional": unidirectional,
            "score_first": score_first,
        },
    )
    score = partial(_score_windows, model, ids, tokenizer.cls_token_id, continuing_mask_id(tokenizer), unidirectional)
    results = evaluate_items(
        model,
        items,
        score,
        length=lambda item: item.window.stop - item.window.start,
        batch_size=batch_size,
        title="perplexity",
        progress=progress,
        partial=kept,
    )
    return Perplexity(
        log_prob=math.fsum(results),
        num_scored=sum(item.window.num_scored for item in items),
        num_tokens=sum(map(len, ids)),
        num_words=sum(len(text.split()) for text in documents),
        num_bytes=sum(len(text.encode("utf-8")) for text in documents),
        num_windows=len(items),
        num_documents=len(documents),
        num_unscored_documents=sum(not plan for plan in plans),
        num_original_words=sum(len(text.strip().split(" ")) for text in documents),
        errors=tuple(checked.errors.values()),
    )


def _score_windows(
    model: Any,
    ids: Sequence[Sequence[int]],
    cls_token_id: int,
    mask_token_id: int,
    unidirectional: bool,
    items: Sequence[_DocumentWindow],
) -> list[float]:
    """Return the log-probability of the tokens that every window scores."""
    rows = [
        lay_out_window(ids[item.document], item.window, cls_token_id, mask_token_id, unidirectional=unidirectional)
        for item in items
    ]
    return [scored.log_prob for (scored,) in score_continuations(model, rows, batch_size=len(rows))]


def _tell_nothing(ids: Sequence[Sequence[int]], score_first: bool) -> str:
    if not ids:
        return "There are no texts: expected at least one."
    longest = max(map(len, ids))
    hint = "" if score_first or not longest else " The first token of a text is scored only with score_first=True."
    return f"There is no token to score: the longest of {len(ids)} texts has {longest} tokens.{hint}"


__all__ = ["Perplexity", "compute_perplexity", "exponentiate"]
