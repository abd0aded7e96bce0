"""The tokenizer of GLM: one class on the `tokenizers` backend for every vocabulary."""

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import torch
from huggingface_hub import CommitInfo
from tokenizers import AddedToken, Encoding, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.utils import PaddingStrategy, TensorType

from .blanks import BlankText, PiecesText, decode_row, fill_with_offsets, split_at_blanks
from .original_vocabularies import VOCABULARY_FILES, build_from_original_files

# Beside the vocabulary, this file holds the cloze task that the tokenizer carries (a `PatternVerbalizer` as a dict).
CLOZE_FILE = "cloze.json"

# GLM needs these tokens: a vocabulary without one of them gets it.
NEEDED_TOKENS = {
    "eos_token": "<|endoftext|>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
    "sop_token": "<|startofpiece|>",
    "eop_token": "<|endofpiece|>",
}
# GLM uses these tokens if the vocabulary has them.
OPTIONAL_TOKENS = {
    "pad_token": "[PAD]",
    "sep_token": "[SEP]",
    "unk_token": "[UNK]",
    "smask_token": "[sMASK]",
    "gmask_token": "[gMASK]",
    "dblock_token": "[dBLOCK]",
}
# A mask token takes the white space on its left with it, because the answer brings its own:
# "is [MASK]" + " hot" -> "is hot".
MASK_TOKENS = ("mask_token", "smask_token", "gmask_token")
GLM_TOKENS = ("sop_token", "eop_token", "smask_token", "gmask_token", "dblock_token")

# Settings in the originals' tokenizer_config.json that only concern their slow classes.
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

# GPT-2's pattern, except that every digit stands alone: the model then reads and writes numbers by place value.
WORD_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# How to read each field of a `BatchEncoding` from an encoding of the backend.
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
    Turn texts with blanks into ids, and generated ids into answers.

    The vocabulary can be any of the `tokenizers` library. Use `GLMTokenizer.from_pretrained(folder)`,
    `GLMTokenizer(tokenizer_file="tokenizer.json")`, or train a new one with `GLMTokenizer.train_from_iterator`.

    `from_pretrained` also reads the vocabulary files of the original checkpoints (`vocab.json` with `merges.txt`,
    `vocab.txt`, or `cog-pretrain.model`). Texts get the ids that they had in pretraining. For GLM-10B-Chinese as its
    authors trained it, where `[gMASK]` also ends a piece, pass `shared_gmask=True`. `save_pretrained` always writes
    one `tokenizer.json`.

    A text becomes `[CLS] text <eos>`, a pair `[CLS] text [SEP] pair <eos>` (paper section 2.1). A text that ends with
    `[gMASK]` gets no `<eos>`, because the model continues it.

    Besides the usual special tokens there are five more, each with its `_id`:

    - `sop_token` and `eop_token` start and end a piece, the text that fills a blank.
    - `smask_token` and `gmask_token` are the blanks for a sentence and for a long continuation.
    - `dblock_token` replaces tokens in pretraining.

    The last three, `pad_token`, `sep_token` and `unk_token` are None if the vocabulary has no such token.

    Attributes:
        cloze: The cloze task that this tokenizer carries, as the dict of a `PatternVerbalizer`, or None. It is saved
            to `cloze.json` with the vocabulary, and copies and pickles keep it. Use `with_cloze` to get a tokenizer
            with another task: nothing in this package writes into a tokenizer that you own.

    Example:

    ```python
    >>> tokenizer("Paris is the [MASK] of France.").tokens()
    ['[CLS]', 'Paris', 'Ġis', 'Ġthe', '[MASK]', 'Ġof', 'ĠFrance', '.', '<|endoftext|>']
    ```
    """

    vocab_files_names = {"tokenizer_file": "tokenizer.json", "cloze_file": CLOZE_FILE, **VOCABULARY_FILES}
    model_input_names = ["input_ids", "attention_mask"]
    SPECIAL_TOKENS_ATTRIBUTES = [*PreTrainedTokenizerFast.SPECIAL_TOKENS_ATTRIBUTES, *GLM_TOKENS]

    # The installed package sets this to its module `modeling_glm.hub.push`, which completes the model card with every
    # push. Code that was loaded from the hub has no publisher and pushes as Transformers does.
    publisher: ClassVar[ModuleType | None] = None

    @classmethod
    def convert_to_native_format(cls, **kwargs: Any) -> dict[str, Any]:
        """Turn the files and settings that `from_pretrained` found into arguments of `__init__`."""
        kwargs.pop("trust_remote_code", None)
        files = {name: kwargs.pop(name, None) for name in VOCABULARY_FILES}
        shared_gmask = kwargs.pop("shared_gmask", False)
        if kwargs.get("tokenizer_file") is not None:
            return kwargs
        # The settings of the slow classes give tokens other names than pretraining did. Only their ids and the user's
        # own tokens matter.
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
            "truncation_side": "left",  # as in the originals: the model continues the end of a text
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
        Train a tokenizer with a new byte-level BPE vocabulary.

        The vocabulary can encode every text, and every digit is a token.

        Args:
            texts: The texts to learn from.
            vocab_size: Number of tokens, at least 267: the 256 bytes and the 11 special tokens of GLM.
            show_progress: Whether to draw a progress bar.
            kwargs: Passed on to the tokenizer.

        Raises:
            ValueError: If `vocab_size` is too small.
        """
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        tokens = {"pad_token": OPTIONAL_TOKENS["pad_token"], **NEEDED_TOKENS, **OPTIONAL_TOKENS}
        if vocab_size < len(alphabet) + len(tokens):
            raise ValueError(
                f"vocab_size={vocab_size} is too small: the bytes need {len(alphabet)} tokens and the special tokens "
                f"{len(tokens)}. Use at least {len(alphabet) + len(tokens)}."
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

    def with_cloze(self, task: Mapping[str, Any] | None) -> "GLMTokenizer":
        """
        Return a copy of this tokenizer that carries another cloze task.

        Args:
            task: The dict of a `PatternVerbalizer`, or None for no task. It is copied as well.

        Returns:
            A tokenizer that shares nothing with this one.
        """
        tokenizer = copy.deepcopy(self)
        tokenizer.cloze = None if task is None else copy.deepcopy(dict(task))
        return tokenizer

    def _save_pretrained(
        self, save_directory: str, file_names: tuple[str, ...], *args: Any, **kwargs: Any
    ) -> tuple[str, ...]:
        saved = super()._save_pretrained(save_directory, file_names, *args, **kwargs)
        if self.cloze is None:
            return saved
        path = Path(save_directory) / CLOZE_FILE
        path.write_text(json.dumps(self.cloze, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return (*saved, str(path))

    def push_to_hub(self, repo_id: str, **kwargs: Any) -> CommitInfo:
        """
        Upload the tokenizer and its code in one commit.

        Args:
            repo_id: Name of the repository: "name" or "organization/name". A missing one is created.
            kwargs: The arguments of the method in Transformers (`commit_message`, `private`, `token`, `revision`,
                `create_pr`, `tags`, ...). If modeling-glm is installed, also the details of the card: see
                `modeling_glm.hub.push.push_tokenizer`.

        Returns:
            The answer of the hub about the commit.
        """
        if self.publisher is not None:
            return self.publisher.push_tokenizer(self, repo_id, **kwargs)
        return super().push_to_hub(repo_id, **kwargs)

    @property
    def mask_token_ids(self) -> list[int]:
        """The ids of the mask tokens that the vocabulary has."""
        return [i for i in (self.mask_token_id, self.smask_token_id, self.gmask_token_id) if i is not None]

    @property
    def special_token_ids(self) -> dict[str, int]:
        """The ids that a model needs, named as in `GLMConfig`: `config.update(tokenizer.special_token_ids)`."""
        names = ("pad_token", "eos_token", "cls_token", *MASK_TOKENS, "sop_token", "eop_token")
        ids = {f"{name}_id": getattr(self, f"{name}_id") for name in names}
        return {name: token_id for name, token_id in ids.items() if token_id is not None}

    def update_post_processor(self):
        """Tell the backend which special tokens surround a text and a pair of texts."""
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
        *,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        encode = super()._encode_plus
        if not add_special_tokens or self.gmask_token is None or not self._ends_with_gmask(text, text_pair):
            return encode(
                text,
                text_pair,
                add_special_tokens,
                padding_strategy,
                pad_to_multiple_of=pad_to_multiple_of,
                padding_side=padding_side,
                return_tensors=return_tensors,
                **kwargs,
            )

        # The backend would pad before the <eos> behind a final [gMASK] can go. So encode without padding, drop that
        # <eos>, and pad afterwards.
        words = kwargs.get("is_split_into_words")
        single = not isinstance(text, list | tuple) or (words and isinstance(text[0], str))
        texts, pairs = ([text], text_pair and [text_pair]) if single else (text, text_pair)
        batch = encode(texts, pairs, add_special_tokens, **kwargs)
        for encoding in batch.encodings:
            if encoding.ids[-2:] == [self.gmask_token_id, self.eos_token_id]:
                encoding.truncate(len(encoding) - 1)
        if padding_strategy != PaddingStrategy.DO_NOT_PAD:
            least = kwargs.get("max_length") if padding_strategy == PaddingStrategy.MAX_LENGTH else None
            self._pad_encodings(batch.encodings, least or 0, pad_to_multiple_of or 1, padding_side)
        # Fields without a reader (overflow_to_sample_mapping) say nothing about single tokens.
        data = {
            name: [read(encoding) for encoding in batch.encodings] if (read := ENCODING_FIELDS.get(name)) else values
            for name, values in batch.items()
        }
        if single and return_tensors is None and not kwargs.get("return_overflowing_tokens"):
            data = {name: values[0] for name, values in data.items()}
        return BatchEncoding(data, batch.encodings, tensor_type=return_tensors)

    def _pad_encodings(self, encodings: Sequence[Encoding], least: int, multiple: int, side: str | None):
        """Pad encodings in place to one length: the longest, at least `least`, and a multiple of `multiple`."""
        length = max(least, *map(len, encodings))
        length = -(-length // multiple) * multiple  # 9 for a multiple of 4 -> 12
        for encoding in encodings:
            encoding.pad(
                length, direction=side or self.padding_side, pad_id=self.pad_token_id, pad_token=self.pad_token
            )

    def _ends_with_gmask(self, text: Any, text_pair: Any) -> bool:
        """Tell whether any of the texts may end with [gMASK]. Texts may be nested in lists."""
        last = text if text_pair is None else text_pair
        if isinstance(last, str):
            return last.rstrip().endswith(self.gmask_token)
        return any(self._ends_with_gmask(part, None) for part in last)

    def decode_blanks(self, sequences: torch.Tensor | Sequence[Sequence[int]]) -> list[list[BlankText]]:
        """
        Read the answers from the ids that `generate` returned.

        Args:
            sequences: (rows, seq) int64 ids. Each row is a prompt and the pieces behind it, or only the pieces. Negative
                ids are skipped: Trainer pads predictions with -100.

        Returns:
            For every row the answer of every blank, from left to right. An answer is a string without white space around
            it that also knows the white space which the model wrote, so that `fill` can show it. A blank that the model
            did not reach has an empty string.
        """
        rows = sequences.tolist() if isinstance(sequences, torch.Tensor) else sequences
        return [decode_row(self, row) for row in rows]

    def _decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> str:
        # The ids of pieces alone are answers: one per line, and the prompt that they are added to is filled.
        if skip_special_tokens and isinstance(token_ids, list | tuple) and [*token_ids[:1]] == [self.sop_token_id]:
            return PiecesText(self, token_ids)
        return super()._decode(token_ids, skip_special_tokens=skip_special_tokens, **kwargs)

    def get_chat_template(self, chat_template: str | None = None, tools: list[dict] | None = None) -> str:
        """
        Find the template of chats. A template without a mask token gets one where the model's message begins.

        Raises:
            ValueError: If there is no template. The message says what to set.
        """
        mask = self.gmask_token or self.mask_token
        if chat_template is None and not self.chat_template:
            example = (
                "{{ cls_token }}{% for message in messages %}{{ message.role }}: {{ message.content }}\\n{% endfor %}"
                f"{{% if add_generation_prompt %}}assistant: {mask}{{% endif %}}"
            )
            raise ValueError(
                f"A list of messages needs a chat template, and this tokenizer has none: set tokenizer.chat_template, for "
                f"example to '{example}', or give a text that ends in {mask} instead."
            )
        template = super().get_chat_template(chat_template, tools)
        masks = self.convert_ids_to_tokens(self.mask_token_ids)
        if "mask_token" in template or any(token in template for token in masks):
            return template
        return f"{template}{{% if add_generation_prompt %}}{mask}{{% endif %}}"

    def apply_chat_template(
        self, conversation: Any, *args: Any, continue_final_message: bool | str = False, **kwargs: Any
    ) -> Any:
        """
        Write a chat as a prompt, as the library does. The model writes its message into a blank at the end.

        Args:
            conversation: The messages of a chat, or of several.
            continue_final_message: Whether the model continues the last message: the blank stands behind it, unless the message
                has a blank itself.
            args, kwargs: As in the library.

        Returns:
            As the library: a `BatchEncoding`, ids, or with `tokenize=False` texts.

        Raises:
            ValueError: If there is no template.
        """
        if not continue_final_message:
            return super().apply_chat_template(conversation, *args, **kwargs)
        names = ("padding", "truncation", "max_length", "return_tensors")
        options = {name: kwargs.pop(name) for name in names if name in kwargs}
        options.update(kwargs.pop("tokenizer_kwargs", None) or {})
        tokenize, as_dict = kwargs.pop("tokenize", True), kwargs.pop("return_dict", True)
        found = super().apply_chat_template(
            conversation, *args, continue_final_message=continue_final_message, tokenize=False, **kwargs
        )
        single = isinstance(found, str)
        chats = [conversation] if single else conversation
        texts = [
            text
            if self._has_blank(getattr(chat, "messages", chat)[-1])
            else text + (self.gmask_token or self.mask_token)
            for chat, text in zip(chats, [found] if single else found, strict=True)
        ]
        prompts = texts[0] if single else texts
        if not tokenize:
            return prompts
        encoded = self(prompts, add_special_tokens=False, **options)
        return encoded if as_dict else encoded["input_ids"]

    def _has_blank(self, message: Mapping[str, Any]) -> bool:
        return any(isinstance(value, str) and len(self.split_at_blanks(value)) > 1 for value in message.values())

    @property
    def end_token_ids(self) -> set[int]:
        """The ids that end an answer: the end of a piece, the end of a text, and padding."""
        return {self.eop_token_id, self.eos_token_id, self.pad_token_id}

    def fill(self, text: str, answers: Sequence[str]) -> str:
        """
        Fill the blanks of a text, from left to right.

        Answers of `decode_blanks` bring the white space that the model wrote. A string of your own goes behind the white
        space of the text, and one with white space in front replaces it.

        Args:
            text: A text with mask tokens.
            answers: One answer for each blank.

        Raises:
            ValueError: If the number of answers is not the number of blanks.

        Example:

        ```python
        >>> tokenizer.fill("The [MASK] runs [MASK].", ["dog", "home"])
        'The dog runs home.'
        ```
        """
        return self.fill_with_offsets(text, answers)[0]

    def fill_with_offsets(self, text: str, answers: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
        """
        Fill the blanks of a text, and say where the answers stand.

        An empty answer also removes the white space before its blank.

        Returns:
            The filled text, and for every answer the positions of its first character and behind its last one, without
            white space around it.

        Raises:
            ValueError: If the number of answers is not the number of blanks.
        """
        return fill_with_offsets(self, text, list(answers))

    def fill_some(self, text: str, answers: Mapping[int, str]) -> str:
        """Fill some blanks of a text. `answers` maps the number of a blank, counted from 0, to its answer."""
        return fill_with_offsets(self, text, answers)[0]

    def split_at_blanks(self, text: str) -> list[str]:
        """Split a text at its blanks. The result has one part more than the text has blanks."""
        return split_at_blanks(self, text)[0]

    def build_inputs_for_generation(
        self,
        inputs: BatchEncoding,
        max_gen_length: int = 512,
        targets: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
        padding: bool = False,
    ) -> BatchEncoding:
        """
        Open the first blank of every text for `generate`, or append targets to the texts for training.

        Args:
            inputs: The output of the tokenizer for texts with blanks, as int64 tensors: `input_ids` (batch, seq) and
                `attention_mask`.
            max_gen_length: Longest target in tokens, including its end. Longer ones are cut. It has no effect without
                targets: the arguments of `generate` then limit the pieces.
            targets: One target for every text (for its first blank), or a list with one target for each of its blanks.
            padding: Whether to pad the targets to `max_gen_length` instead of the longest target.

        Returns:
            int64 tensors `input_ids` and `attention_mask` (batch, longer seq). With targets also `labels` of the same
            shape, aligned with the inputs, -100 where there is no label.

        Raises:
            ValueError: If a text has fewer blanks than targets, or no blank.
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
        Add the choices for the blank of every text, as inputs of `GLMForMultipleChoice`.

        Args:
            inputs: The output of the tokenizer for texts with a blank, as tensors.
            choices: The choices of every text. Their number may differ. A choice is encoded as it stands: start it
                with a space if the vocabulary keeps the space before a word in its token.
            max_length: Longest choice in tokens. Longer ones are cut.

        Returns:
            int64 tensors `input_ids`, `attention_mask` (batch, seq) and `choice_ids` (batch, choices, length), -100
            behind the end of a choice and for absent choices.

        Raises:
            ValueError: For a text without a blank or without choices, and for an empty choice.
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
                    f"Text {row} has {found} blanks, but {max(needed, 1)} are to be filled: write a mask token "
                    f"({self.mask_token}) for each of them."
                )


__all__ = ["GLMTokenizer"]
