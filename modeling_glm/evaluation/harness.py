"""Answer requests of lm-evaluation-harness as its model `glm`: fill a blank behind the context."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, TypeVar

import torch
from accelerate.utils.memory import clear_device_cache, should_reduce_batch_size

try:
    from lm_eval.api.instance import Instance
    from lm_eval.api.model import TemplateLM
    from lm_eval.models.utils import normalize_gen_kwargs
except ImportError as error:
    raise ImportError(
        "modeling_glm.evaluation.lm_eval needs lm-evaluation-harness: pip install 'modeling-glm[eval]'."
    ) from error
from tqdm.auto import tqdm
from transformers import StopStringCriteria

from ..tokenization.blanks import decode_row
from ..utils.inference import evaluation_mode, fill_rows, unwrap
from ..utils.numbers import check_batch_size, check_truth_value, check_whole_number
from ..utils.rows import in_batches
from .continuations import ContinuationRow, score_continuations
from .loading import join_processes, load_scoring_model
from .prompts import ContextEncoder, EncodedContext, Request
from .texts import check_max_length, continuing_mask_id, encode_plain
from .windows import check_window, default_stride, default_window, lay_out_window, plan_windows

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

# How many batches are scored between two entries into the harness' cache of answers.
BATCHES_AT_ONCE = 16
# Settings of sampling, which `generate` reports as unused where nothing is drawn.
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")


class GLMHarnessModel(TemplateLM):
    """
    Answer the requests of lm-evaluation-harness with a GLM.

    - `loglikelihood`: `[CLS] context [gMASK] <eos> <sop> continuation`, the end of the continuation not scored. All
      continuations of a context are scored in one pass.
    - `loglikelihood_rolling`: windows with a stride, as `modeling-glm evaluate perplexity --score-first` reads a text.
    - `generate_until`: `[CLS] context [gMASK] <sop>`, as `modeling-glm generate` continues a text.

    A context that has a blank of its own (`Ice is [MASK].`) is filled there.

    Example:

    ```python
    >>> import lm_eval
    >>> from modeling_glm.evaluation.lm_eval import GLMHarnessModel
    >>> lm_eval.simple_evaluate(GLMHarnessModel("my-model", batch_size=32), tasks=["lambada_openai"])
    ```

    Args:
        pretrained: A folder, the name of a repository, or a `GLMForConditionalGeneration` (also in a PEFT wrapper).
        tokenizer: A folder, the name of a repository, or a `GLMTokenizer`. By default that of the model.
        revision, subfolder: Where the model and its tokenizer are, in a repository on the hub.
        peft: A folder or repository with an adapter of PEFT.
        dtype: The type of the weights: "float32", "bfloat16", "float16", or "auto" for that of the checkpoint. By default
            float32 on a CPU, else that of the checkpoint.
        device: Such as "cpu" or "cuda:1". By default an accelerator if there is one, and that of the process under
            `accelerate launch`.
        batch_size: The number of contexts or windows in a forward pass. "auto" begins with `max_batch_size` and halves it
            while memory is short.
        max_batch_size: The batch size with which "auto" begins.
        max_length: The most tokens of a context and its continuation together. A longer context loses its start. By default
            as many as the position table holds.
        max_gen_toks: The most tokens to generate for tasks that do not say it.
        mask_token: The mask that is put behind a context: by default `[gMASK]`, or `[MASK]` in a vocabulary without it.
        unidirectional: Whether to score from left to right only: the first token of a text is read in both directions, and
            all others are the piece.
        window, stride: The most tokens of a window of `loglikelihood_rolling`, and how many tokens each further window
            scores. By default one less than the position table holds, and a quarter of that.
        read_blanks: Whether a mask token in a context is its blank. Otherwise it is a word like others.
        close_context: Whether `<eos>` stands behind the mask that is put behind a context. By default it does for scoring, as
            in the authors' LAMBADA, and does not for generating, as everywhere in this package.
        trust_remote_code: Not needed: the classes of this package read every GLM.
        kwargs: Further arguments of `from_pretrained`, such as `device_map`.

    Raises:
        ValueError: For a model without a projection to the vocabulary, an argument out of range, and arguments that only
            a model to be loaded can use.
    """

    def __init__(
        self,
        pretrained: Any,
        tokenizer: Any = None,
        *,
        revision: str = "main",
        subfolder: str = "",
        peft: str | None = None,
        dtype: str | torch.dtype | None = None,
        device: str | None = None,
        batch_size: int | str = 1,
        max_batch_size: int | None = 64,
        max_length: int | None = None,
        max_gen_toks: int = 256,
        mask_token: str | None = None,
        unidirectional: bool = False,
        window: int | None = None,
        stride: int | None = None,
        read_blanks: bool = True,
        close_context: bool | None = None,
        trust_remote_code: bool = False,
        **kwargs: Any,
    ):
        super().__init__()
        self.accelerator = join_processes()
        if self.accelerator is not None:
            self._rank, self._world_size = self.accelerator.process_index, self.accelerator.num_processes
        self.revision = revision
        self.model, self.tokenizer = load_scoring_model(
            pretrained,
            tokenizer,
            revision=revision,
            subfolder=subfolder,
            peft=peft,
            dtype=dtype,
            device=device,
            accelerator=self.accelerator,
            **kwargs,
        )
        self._device = self.model.device
        config: Any = unwrap(self.model).config
        self.config = config

        self.batch_size, largest = _read_batch_size(batch_size, max_batch_size)
        self.batch_sizes: dict[str, int] = {}  # the harness reports what "auto" found
        self._largest_batch = largest
        self._max_length = check_max_length(max_length, config)
        self._max_gen_toks = check_whole_number("max_gen_toks", max_gen_toks, least=1)
        self.mask_token_id = _find_mask(self.tokenizer, mask_token)
        self.unidirectional = check_truth_value("unidirectional", unidirectional)
        self.window = default_window(config) if window is None else window
        self.stride = default_stride(self.window) if stride is None else stride
        check_window(self.window, self.stride, config)
        read_blanks = check_truth_value("read_blanks", read_blanks)
        self._scored, self._generated = (
            ContextEncoder(
                self.tokenizer,
                self.mask_token_id,
                read_blanks=read_blanks,
                closes=closes if close_context is None else check_truth_value("close_context", close_context),
            )
            for closes in (True, False)
        )

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """
        Score continuations of contexts.

        Args:
            requests: Requests whose `args` are (context, continuation). The context may be empty.
            disable_tqdm: Whether to hide the progress bar.

        Returns:
            For every request the log-probability of the continuation without its end, and whether greedy search would write
            it.

        Raises:
            ValueError: For a continuation without tokens or longer than `max_length`, and a context with several blanks.
        """
        pairs: list[tuple[str, str]] = [request.args for request in requests]
        split = [self._scored.split(*pair) for pair in pairs]
        texts = list(dict.fromkeys(request.context for request in split))
        contexts = dict(zip(texts, self._scored.encode_contexts(texts), strict=True))
        tokens = self._scored.encode_continuations(split)
        return self._score(
            [
                (pair, contexts[request.context], continuation)
                for pair, request, continuation in zip(pairs, split, tokens, strict=True)
            ],
            disable_tqdm,
        )

    def _loglikelihood_tokens(
        self, requests: list[tuple[tuple[str, str], list[int], list[int]]], disable_tqdm: bool = False, **kwargs: Any
    ) -> list[tuple[float, bool]]:
        """Score continuations of contexts that are ids: `tok_encode` makes those of a context."""
        end = [self.tokenizer.eos_token_id] if self._scored.closes else []
        return self._score(
            [
                (texts, EncodedContext([*context, self.mask_token_id], len(context), end), continuation)
                for texts, context, continuation in requests
            ],
            disable_tqdm,
        )

    def _score(
        self, requests: Sequence[tuple[tuple[str, str], EncodedContext, list[int]]], disable_tqdm: bool
    ) -> list[tuple[float, bool]]:
        """Score encoded requests. The longest contexts come first, so that too little memory shows at once."""
        groups: dict[tuple, list[int]] = {}
        for number, (_, context, _) in enumerate(requests):
            groups.setdefault((tuple(context.ids), context.blank, tuple(context.end)), []).append(number)
        laid_out: list[tuple[ContinuationRow, list[int]]] = []
        shortened = 0
        for numbers in groups.values():
            row, cut = self._scored.lay_out(
                requests[numbers[0]][1],
                [requests[number][2] for number in numbers],
                max_length=self.max_length,
                unidirectional=self.unidirectional,
            )
            shortened += cut > 0
            laid_out.append((row, numbers))
        self._tell_shortened(shortened, len(laid_out))
        laid_out.sort(key=lambda group: -_count_tokens(group[0]))
        results: list[tuple[float, bool]] = [(0.0, False)] * len(requests)
        with self._progress("loglikelihood", len(requests), disable_tqdm) as bar:
            for batch in self._take(laid_out, BATCHES_AT_ONCE):
                scored = self._in_batches(self._score_rows, [row for row, _ in batch])
                for (_, numbers), of_context in zip(batch, scored, strict=True):
                    for number, found in zip(numbers, of_context, strict=True):
                        results[number] = (found.log_prob, found.all_greedy)
                        self.cache_hook.add_partial("loglikelihood", requests[number][0], results[number])
                    bar.update(len(numbers))
        return results

    def loglikelihood_rolling(self, requests: list[Instance], disable_tqdm: bool = False) -> list[float]:
        """
        Score whole texts, each on its own, in windows that score every token once.

        The first token is scored as well, behind nothing but `[CLS]`.

        Args:
            requests: Requests whose `args` are (text,).
            disable_tqdm: Whether to hide the progress bar.

        Returns:
            The log-probability of every text. That of an empty text is 0.
        """
        texts: list[str] = [request.args[0] for request in requests]
        documents = encode_plain(self.tokenizer, texts)
        plans = [plan_windows(len(ids), self.window, self.stride, score_first=True) for ids in documents]
        items = [(number, window) for number, plan in enumerate(plans) for window in plan]
        totals, missing = [0.0] * len(texts), list(map(len, plans))
        with self._progress("loglikelihood_rolling", len(items), disable_tqdm) as bar:
            for batch in self._take(items, BATCHES_AT_ONCE):
                rows = [
                    lay_out_window(
                        documents[number],
                        window,
                        self.tokenizer.cls_token_id,
                        self.mask_token_id,
                        unidirectional=self.unidirectional,
                    )
                    for number, window in batch
                ]
                for (number, _), (found,) in zip(batch, self._in_batches(self._score_rows, rows), strict=True):
                    totals[number] += found.log_prob
                    missing[number] -= 1
                    if not missing[number]:
                        self.cache_hook.add_partial("loglikelihood_rolling", (texts[number],), totals[number])
                bar.update(len(batch))
        return totals

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """
        Write what follows contexts, or what fills their blanks.

        Args:
            requests: Requests whose `args` are (context, settings). The settings are `until` (a stop string or a list of
                them), `max_gen_toks`, and others of `generate`, such as `do_sample` and `num_beams`.
            disable_tqdm: Whether to hide the progress bar.

        Returns:
            The texts, each up to its first stop string. A text begins with white space where the model wrote it and the
            context does not end with it.

        Raises:
            ValueError: For settings that `generate` does not know, and a context with several blanks.
        """
        pairs: list[tuple[str, dict[str, Any]]] = [request.args for request in requests]
        split = [self._generated.split(context) for context, _ in pairs]
        prompts, shortened = [], 0
        for context in self._generated.encode_contexts([request.context for request in split]):
            prompt, cut = self._generated.lay_out_prompt(context, max_length=self.max_length)
            prompts.append(prompt)
            shortened += cut > 0
        self._tell_shortened(shortened, len(prompts))
        groups: dict[str, list[int]] = {}  # by their settings
        for number, (_, settings) in enumerate(pairs):
            groups.setdefault(json.dumps(settings, sort_keys=True, default=str), []).append(number)
        results = [""] * len(requests)
        with self._progress("generate_until", len(requests), disable_tqdm) as bar:
            for numbers in groups.values():
                settings, stops = self._read_settings(pairs[numbers[0]][1])
                numbers.sort(key=lambda number: -len(prompts[number]))
                for batch in self._take(numbers, 1):
                    written = self._in_batches(self._generate, [prompts[number] for number in batch], settings)
                    for number, text in zip(batch, written, strict=True):
                        results[number] = _cut_at_stops(text.removeprefix(split[number].continuation), stops)
                        self.cache_hook.add_partial("generate_until", pairs[number], results[number])
                    bar.update(len(batch))
        return results

    def _read_settings(self, given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Read the settings of a task as arguments of `generate`, and its stop strings."""
        settings: dict[str, Any] = dict(normalize_gen_kwargs(given, self.max_gen_toks))
        stops = [stop for stop in settings.pop("until") if stop]
        if "max_length" in settings:
            raise ValueError(f"max_length={settings['max_length']} counts the prompt as well: set max_gen_toks.")
        settings["max_new_tokens"] = check_whole_number("max_gen_toks", settings.pop("max_gen_toks"), least=1)
        if not settings["do_sample"]:
            settings = {name: value for name, value in settings.items() if name not in SAMPLING}
        if written := _find_writable(self.tokenizer, stops):
            settings |= {"stop_strings": written, "tokenizer": self.tokenizer}
        return settings, stops

    def _generate(self, prompts: Sequence[list[int]], batch_size: int, settings: dict[str, Any]) -> list[str]:
        """Generate for prompts of ids, in batches."""
        texts = []
        with evaluation_mode(self.model):
            for _, batch in in_batches(prompts, batch_size):
                inputs = self.tokenizer.pad({"input_ids": batch}, padding_side="left", return_tensors="pt")
                rows = fill_rows(self.model, **inputs.to(self.device), **settings)
                texts += [decode_row(self.tokenizer, row)[0].literal for row in rows.tolist()]
        return texts

    def _score_rows(self, rows: Sequence[ContinuationRow], batch_size: int) -> list[Any]:
        return score_continuations(self.model, rows, batch_size=batch_size)

    def _take(self, items: Sequence[Any], batches: int) -> Iterator[list[Any]]:
        """Take as many items as are computed between two entries into the cache of answers."""
        size = self._largest_batch if self.batch_size == "auto" else self.batch_size
        for _, batch in in_batches(items, size * batches):
            yield batch

    def _in_batches(self, compute: Callable[..., list[Result]], rows: Sequence[Any], *arguments: Any) -> list[Result]:
        """Compute something of rows in batches. With "auto" the size that fits is found, and kept."""
        if self.batch_size != "auto":
            return compute(rows, self.batch_size, *arguments)
        while True:
            try:
                results = compute(rows, self._largest_batch, *arguments)
            except RuntimeError as error:
                if self._largest_batch == 1 or not should_reduce_batch_size(error):
                    raise
            else:
                self.batch_sizes["auto"] = self._largest_batch
                return results
            # Outside of the handler, whose error keeps the tensors of the attempt alive.
            self._largest_batch //= 2
            clear_device_cache(garbage_collection=True)

    def _progress(self, what: str, total: int, disable: bool) -> tqdm:
        return tqdm(total=total, disable=disable or self.rank != 0, desc=f"Running {what} requests")

    def _tell_shortened(self, count: int, total: int) -> None:
        if count:
            logger.warning(f"{count} of {total} contexts lost their start, to fit into max_length={self.max_length}.")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Encode a text without special tokens around it. Those written in it are letters."""
        (ids,) = encode_plain(self.tokenizer, [string])
        return ids

    def tok_decode(self, tokens: int | Sequence[int], skip_special_tokens: bool = True) -> str:
        """Decode ids."""
        return self.tokenizer.decode(tokens, skip_special_tokens=skip_special_tokens)

    def _encode_pair(self, context: str, continuation: str) -> tuple[list[int], list[int]]:
        """Encode a context without its mask, and a continuation behind it."""
        request = Request(context.rstrip(), context[len(context.rstrip()) :] + continuation)
        (ids,) = self._scored.encode_continuations([request])
        return self.tok_encode(request.context), ids

    @property
    def eot_token_id(self) -> int:
        """The id of the token that ends a text."""
        return self.tokenizer.eos_token_id

    @property
    def max_length(self) -> int:
        """The most tokens of a context and its continuation together."""
        return self._max_length

    @property
    def max_gen_toks(self) -> int:
        """The most tokens to generate where a task does not say it."""
        return self._max_gen_toks

    @property
    def tokenizer_name(self) -> str:
        """The name of the tokenizer, which the harness' cache of requests contains."""
        return self.tokenizer.name_or_path.replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """Write a chat as a text with the chat template of the tokenizer. GLM's own tokenizers have none."""
        return self.tokenizer.apply_chat_template(
            chat_history,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )

    def all_gather(self, tensor: torch.Tensor) -> torch.Tensor:
        """Gather a tensor of all processes."""
        return tensor if self.accelerator is None else self.accelerator.gather(tensor)

    def gather_object(self, obj: Any, dst: int = 0) -> list[Any] | None:
        """Gather an object of all processes in process `dst`. The others get None."""
        if self.accelerator is None:
            return [obj]
        gathered = [None] * self.world_size if self.rank == dst else None
        torch.distributed.gather_object(obj, gathered, dst=dst)
        return gathered

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()

    def get_model_info(self) -> dict[str, Any]:
        """Describe the model and how it reads requests, for the harness' file of results."""
        return {
            "model_num_parameters": unwrap(self.model).num_parameters(),
            "model_dtype": str(unwrap(self.model).dtype),
            "model_revision": self.revision,
            "model_sha": getattr(self.config, "_commit_hash", None) or "",
            "modeling_glm_version": version("modeling-glm"),
            "glm_mask_token": self.tokenizer.convert_ids_to_tokens(self.mask_token_id),
            "glm_max_length": self.max_length,
            "glm_unidirectional": self.unidirectional,
            "glm_window": self.window,
            "glm_stride": self.stride,
            "glm_read_blanks": self._scored.read_blanks,
            "glm_closed": {"loglikelihood": self._scored.closes, "generate_until": self._generated.closes},
        }


def _read_batch_size(batch_size: int | str, max_batch_size: int | None) -> tuple[Any, int]:
    """Read a batch size, a number or "auto", and the size with which "auto" begins."""
    largest = check_batch_size("max_batch_size", 64 if max_batch_size is None else max_batch_size)
    if isinstance(batch_size, str):
        if batch_size.partition(":")[0] == "auto":
            return "auto", largest
        if not batch_size.isdecimal():
            raise ValueError(f'batch_size={batch_size!r}: expected a whole number of at least 1, or "auto".')
        batch_size = int(batch_size)
    return check_batch_size("batch_size", batch_size), largest


def _find_mask(tokenizer: Any, mask_token: str | None) -> int:
    if mask_token is None:
        return continuing_mask_id(tokenizer)
    masks = tokenizer.convert_ids_to_tokens(tokenizer.mask_token_ids)
    if mask_token not in masks:
        raise ValueError(f"mask_token={mask_token!r}: expected a mask of the vocabulary, {' or '.join(masks)}.")
    return tokenizer.convert_tokens_to_ids(mask_token)


def _count_tokens(row: ContinuationRow) -> int:
    return len(row.context) + sum(map(len, row.continuations))


def _find_writable(tokenizer: Any, stops: list[str]) -> list[str]:
    """Find the stop strings that tokens can write. `generate` refuses others: a new line in a vocabulary without it."""
    if not stops:
        return []
    try:
        StopStringCriteria(tokenizer, stops)  # the library keeps what it finds, for `generate`
    except ValueError:
        return [] if len(stops) == 1 else [stop for stop in stops if _find_writable(tokenizer, [stop])]
    return stops


def _cut_at_stops(text: str, stops: Sequence[str]) -> str:
    """Cut a text in front of its first stop string."""
    return text[: min((place for stop in stops if (place := text.find(stop)) >= 0), default=len(text))]


__all__ = ["GLMHarnessModel"]
