"""Stream answers: `generate` hands out each answer as soon as it is complete."""

from collections.abc import Iterator
from dataclasses import dataclass
from queue import Queue
from threading import TIMEOUT_MAX

import torch
from transformers.generation.streamers import BaseStreamer

from ..tokenization import BlankText, GLMTokenizer
from ..tokenization.blanks import decode_piece
from ..utils.numbers import check_real_number


@dataclass(frozen=True, kw_only=True)
class StreamedAnswer:
    """
    Hold the answer of one blank, while other blanks are still being filled.

    Attributes:
        row: The row of the batch. With several sequences per prompt, those of a prompt follow each other.
        blank: The number of the blank in its text, from 0.
        text: The answer, without white space around it. It knows the white space that the model wrote, so that
            `tokenizer.fill` can show it.
    """

    row: int
    blank: int
    text: BlankText


class BlankStreamer(BaseStreamer):
    """
    Print the answer of every blank as soon as it is complete.

    It works for batches, unlike `TextStreamer`, which prints single words. `generate` does not take streamers with beams,
    because beams decide late which answer counts.

    Example:

    ```python
    >>> inputs = tokenizer(["The time 19:20 has the hour [MASK] and the minute [MASK]."], return_tensors="pt")
    >>> model.generate(**inputs, streamer=BlankStreamer(tokenizer))
    0.0: 19
    0.1: 20
    ```

    Override `on_answer` to do something else with an answer.

    Args:
        tokenizer: The tokenizer of the model.
    """

    def __init__(self, tokenizer: GLMTokenizer):
        self.tokenizer = tokenizer
        self._prompts: list[list[int]] | None = None
        self._pieces: list[list[int] | None] | None = None  # the piece of every row; None where it has ended
        self._blanks: list[int] = []  # and the blank that it is for

    def on_answer(self, answer: StreamedAnswer) -> None:
        """Handle an answer: print it with the numbers of its row and its blank."""
        print(f"{answer.row}.{answer.blank}: {answer.text}", flush=True)

    def on_end(self) -> None:
        """Handle the end of all rows: do nothing."""

    def put(self, value: torch.Tensor) -> None:
        """
        Take what `generate` hands over.

        Args:
            value: int64 ids: first the prompts (rows, seq), then the next tokens of all rows, (rows,). With accepted
                drafts it is (1, tokens).
        """
        if self._prompts is None or self._is_new(value):
            self._prompts, self._pieces, self._blanks = value.tolist(), None, []
            return
        if self._pieces is None:
            rows = len(self._prompts) if value.ndim == 2 else value.shape[0]
            copies = rows // len(self._prompts)
            self._open([ids for ids in self._prompts for _ in range(copies)])
        for row, ids in enumerate(value.reshape(len(self._blanks), -1).tolist()):
            for token_id in ids:
                self._read(row, token_id)

    def end(self) -> None:
        """Hand out the answers that a limit cut off, and get ready for the next call of `generate`."""
        for row in range(len(self._pieces or [])):
            self._finish(row)
        self._prompts = self._pieces = None
        self._blanks = []
        self.on_end()

    def _is_new(self, value: torch.Tensor) -> bool:
        """Return whether these are prompts, and not tokens: the call before has failed, and did not end."""
        # Accepted drafts have two dimensions as well. They may open a piece, but they have no blank in front of it.
        if value.ndim != 2 or value.shape[1] < 2:
            return False
        blanks = torch.isin(value, value.new_tensor(self.tokenizer.mask_token_ids))
        return bool((blanks.any(-1) & (value == self.tokenizer.sop_token_id).any(-1)).all())

    def _open(self, prompts: list[list[int]]) -> None:
        self._pieces = []
        for ids in prompts:
            starts = [index for index, token_id in enumerate(ids) if token_id == self.tokenizer.sop_token_id]
            self._blanks.append(len(starts) - 1)
            self._pieces.append(ids[starts[-1] + 1 :])

    def _read(self, row: int, token_id: int) -> None:
        assert self._pieces is not None
        piece = self._pieces[row]
        if token_id == self.tokenizer.sop_token_id:
            self._finish(row)
            self._blanks[row] += 1
            self._pieces[row] = []
        elif token_id in self.tokenizer.end_token_ids:
            self._finish(row)
        elif piece is not None:
            piece.append(token_id)

    def _finish(self, row: int) -> None:
        assert self._pieces is not None
        piece, self._pieces[row] = self._pieces[row], None
        if piece is not None:
            text = decode_piece(self.tokenizer, piece)
            self.on_answer(StreamedAnswer(row=row, blank=self._blanks[row], text=text))


class BlankIteratorStreamer(BlankStreamer):
    """
    Iterate over the answers in another thread, as `TextIteratorStreamer` does with text.

    Example:

    ```python
    >>> streamer = BlankIteratorStreamer(tokenizer, timeout=60)
    >>> Thread(target=model.generate, kwargs={**inputs, "streamer": streamer}).start()
    >>> for answer in streamer:
    ...     print(answer.blank, answer.text)
    ```

    Args:
        tokenizer: The tokenizer of the model.
        timeout: Seconds to wait for the next answer before `queue.Empty` is raised. Without it an iteration waits forever
            if `generate` fails in its thread.
    """

    def __init__(self, tokenizer: GLMTokenizer, timeout: float | None = None):
        super().__init__(tokenizer)
        # Longer than a century is more than what the operating system can wait.
        self.timeout = None if timeout is None else check_real_number("timeout", timeout, least=0.0, most=TIMEOUT_MAX)
        self._queue: Queue[StreamedAnswer | None] = Queue()

    def on_answer(self, answer: StreamedAnswer) -> None:
        self._queue.put(answer)

    def on_end(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> Iterator[StreamedAnswer]:
        while (answer := self._queue.get(timeout=self.timeout)) is not None:
            yield answer


__all__ = ["BlankIteratorStreamer", "BlankStreamer", "StreamedAnswer"]
