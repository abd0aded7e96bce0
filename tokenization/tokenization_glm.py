"""The tokenizer of GLM: one class on the `tokenizers` backend, whatever the vocabulary."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Encoding, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.utils import PaddingStrategy

from .original_vocabularies import VOCABULARY_FILES, build_from_original_files

# The task of a classifier (a `PatternVerbalizer`), kept beside its vocabulary.
CLOZE_FILE = "cloze.json"

# Without these no GLM can work: a vocabulary that lacks one gets it.
NEEDED_TOKENS = {
    "eos_token": "<|endoftext|>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "sop_token": "<|startofpiece|>",
    "eop_token": "<|endofpiece|>",
}
# These are used where the vocabulary has them.
OPTIONAL_TOKENS = {
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "smask_token": "[sMASK]",
    "gmask_token": "[gMASK]",
    "dblock_token": "[dBLOCK]",
}
# A blank swallows the white space before it, which is part of the answer: "is [MASK]" + " hot" -> "is hot".
MASK_TOKENS = ("mask_token", "smask_token", "gmask_token")
GLM_TOKENS = ("sop_token", "eop_token", "smask_token", "gmask_token", "dblock_token")

# What the originals' tokenizer_config.json says of their slow classes.
ORIGINAL_SETTINGS = (
    *("add_prefix_space", "auto_map", "backend", "do_basic_tokenize", "do_lower_case", "errors", "never_split"),
    *(
        "model_specific_special_tokens",
        "special_tokens_map_file",
        "strip_accents",
        "tokenize_chinese_chars",
        "use_fast",
    ),
)

# As GPT-2 splits words, but every digit on its own: numbers are then read and written by place value.
WORD_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# What the library returns of an encoding, by the names that it returns it under.
ENCODING_FIELDS: dict[str, Callable[[Encoding], Any]] = {
    "input_ids": lambda encoding: encoding.ids,
    "token_type_ids": lambda encoding: encoding.type_ids,
    "attention_mask": lambda encoding: encoding.attention_mask,
    "special_tokens_mask": lambda encoding: encoding.special_tokens_mask,
    "offset_mapping": lambda encoding: encoding.offsets,
    "length": len,
}


class GLMTokenizer(PreTrainedTokenizerFast):
    """
    Tokenizer of GLM on any vocabulary of the `tokenizers` library: `GLMTokenizer(tokenizer_file="tokenizer.json")`,
    `GLMTokenizer.from_pretrained(folder)`, or a new one by [`GLMTokenizer.train_from_iterator`].

    `from_pretrained` also reads the vocabulary files of the originals (`vocab.json` with `merges.txt`, `vocab.txt`,
    `cog-pretrain.model`), and gives texts the ids that they had in training; `shared_gmask=True` is for GLM-10B-Chinese
    as the authors trained it, where `[gMASK]` and the end of a piece are one token. `save_pretrained` then writes one
    `tokenizer.json`.

    A text becomes `[CLS] text <eos>`, a pair `[CLS] text [SEP] pair <eos>` (paper section 2.1). A text that ends with
    `[gMASK]` is to be continued, so no `<eos>` follows.

    Beside the usual special tokens there are, each with its `_id`: `sop_token` and `eop_token`, which start and end the
    piece that fills a blank, `smask_token` and `gmask_token`, the blanks for sentences and for a long continuation,
    and `dblock_token`, which stands in for tokens in pretraining. The last three, like `pad_token`, `sep_token` and
    `unk_token`, are None where the vocabulary has no such token.

    Example:

    ```python
    >>> tokenizer("Paris is the [MASK] of France.").tokens()
    ['[CLS]', 'Paris', 'Ġis', 'Ġthe', '[MASK]', 'Ġof', 'ĠFrance', '.', '<|endoftext|>']
    ```
    """

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "cloze_file": CLOZE_FILE, **VOCABULARY_FILES}
    model_input_names = ["input_ids", "attention_mask"]
    SPECIAL_TOKENS_ATTRIBUTES = [*PreTrainedTokenizerFast.SPECIAL_TOKENS_ATTRIBUTES, *GLM_TOKENS]

    @classmethod
    def convert_to_native_format(cls, **kwargs: Any) -> dict[str, Any]:
        """What `__init__` takes, from what `from_pretrained` found: the vocabulary is in `tokenizer.json` or original."""
        kwargs.pop("trust_remote_code", None)
        files = {name: kwargs.pop(name, None) for name in VOCABULARY_FILES}
        shared_gmask = kwargs.pop("shared_gmask", False)
        if kwargs.get("tokenizer_file") is not None:
            return kwargs
        # The settings of the slow tokenizers name tokens otherwise than training did; only their ids and further tokens
        # count.
        added = {str(token): index for index, token in kwargs.pop("added_tokens_decoder", {}).items()}
        special = [str(token) for token in kwargs.pop("extra_special_tokens", None) or ()]
        backend, tokens = build_from_original_files(
            files, added, special, do_lower_case=kwargs.get("do_lower_case", True), shared_gmask=shared_gmask
        )
        kept = {
            name: value
            for name, value in kwargs.items()
            if name not in ORIGINAL_SETTINGS and name not in cls.SPECIAL_TOKENS_ATTRIBUTES
        }
        further = [
            token
            for token in special
            if token not in map(str, tokens.values()) and backend.token_to_id(token) is not None
        ]
        return {
            "truncation_side": "left",  # as theirs: what is to be continued stands at the end
            **kept,
            **tokens,
            "extra_special_tokens": further,
            "tokenizer_object": backend,
        }

    def __init__(
        self,
        tokenizer_file: str | None = None,
        tokenizer_object: Tokenizer | None = None,
        cloze_file: str | None = None,
        **kwargs: Any,
    ):
        if tokenizer_object is None:
            if tokenizer_file is None:
                raise ValueError(
                    "GLMTokenizer needs a tokenizer.json (tokenizer_file) or a tokenizers.Tokenizer (tokenizer_object)."
                )
            tokenizer_object = Tokenizer.from_file(tokenizer_file)
        self._tokenizer = tokenizer_object
        for name, token in {**NEEDED_TOKENS, **OPTIONAL_TOKENS}.items():
            if kwargs.get(name) is None and (name in NEEDED_TOKENS or tokenizer_object.token_to_id(token) is not None):
                kwargs[name] = token
        if kwargs.get("pad_token") is None:
            kwargs["pad_token"] = kwargs["eos_token"]
        for name in MASK_TOKENS:
            token = kwargs.get(name)
            if isinstance(token, str) and tokenizer_object.token_to_id(token) is None:
                kwargs[name] = AddedToken(token, lstrip=True, special=True)
        super().__init__(**kwargs)
        self.cloze: dict[str, Any] | None = None
        if cloze_file is not None:
            self.cloze = json.loads(Path(cloze_file).read_text(encoding="utf-8"))
        self.update_post_processor()

    @classmethod
    def train_from_iterator(
        cls, texts: Iterable[str] | Iterator[str], vocab_size: int, show_progress: bool = False, **kwargs: Any
    ) -> "GLMTokenizer":
        """
        A tokenizer with a new byte-level BPE vocabulary, in which every text can be written and every digit is a token.

        Args:
            texts: The texts to count in.
            vocab_size: Number of tokens, at least 267: the 256 bytes and all 11 special tokens of GLM.
            show_progress: Whether to draw a progress bar.
            kwargs: Passed on to the tokenizer.

        Raises:
            ValueError: if `vocab_size` is too small.
        """
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokens = {"pad_token": OPTIONAL_TOKENS["pad_token"], **NEEDED_TOKENS, **OPTIONAL_TOKENS}
        if vocab_size < len(alphabet) + len(tokens):
            raise ValueError(
                f"vocab_size={vocab_size} is too small: the bytes take {len(alphabet)} tokens and the special tokens "
                f"{len(tokens)}, so give at least {len(alphabet) + len(tokens)}."
            )
        backend = Tokenizer(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(WORD_PATTERN), behavior="isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        backend.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            initial_alphabet=alphabet,
            special_tokens=[
                AddedToken(token, lstrip=name in MASK_TOKENS, special=True) for name, token in tokens.items()
            ],
            show_progress=show_progress,
        )
        backend.train_from_iterator(texts, trainer)
        return cls(tokenizer_object=backend, **kwargs)

    def _save_pretrained(
        self, save_directory: str, file_names: tuple[str, ...], *args: Any, **kwargs: Any
    ) -> tuple[str, ...]:
        saved = super()._save_pretrained(save_directory, file_names, *args, **kwargs)
        if self.cloze is None:
            return saved
        path = Path(save_directory) / CLOZE_FILE
        path.write_text(json.dumps(self.cloze, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return (*saved, str(path))

    @property
    def mask_token_ids(self) -> list[int]:
        """Ids of the blanks that the vocabulary has."""
        return [i for i in (self.mask_token_id, self.smask_token_id, self.gmask_token_id) if i is not None]

    @property
    def special_token_ids(self) -> dict[str, int]:
        """The ids that a model must know, by their names in `GLMConfig`: `config.update(tokenizer.special_token_ids)`."""
        names = ("pad_token", "eos_token", "cls_token", *MASK_TOKENS, "sop_token", "eop_token")
        ids = {f"{name}_id": getattr(self, f"{name}_id") for name in names}
        return {name: token_id for name, token_id in ids.items() if token_id is not None}

    def update_post_processor(self):
        names = {name: getattr(self, name) for name in ("cls_token", "sep_token", "eos_token")}
        names["sep_token"] = names["sep_token"] or names["eos_token"]
        self._tokenizer.post_processor = processors.TemplateProcessing(
            single="{cls_token} $A {eos_token}".format(**names),
            pair="{cls_token} $A:0 {sep_token}:0 $B:1 {eos_token}:1".format(**names),
            special_tokens=[(token, self.convert_tokens_to_ids(token)) for token in set(names.values())],
        )

    def _encode_plus(
        self,
        text: Any,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        **kwargs: Any,
    ) -> BatchEncoding:
        encode = super()._encode_plus
        if not add_special_tokens or self.gmask_token is None or not self._ends_with_gmask(text, text_pair):
            return encode(text, text_pair, add_special_tokens, padding_strategy, **kwargs)

        # Encode without padding, take the <eos> behind a final [gMASK] away, then pad.
        return_tensors, multiple, side = (
            kwargs.pop(name, None) for name in ("return_tensors", "pad_to_multiple_of", "padding_side")
        )
        single = not isinstance(text, list | tuple) or (kwargs.get("is_split_into_words") and isinstance(text[0], str))
        batch = encode(
            [text] if single else text,
            None if text_pair is None else [text_pair] if single else text_pair,
            add_special_tokens,
            **kwargs,
        )
        encodings = batch.encodings
        for encoding in encodings:
            if encoding.ids[-2:] == [self.gmask_token_id, self.eos_token_id]:
                encoding.truncate(len(encoding) - 1)
        if padding_strategy != PaddingStrategy.DO_NOT_PAD:
            least = kwargs.get("max_length") if padding_strategy == PaddingStrategy.MAX_LENGTH else None
            length = max(least or 0, *map(len, encodings))
            if multiple:
                length = -(-length // multiple) * multiple
            for encoding in encodings:
                encoding.pad(
                    length,
                    direction=side or self.padding_side,
                    pad_id=self.pad_token_id,
                    pad_token=self.pad_token,
                )
        data = {
            name: [read(encoding) for encoding in encodings] if (read := ENCODING_FIELDS.get(name)) else values
            for name, values in batch.items()
        }
        if single and return_tensors is None and not kwargs.get("return_overflowing_tokens"):
            data = {name: values[0] for name, values in data.items()}
        return BatchEncoding(data, encodings, tensor_type=return_tensors)

    def _ends_with_gmask(self, text: Any, text_pair: Any) -> bool:
        """Whether one of the texts may end with [gMASK], however they are nested."""
        last = text if text_pair is None else text_pair
        if isinstance(last, str):
            return last.rstrip().endswith(self.gmask_token)
        return any(self._ends_with_gmask(part, None) for part in last)

    def decode_blanks(self, sequences: torch.Tensor | Sequence[Sequence[int]]) -> list[list[str]]:
        """
        Reads the answers out of what `generate` returned.

        Args:
            sequences: (rows, seq) ids, each row a prompt and the pieces behind it, or the pieces alone.

        Returns:
            For every row the answer of every blank from left to right, without white space around it; an empty string
            for a blank that was not reached.
        """
        rows = sequences.tolist() if isinstance(sequences, torch.Tensor) else sequences
        return [self._decode_row(list(row)) for row in rows]

    def _decode_row(self, ids: list[int]) -> list[str]:
        starts = [index for index, token_id in enumerate(ids) if token_id == self.sop_token_id]
        context = ids[: starts[0]] if starts else ids
        answers = []
        for start, stop in pairwise([*starts, len(ids)]):
            piece = ids[start + 1 : stop]
            end = next((i for i, token_id in enumerate(piece) if token_id in self.end_token_ids), len(piece))
            answers.append(self.decode(piece[:end], skip_special_tokens=True).strip())
        blanks = sum(token_id in self.mask_token_ids for token_id in context)
        return answers + [""] * (blanks - len(answers))

    @property
    def end_token_ids(self) -> set[int]:
        """Ids behind which an answer does not go on: the end of a piece, the end of a text, and padding."""
        return {self.eop_token_id, self.eos_token_id, self.pad_token_id}

    def fill(self, text: str, answers: Sequence[str]) -> str:
        """
        The text with its blanks filled, from left to right.

        Args:
            text: A text with mask tokens.
            answers: As many answers.

        Raises:
            ValueError: if there are not as many answers as blanks.

        Example:

        ```python
        >>> tokenizer.fill("The [MASK] runs [MASK].", ["dog", "home"])
        'The dog runs home.'
        ```
        """
        return self.fill_with_offsets(text, answers)[0]

    def fill_with_offsets(self, text: str, answers: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
        """
        As `fill`, and where the answers stand. Where an answer is empty, the white space before its blank goes.

        Returns:
            The filled text, and for every answer the characters of it where the answer begins and ends.

        Raises:
            ValueError: if there are not as many answers as blanks.
        """
        filled, *parts = self.split_at_blanks(text)
        if len(parts) != len(answers):
            raise ValueError(f"The text has {len(parts)} blanks, but {len(answers)} answers are given: {text!r}.")
        offsets = []
        for answer, part in zip(answers, parts, strict=True):
            filled = filled if answer else filled.rstrip()
            offsets.append((len(filled), len(filled) + len(answer)))
            filled += answer + part
        return filled, offsets

    def fill_some(self, text: str, answers: Mapping[int, str]) -> str:
        """The text with some blanks filled: `answers` has an answer by the number of its blank, counted from 0."""
        masks = re.findall(self._blank_pattern, text)
        return self.fill(text, [answers.get(number, mask) for number, mask in enumerate(masks)])

    @property
    def _blank_pattern(self) -> str:
        return "|".join(map(re.escape, self.convert_ids_to_tokens(self.mask_token_ids)))

    def split_at_blanks(self, text: str) -> list[str]:
        """What stands before, between and behind the blanks of a text: one part more than it has blanks."""
        return re.split(self._blank_pattern, text)

    def build_inputs_for_generation(
        self,
        inputs: BatchEncoding,
        max_gen_length: int = 512,
        targets: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        padding: bool = False,
    ) -> BatchEncoding:
        """
        Opens the first blank of every text for `generate`, or writes targets behind the texts for training.

        Args:
            inputs: What the tokenizer returned for texts with blanks, as tensors: `input_ids` (batch, seq) and
                `attention_mask`.
            max_gen_length: Longest target in tokens, its end included; longer ones are cut. Without targets it has no
                effect: `generate` grows pieces as far as it is asked to.
            targets: One target for every text (the first blank), or a list of them for its blanks from left to right.
            padding: Whether to pad the targets to `max_gen_length` rather than to the longest.

        Returns:
            int64 tensors `input_ids` and `attention_mask` (batch, longer seq), and with targets `labels` of the same
            shape, aligned with the inputs, -100 where nothing is to be learned.

        Raises:
            ValueError: if a text has fewer blanks than targets, or none at all.
        """
        input_ids, attention_mask = self._tensors(inputs)
        if targets is None:
            self._require_blanks(input_ids, [1] * len(input_ids))
            starts = input_ids.new_full((len(input_ids), 1), self.sop_token_id)
            return BatchEncoding(
                {
                    "input_ids": torch.cat((input_ids, starts), dim=1),
                    "attention_mask": torch.cat((attention_mask, torch.ones_like(starts)), dim=1),
                }
            )

        targets = [targets] if isinstance(targets, str) else list(targets)
        if len(targets) != len(input_ids):
            raise ValueError(f"There are {len(input_ids)} texts, but targets for {len(targets)}.")
        targets = [[target] if isinstance(target, str) else list(target) for target in targets]
        self._require_blanks(input_ids, [len(row) for row in targets])
        fed, labels = [], []
        for row in targets:
            pieces = [(ids + [self.eop_token_id])[:max_gen_length] for ids in map(self._encode_bare, row)]
            fed.append([token for piece in pieces for token in (self.sop_token_id, *piece[:-1])])
            labels.append([token for piece in pieces for token in piece])
        length = max_gen_length if padding else 0
        length = max(length, *map(len, fed))
        rows = input_ids.new_tensor([row + [self.pad_token_id] * (length - len(row)) for row in fed])
        real = attention_mask.new_tensor([[1] * len(row) + [0] * (length - len(row)) for row in fed])
        targets = input_ids.new_tensor([row + [-100] * (length - len(row)) for row in labels])
        return BatchEncoding(
            {
                "input_ids": torch.cat((input_ids, rows), dim=1),
                "attention_mask": torch.cat((attention_mask, real), dim=1),
                "labels": torch.cat((torch.full_like(input_ids, -100), targets), dim=1),
            }
        )

    def build_inputs_for_multiple_choice(
        self, inputs: BatchEncoding, choices: Sequence[Sequence[str]], max_length: int | None = None
    ) -> BatchEncoding:
        """
        Adds the choices for the blank of every text, as `GLMForMultipleChoice` takes them.

        Args:
            inputs: What the tokenizer returned for texts with a blank, as tensors.
            choices: For every text its choices; their number may differ. A choice is encoded as it stands: for
                vocabularies that write the space before a word into its token, begin it with the space.
            max_length: Longest choice in tokens; longer ones are cut.

        Returns:
            int64 tensors `input_ids`, `attention_mask` (batch, seq) and `choice_ids` (batch, choices, length), -100
            behind the end of a choice and for absent choices.

        Raises:
            ValueError: for a text without a blank or without choices, and for an empty choice.
        """
        input_ids, attention_mask = self._tensors(inputs)
        if len(choices) != len(input_ids):
            raise ValueError(f"There are {len(input_ids)} texts, but choices for {len(choices)}.")
        self._require_blanks(input_ids, [1] * len(input_ids))
        encoded = [[self._encode_bare(choice)[:max_length] for choice in row] for row in choices]
        for row, (texts, ids) in enumerate(zip(choices, encoded, strict=True)):
            if isinstance(texts, str) or not len(texts):
                raise ValueError(f"choices[{row}] is {texts!r}: expected a list with at least one choice.")
            if [] in ids:
                raise ValueError(f"choices[{row}][{ids.index([])}] is empty: a choice needs at least one token.")
        length = max(len(ids) for row in encoded for ids in row)
        width = max(map(len, encoded))
        padded = [[ids + [-100] * (length - len(ids)) for ids in row] for row in encoded]
        padded = [row + [[-100] * length] * (width - len(row)) for row in padded]
        return BatchEncoding(
            {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "choice_ids": torch.tensor(padded, dtype=torch.long, device=input_ids.device),
            }
        )

    def _encode_bare(self, text: str) -> list[int]:
        return self.encode(text, add_special_tokens=False)

    def _tensors(self, inputs: BatchEncoding) -> tuple[torch.Tensor, torch.Tensor]:
        input_ids = inputs["input_ids"]
        if not isinstance(input_ids, torch.Tensor) or input_ids.ndim != 2:
            raise ValueError("inputs must hold tensors (batch, seq): call the tokenizer with return_tensors='pt'.")
        attention_mask = inputs.get("attention_mask")
        return input_ids, torch.ones_like(input_ids) if attention_mask is None else attention_mask

    def _require_blanks(self, input_ids: torch.Tensor, numbers: list[int]):
        blanks = torch.isin(input_ids, input_ids.new_tensor(self.mask_token_ids)).sum(-1).tolist()
        for row, (found, needed) in enumerate(zip(blanks, numbers, strict=True)):
            if found < max(needed, 1):
                raise ValueError(
                    f"Text {row} has {found} blanks, but {max(needed, 1)} are to be filled: put a mask token "
                    f"({self.mask_token}) where each belongs."
                )


__all__ = ["GLMTokenizer"]
