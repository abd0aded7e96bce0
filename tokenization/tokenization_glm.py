"""The tokenizer of GLM: one class on the `tokenizers` backend for every vocabulary."""

import copy
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import torch
from huggingface_hub import CommitInfo
from tokenizers import AddedToken, Encoding, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BatchEncoding, PreTrainedTokenizerFast
from transformers.tokenization_utils_base import LARGE_INTEGER, TruncationStrategy
from transformers.utils import PaddingStrategy, TensorType

from .backend_copies import BackendCopies
from .blanks import BlankText, PiecesText, decode_row, fill_with_offsets, split_at_blanks
from .cutting import keep_around_blanks, take_tokens
from .inputs import (
    LARGEST_ID,
    TextRow,
    check_decodable,
    check_id_table,
    check_lengths,
    check_padding,
    check_text,
    check_texts,
    read_id,
    read_id_rows,
    read_ids,
    read_number,
    read_several,
    read_texts,
    shown,
)
from .original_vocabularies import VOCABULARY_FILES, build_from_original_files, read_json
from .prefix_space import has_prefix_space, set_prefix_space
from .saving import save_through, staging_folder, write_whole

# Beside the vocabulary, this file holds the cloze task that the tokenizer carries (a `PatternVerbalizer` as a dict).
CLOZE_FILE = "cloze.json"
# What `from_pretrained` reads besides: the settings as the folder has them, and the model's configuration.
READ_FILES = {"settings_file": "tokenizer_config.json", "config_file": "config.json"}

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
    *(
        "add_bos_token",
        "add_eos_token",
        "add_prefix_space",
        "auto_map",
        "backend",
        "do_basic_tokenize",
        "do_lower_case",
        "errors",
        "never_split",
    ),
    *(
        "model_specific_special_tokens",
        "special_tokens_map_file",
        "strip_accents",
        "tokenize_chinese_chars",
        "use_fast",
    ),
)

# These settings of texts are heeded if the caller gives them.
TEXT_SETTINGS = ("add_eos_token", "add_prefix_space")

# GPT-2's pattern, except that every digit stands alone: the model then reads and writes numbers by place value.
WORD_PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

# Which fields of a `BatchEncoding` the caller wants beside the ids.
RETURNED_FIELDS = (
    *("return_token_type_ids", "return_attention_mask", "return_special_tokens_mask"),
    *("return_offsets_mapping", "return_length"),
)


def _read_json(path: str | None) -> dict[str, Any]:
    return {} if path is None else read_json(path)


def _longest_text(config: Mapping[str, Any]) -> int | None:
    """Return the size of the position table, by the name of the originals or by ours. None for other models."""
    if config.get("model_type") == "glm_infilling":
        return config.get("max_position_embeddings")
    return config.get("max_sequence_length")


def _checked(texts: Any) -> Iterator[Any]:
    """Yield texts, or batches of texts. Raises a ValueError for anything else, before the backend meets it."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise ValueError(f"The texts are {shown(texts)}, of type {type(texts).__name__}: expected several strings.")

    def check() -> Iterator[Any]:
        for number, text in enumerate(texts):
            batch = text if isinstance(text, list | tuple) else [text]
            for part in batch:
                check_text(part, f"Text {number}")
            yield text

    return check()


def _may_end_with(row: TextRow, token: str) -> bool:
    """Return whether the text of a row, or its pair, may end with a token. A text can be a list of words."""
    last = row
    while isinstance(last, list | tuple) and len(last):
        last = last[-1]
    return isinstance(last, str) and last.rstrip().endswith(token)


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
    `[gMASK]` gets no `<eos>`, because the model continues it, and no text does with `add_eos_token=False`. With
    `truncation=True` a text that is too long is cut around its blanks.

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

    _tokenizer: Tokenizer
    vocab_files_names = {
        "tokenizer_file": "tokenizer.json",
        "cloze_file": CLOZE_FILE,
        **VOCABULARY_FILES,
        **READ_FILES,
    }
    model_input_names = ["input_ids", "attention_mask"]
    SPECIAL_TOKENS_ATTRIBUTES = [*PreTrainedTokenizerFast.SPECIAL_TOKENS_ATTRIBUTES, *GLM_TOKENS]

    # The installed package sets this to its module `modeling_glm.hub.push`, which completes the model card with every
    # push. Code that was loaded from the hub has no publisher and pushes as Transformers does.
    publisher: ClassVar[ModuleType | None] = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | os.PathLike, *args: Any, **kwargs: Any) -> Any:
        """
        Load a tokenizer as the library does.

        Raises:
            ValueError: If a file of it is damaged or hostile. The library has errors of many kinds for these.
        """
        try:
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        except (AttributeError, LookupError, RecursionError, TypeError) as error:
            raise ValueError(
                f"The tokenizer in {pretrained_model_name_or_path} cannot be read ({error!r}): expected JSON files as "
                "save_pretrained writes them. Get them again."
            ) from error

    @classmethod
    def convert_to_native_format(cls, **kwargs: Any) -> dict[str, Any]:
        """Turn the files and settings that `from_pretrained` found into arguments of `__init__`."""
        kwargs.pop("trust_remote_code", None)
        files = {name: kwargs.pop(name, None) for name in VOCABULARY_FILES}
        stored, config = (_read_json(kwargs.pop(name, None)) for name in READ_FILES)
        longest = _longest_text(config)
        if longest is not None and (kwargs.get("model_max_length") or LARGE_INTEGER) >= LARGE_INTEGER:
            kwargs["model_max_length"] = longest
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
            if name not in cls.SPECIAL_TOKENS_ATTRIBUTES
            and (name not in ORIGINAL_SETTINGS or (name in TEXT_SETTINGS and value != stored.get(name)))
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
            tokenizer_object = self._read_backend(tokenizer_file)
        elif not isinstance(tokenizer_object, Tokenizer):
            raise ValueError(
                f"tokenizer_object is {shown(tokenizer_object)}, of type {type(tokenizer_object).__name__}: expected a "
                "tokenizers.Tokenizer."
            )
        else:
            tokenizer_object = copy.deepcopy(tokenizer_object)  # its owner's stays as it is
        self._tokenizer = tokenizer_object
        for name, token in {**NEEDED_TOKENS, **OPTIONAL_TOKENS}.items():
            in_vocabulary = tokenizer_object.token_to_id(token) is not None
            if (kwargs.get(name) is None) if name in NEEDED_TOKENS else (name not in kwargs and in_vocabulary):
                kwargs[name] = token
        kwargs.setdefault("pad_token", kwargs["eos_token"])
        added = {token.content for token in tokenizer_object.get_added_tokens_decoder().values()}
        for name in MASK_TOKENS:
            token = kwargs.get(name)
            if isinstance(token, str) and token not in added:
                kwargs[name] = AddedToken(token, lstrip=True, special=True)
        if kwargs.get("add_eos_token") is None:
            kwargs["add_eos_token"] = not self._leaves_texts_open(tokenizer_object, kwargs)
        super().__init__(**kwargs)
        self.cloze: dict[str, Any] | None = None
        if cloze_file is not None:
            self.cloze = read_json(cloze_file)
        self._is_built = True  # from here on, a token that is set acts at once
        if kwargs.get("add_prefix_space") is not None:
            self.add_prefix_space = kwargs["add_prefix_space"]
        self.update_post_processor()

    @staticmethod
    def _read_backend(tokenizer_file: Any) -> Tokenizer:
        """Read a tokenizer.json. Raises an OSError for one that cannot be read, a ValueError for any other content."""
        content = Path(tokenizer_file).read_bytes()
        try:
            return Tokenizer.from_buffer(content)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise ValueError(f"{tokenizer_file} is not the tokenizer.json of a tokenizer: {error}.") from error

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
            ValueError: If `vocab_size` is too small, and for what is not texts.
        """
        vocab_size = read_number(vocab_size, "vocab_size", 1)
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
        backend.train_from_iterator(_checked(texts), trainer)
        return cls(tokenizer_object=backend, **kwargs)

    def train_new_from_iterator(
        self,
        text_iterator: Iterable[Any],
        vocab_size: int,
        length: int | None = None,
        new_special_tokens: list[str | AddedToken] | None = None,
        special_tokens_map: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> "GLMTokenizer":
        """
        Train a vocabulary of the same kind on other texts, with the same special tokens.

        A sign that these texts do not have becomes `unk_token`; byte-level vocabularies can write every sign.

        Args:
            text_iterator: The texts, or batches of texts.
            vocab_size: Number of tokens.
            length: Number of texts, for the progress bar.
            new_special_tokens: Further special tokens.
            special_tokens_map: New names of special tokens, by their old names.
            kwargs: Passed on to the trainer of the `tokenizers` library.

        Returns:
            The new tokenizer.
        """
        vocab_size = read_number(vocab_size, "vocab_size", 1)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        # SentencePiece's sign for the unknown is an ordinary piece, which the new vocabulary would lack.
        if unknown is not None and unknown not in self.added_tokens_encoder:
            names = special_tokens_map or {}
            if self.unk_token is None:
                new_special_tokens = [*(new_special_tokens or ()), unknown]
            else:
                special_tokens_map = {unknown: names.get(self.unk_token, self.unk_token), **names}
        return super().train_new_from_iterator(
            _checked(text_iterator), vocab_size, length, new_special_tokens, special_tokens_map, **kwargs
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what pickles and deep copies hold. Other threads may go on to use the tokenizer."""
        state = {name: dict(value) if type(value) is dict else value for name, value in dict(self.__dict__).items()}
        del state["_copies"]
        return state

    def __setstate__(self, state: dict[str, Any]):
        self.__dict__.update(state, _copies=BackendCopies())

    def __copy__(self) -> "GLMTokenizer":
        return self._with_backend(self._tokenizer)

    def with_cloze(self, task: Mapping[str, Any] | None) -> "GLMTokenizer":
        """
        Return a copy of this tokenizer that carries another cloze task.

        Args:
            task: The dict of a `PatternVerbalizer`, or None for no task. It is copied as well.

        Returns:
            A tokenizer that shares nothing with this one.

        Raises:
            ValueError: For a task of another type.
        """
        if task is not None and not isinstance(task, Mapping):
            raise ValueError(f"task is {shown(task)}: expected the dict of a PatternVerbalizer, or None.")
        tokenizer = copy.deepcopy(self)
        tokenizer.cloze = None if task is None else copy.deepcopy(dict(task))
        return tokenizer

    def save_pretrained(
        self,
        save_directory: str | os.PathLike,
        legacy_format: bool | None = None,
        filename_prefix: str | None = None,
        push_to_hub: bool = False,
        **kwargs: Any,
    ) -> tuple[str, ...]:
        """
        Save the tokenizer with its task to a folder. Every file is whole, also if the process is killed.

        Args:
            save_directory: Folder for the files. A missing one is created, and its other files stay.
            legacy_format, filename_prefix, push_to_hub, kwargs: As in Transformers.

        Returns:
            The paths of the files.

        Raises:
            OSError: If a file cannot be written, or `save_directory` is a file. The message names the path.
        """
        options = {"legacy_format": legacy_format, "filename_prefix": filename_prefix, **kwargs}
        if push_to_hub:  # Transformers uploads what is newer than before in the folder itself
            return super().save_pretrained(save_directory, push_to_hub=True, **options)
        with staging_folder(save_directory, inside=True) as staging:
            saved = super().save_pretrained(staging, **options)
            # Whoever finds a vocabulary finds the other files too.
            save_through(save_directory, staging, last="tokenizer.json")
        return tuple(os.path.join(save_directory, os.path.relpath(name, staging)) for name in saved)

    def _save_pretrained(
        self, save_directory: str, file_names: tuple[str, ...], *args: Any, **kwargs: Any
    ) -> tuple[str, ...]:
        saved = super()._save_pretrained(save_directory, file_names, *args, **kwargs)
        if self.cloze is None:
            return saved
        path = Path(save_directory) / CLOZE_FILE
        write_whole(path, json.dumps(self.cloze, indent=2, ensure_ascii=False) + "\n")
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

    # --- Special tokens that are changed later ---

    def __setattr__(self, key: str, value: Any):
        if key == "_tokenizer":
            self.__dict__["_copies"] = BackendCopies()
        name = key.removesuffix("_id")
        is_token = name in self.SPECIAL_TOKENS_ATTRIBUTES and self.__dict__.get("_is_built", False)
        if is_token and value is None and name in NEEDED_TOKENS:
            raise ValueError(f"{key}=None: GLM needs this token. Set it to another token instead.")
        super().__setattr__(key, value)
        if key == "extra_special_tokens" and self.__dict__.get("_is_built", False):
            self.add_tokens([AddedToken(str(token), special=True) for token in self._extra_special_tokens])
        if not is_token:
            return
        token = self._special_tokens_map[name]
        if token is not None:
            self._special_tokens_map[name] = token = self._as_special_token(name, token)
            self.add_tokens([token], special_tokens=True)
        self.init_kwargs[name] = token
        self.update_post_processor()

    def _as_special_token(self, name: str, token: str | AddedToken) -> AddedToken:
        """Say how texts are searched for a token: as before if it is known, and a mask token takes its white space."""
        if isinstance(token, str):
            known = {added.content: added for added in self.added_tokens_decoder.values()}.get(token)
            token = AddedToken(
                token,
                single_word=known is not None and known.single_word,
                lstrip=name in MASK_TOKENS or (known is not None and known.lstrip),
                rstrip=known is not None and known.rstrip,
                normalized=known is not None and known.normalized,
            )
        token.special = True
        return token

    def add_special_tokens(
        self,
        special_tokens_dict: Mapping[str, str | AddedToken | Sequence[str | AddedToken]],
        replace_extra_special_tokens: bool = True,
    ) -> int:
        """
        Set special tokens, and add those that the vocabulary lacks.

        Texts are read with them at once. A new mask token takes the white space on its left with it.

        Args:
            special_tokens_dict: The token of each name ("eos_token", "gmask_token", ...); "extra_special_tokens" has a
                list of further ones.
            replace_extra_special_tokens: Whether that list replaces the one that the tokenizer has.

        Returns:
            How many tokens the vocabulary gained. If any, call `model.resize_token_embeddings(len(tokenizer))`.
        """
        before = len(self)
        tokens = {
            name: self._as_special_token(name, token)
            if name in self.SPECIAL_TOKENS_ATTRIBUTES and isinstance(token, str)
            else token
            for name, token in special_tokens_dict.items()
        }
        super().add_special_tokens(tokens, replace_extra_special_tokens)
        return len(self) - before

    # --- What stands around a text ---

    @property
    def add_prefix_space(self) -> bool:
        """Whether a text without white space in front is read as if it started with a space. It can be set."""
        return has_prefix_space(self._tokenizer)

    @add_prefix_space.setter
    def add_prefix_space(self, value: bool):
        if self.__dict__.get("_is_built", False):  # the base class sets its default earlier
            set_prefix_space(self._tokenizer, bool(value))

    @staticmethod
    def _leaves_texts_open(backend: Tokenizer, tokens: Mapping[str, Any]) -> bool:
        """Return whether a backend was saved with `add_eos_token=False`."""
        if not isinstance(backend.post_processor, processors.TemplateProcessing):
            return False
        state = json.loads(backend.post_processor.__getstate__())
        single, pair = ([next(iter(part.values()))["id"] for part in state[name]] for name in ("single", "pair"))
        start, between = (
            str(tokens[name]) for name in ("cls_token", "sep_token" if tokens.get("sep_token") else "eos_token")
        )
        return single == [start, "A"] and pair == [start, "A", between, "B"]

    def _template(self, closed: bool) -> processors.TemplateProcessing:
        """Return what surrounds a text and a pair of texts, with or without the end of a text."""
        start, between, end = self.cls_token, self.sep_token or self.eos_token, self.eos_token
        used = {start, between, end} if closed else {start, between}
        return processors.TemplateProcessing(
            single=f"{start} $A" + f" {end}" * closed,
            pair=f"{start} $A:0 {between}:0 $B:1" + f" {end}:1" * closed,
            special_tokens=[(token, self.convert_tokens_to_ids(token)) for token in sorted(used)],
        )

    def update_post_processor(self):
        """Tell the backend which special tokens surround a text and a pair of texts."""
        self._tokenizer.post_processor = self._template(closed=self.add_eos_token)

    # --- Texts to ids ---

    def _get_padding_truncation_strategies(
        self, padding: Any = False, truncation: Any = None, max_length: Any = None, **kwargs: Any
    ) -> Any:
        if max_length is not None:
            max_length = read_number(max_length, "max_length", 0)
        if kwargs.get("pad_to_multiple_of") is not None:
            kwargs["pad_to_multiple_of"] = read_number(kwargs["pad_to_multiple_of"], "pad_to_multiple_of", 1)
        return super()._get_padding_truncation_strategies(padding, truncation, max_length, **kwargs)

    @property
    def backend_tokenizer(self) -> Tokenizer:
        """The tokenizer of the `tokenizers` library. Its truncation and padding are not used; give them to a call."""
        self._copies.may_get_tokens = True
        return self._tokenizer

    def _encode_plus(
        self,
        text: Any,
        text_pair: Any = None,
        add_special_tokens: bool = True,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        truncation_strategy: TruncationStrategy = TruncationStrategy.DO_NOT_TRUNCATE,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | TensorType | None = None,
        return_overflowing_tokens: bool = False,
        split_special_tokens: bool | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        if kwargs.get("sanitize_control_tokens"):  # a chat, which the library encodes part by part
            given = {name: value for name, value in locals().items() if name not in ("self", "kwargs", "__class__")}
            library = super()._encode_plus.__func__
            return self._copies.use(
                self._tokenizer, lambda copied: library(self._with_backend(copied), **given, **kwargs)
            )
        single, rows = read_texts(text, text_pair, is_split_into_words)
        split = self.split_special_tokens if split_special_tokens is None else bool(split_special_tokens)
        options = {"add_special_tokens": add_special_tokens, "is_pretokenized": is_split_into_words}
        truncation = None
        if truncation_strategy != TruncationStrategy.DO_NOT_TRUNCATE:
            truncation = self._truncation(truncation_strategy, max_length, stride, rows, add_special_tokens)
        try:
            encodings, is_open = self._encode_rows(rows, split, truncation, options)
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            check_texts(rows, single, is_split_into_words)
            if truncation is None or isinstance(error, ValueError):
                raise
            raise ValueError(
                f"truncation={truncation['strategy']!r} cannot cut to max_length={max_length}: the text that it cuts is too "
                "short or missing. Use truncation=True, or raise max_length."
            ) from error
        if truncation is not None and not return_overflowing_tokens:
            for number, encoding in enumerate(encodings):
                if self._was_cut_at_blanks(encoding):
                    parts = rows[number] if isinstance(rows[number], tuple) else (rows[number],)
                    whole, _ = self._encode_rows(parts, split, None, {**options, "add_special_tokens": False})
                    kept = self._cut_around_blanks(whole, encoding, number, max_length)
                    template = self._template(closed=self.add_eos_token and not is_open[number])
                    encodings[number] = template.process(*kept, add_special_tokens=add_special_tokens)
        if padding_strategy != PaddingStrategy.DO_NOT_PAD:
            fixed = max_length if padding_strategy == PaddingStrategy.MAX_LENGTH else None
            self._pad_encodings(encodings, fixed, pad_to_multiple_of or 1, padding_side)
        return self._as_batch(encodings, single, max_length, return_tensors, return_overflowing_tokens, **kwargs)

    def _truncation(
        self, strategy: TruncationStrategy, max_length: Any, stride: Any, rows: Sequence[TextRow], special: bool
    ) -> dict[str, Any]:
        """Return the backend's settings of truncation. Raises a ValueError for numbers that leave no room."""
        around = 0
        if special:
            around = self.num_special_tokens_to_add(pair=any(isinstance(row, tuple) for row in rows))
        most = read_number(max_length, "max_length", 0)
        if most < around:
            raise ValueError(
                f"max_length={most}: there are {around} special tokens around a text. Expected at least {around}, or "
                "add_special_tokens=False."
            )
        if read_number(stride, "stride", 0) and stride >= most - around:
            raise ValueError(
                f"stride={stride} with max_length={most} and {around} special tokens: expected less than "
                f"{most - around}, the tokens of a window."
            )
        return {"max_length": most, "stride": stride, "strategy": strategy.value, "direction": self.truncation_side}

    def _encode_rows(
        self, rows: Sequence[TextRow], split: bool, truncation: dict[str, Any] | None, options: dict[str, bool]
    ) -> tuple[list[Encoding], list[bool]]:
        """
        Encode rows of texts, and cut them.

        A text that ends with [gMASK] has no end, and is cut on the left: the model continues it. The backend must know
        that before it cuts, so the two kinds of texts are encoded apart.

        Returns:
            The encodings, and for each row whether it has no end.
        """
        gmask = self._special_tokens_map.get("gmask_token")  # faster than the attribute
        is_open = [gmask is not None and _may_end_with(row, str(gmask)) for row in rows]
        if not any(is_open):
            return self._call_backend(rows, split, truncation, None, options), is_open
        left = None if truncation is None else {**truncation, "direction": "left"}
        opened = [row for row, may in zip(rows, is_open, strict=True) if may]
        found = iter(self._call_backend(opened, split, left, self._template(closed=False), options))
        encodings = [next(found) if may else None for may in is_open]
        # "[gMASK] " ends with a space, and split_special_tokens knows no [gMASK]: such a text has an end after all.
        is_open = [encoding is not None and encoding.ids[-1:] == [self.gmask_token_id] for encoding in encodings]
        closed = [row for row, is_so in zip(rows, is_open, strict=True) if not is_so]
        found = iter(self._call_backend(closed, split, truncation, None, options) if closed else ())
        return [
            encoding if is_so else next(found) for encoding, is_so in zip(encodings, is_open, strict=True)
        ], is_open

    def _call_backend(
        self,
        rows: Sequence[TextRow],
        split: bool,
        truncation: dict[str, Any] | None,
        surroundings: processors.PostProcessor | None,
        options: dict[str, bool],
    ) -> list[Encoding]:
        """Encode with the backend as it is, or with a copy that has these settings."""
        backend = self._tokenizer
        is_plain = truncation is None and surroundings is None and backend.encode_special_tokens == split
        if is_plain and backend.truncation is None and backend.padding is None:
            return backend.encode_batch(rows, **options)

        def encode(copied: Tokenizer) -> list[Encoding]:
            copied.encode_special_tokens = split
            if truncation is None:
                copied.no_truncation()
            else:
                copied.enable_truncation(**truncation)
            if surroundings is not None:
                copied.post_processor = surroundings
            return copied.encode_batch(rows, **options)

        return self._copies.use(backend, encode)

    def _with_backend(self, backend: Tokenizer) -> "GLMTokenizer":
        """Return a tokenizer of the same settings for one call, which may change them and the backend."""
        tokenizer = object.__new__(type(self))
        tokenizer.__dict__.update(self.__dict__, _tokenizer=backend)
        return tokenizer

    def _was_cut_at_blanks(self, encoding: Encoding) -> bool:
        """Return whether a text was cut that has blanks anywhere."""
        cut_off = encoding.overflowing
        blanks = set(self.mask_token_ids)
        return bool(cut_off) and any(not blanks.isdisjoint(part.ids) for part in (encoding, *cut_off))

    def _cut_around_blanks(
        self, whole: Sequence[Encoding], cut: Encoding, row: int, max_length: int | None
    ) -> list[Encoding]:
        """Cut a text or a pair to the lengths that it was cut to, but around its blanks."""
        kept = []
        for number, encoding in enumerate(whole):
            room = cut.sequence_ids.count(number)
            is_blank = [token_id in self.mask_token_ids for token_id in encoding.ids]
            places = keep_around_blanks(is_blank, room, self.truncation_side)
            if places is None:
                raise ValueError(
                    f"Text {row} has {sum(is_blank)} blanks, but cutting it to max_length={max_length} leaves room for "
                    f"{room} of its tokens: a blank would be lost. Raise max_length, or use fewer blanks."
                )
            kept.append(take_tokens(encoding, places))
        return kept

    def _as_batch(
        self,
        encodings: Sequence[Encoding],
        single: bool,
        max_length: int | None,
        return_tensors: str | TensorType | None,
        return_overflowing_tokens: bool,
        verbose: bool = True,
        **kwargs: Any,
    ) -> BatchEncoding:
        """Collect encodings in the fields that the caller wants, as the base class does."""
        fields = {name: kwargs[name] for name in RETURNED_FIELDS if name in kwargs}
        converted = [
            self._convert_encoding(encoding, return_overflowing_tokens=return_overflowing_tokens, **fields)
            for encoding in encodings
        ]
        data = {name: [values for row, _ in converted for values in row[name]] for name in converted[0][0]}
        if return_overflowing_tokens:
            data["overflow_to_sample_mapping"] = [
                number for number, (_, windows) in enumerate(converted) for _ in windows
            ]
        for ids in data["input_ids"]:
            self._eventual_warn_about_too_long_sequence(ids, max_length, verbose)
        if single and return_tensors is None and not return_overflowing_tokens:
            data = {name: values[0] if isinstance(values[0], list) else values for name, values in data.items()}
        windows = [window for _, windows in converted for window in windows]
        return BatchEncoding(data, windows, tensor_type=return_tensors)

    def _pad_encodings(self, encodings: Sequence[Encoding], fixed: int | None, multiple: int, side: str | None):
        """Pad encodings in place to a fixed length or to the longest, and to a multiple of `multiple`."""
        length = max(map(len, encodings)) if fixed is None else fixed
        length = -(-length // multiple) * multiple  # 9 for a multiple of 4 -> 12
        side = side or self.padding_side
        if side not in ("left", "right"):
            raise ValueError(f"padding_side={side!r}: expected 'left' or 'right'.")
        settings = {
            "direction": side,
            "pad_id": self.pad_token_id,
            "pad_token": self.pad_token,
            "pad_type_id": self.pad_token_type_id,
        }
        for encoding in encodings:
            encoding.pad(length, **settings)

    def pad(
        self,
        encoded_inputs: Any,
        padding: Any = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        **kwargs: Any,
    ) -> BatchEncoding:
        """
        Pad rows to one length, as the library does.

        Args:
            encoded_inputs: The rows: a dict with a list for each name, or a list of dicts.
            padding, max_length, pad_to_multiple_of, kwargs: As in the library.

        Raises:
            ValueError: For no rows, rows without ids, and masks of another length than the ids.
        """
        if pad_to_multiple_of is not None:
            pad_to_multiple_of = read_number(pad_to_multiple_of, "pad_to_multiple_of", 1)
        name = self.model_input_names[0]
        try:
            check_lengths(encoded_inputs, name)
            return super().pad(encoded_inputs, padding, max_length, pad_to_multiple_of, **kwargs)
        except (TypeError, AttributeError, KeyError, IndexError, AssertionError, RuntimeError):
            check_padding(encoded_inputs, name)
            raise

    # --- Ids to texts ---

    def _decode(self, token_ids: Any, skip_special_tokens: bool = False, **kwargs: Any) -> str:
        try:
            if not (isinstance(token_ids, bool) or (isinstance(token_ids, list) and bool in map(type, token_ids[:1]))):
                return self._decode_ids(token_ids, skip_special_tokens, **kwargs)
        except (TypeError, OverflowError):
            pass
        check_decodable(token_ids["input_ids"] if isinstance(token_ids, Mapping) else token_ids)
        return self._decode_ids(token_ids, skip_special_tokens, **kwargs)  # the error is another one

    def _decode_ids(self, token_ids: Any, skip_special_tokens: bool, **kwargs: Any) -> str:
        # The ids of pieces alone are answers: one per line, and the prompt that they are added to is filled.
        if skip_special_tokens and isinstance(token_ids, list | tuple) and [*token_ids[:1]] == [self.sop_token_id]:
            return PiecesText(self, token_ids)
        added = {index: token for index, token in self.added_tokens_decoder.items() if self._is_literal(token.content)}
        ids = [token_ids] if isinstance(token_ids, int) else token_ids
        if not added or isinstance(ids, dict) or added.keys().isdisjoint(ids):
            return super()._decode(token_ids, skip_special_tokens=skip_special_tokens, **kwargs)
        decode = partial(super()._decode, skip_special_tokens=skip_special_tokens, **kwargs)
        literals = {
            index: "" if skip_special_tokens and token.special else token.content for index, token in added.items()
        }
        runs = groupby(ids, literals.__contains__)
        return "".join(
            "".join(literals[token_id] for token_id in run) if is_literal else decode(list(run))
            for is_literal, run in runs
        )

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """
        Look up the tokens of ids. An id that no token has gives None.

        Args:
            ids: An id, or a row of them.
            skip_special_tokens: Whether to leave special tokens out.

        Raises:
            ValueError: For what is not a whole number from 0 on.
        """
        single = isinstance(ids, int) or getattr(ids, "ndim", 1) == 0
        checked = [read_id(ids, "ids")] if single else read_ids(ids, "ids")
        if checked and not 0 <= min(checked) <= max(checked) <= LARGEST_ID:
            raise ValueError(f"ids has {min(checked)} to {max(checked)}: expected ids from 0 to {LARGEST_ID}.")
        return super().convert_ids_to_tokens(checked[0] if single else checked, skip_special_tokens)

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """
        Look up the ids of tokens. A token that the vocabulary lacks has that of `unk_token`, or None.

        Args:
            tokens: A token, or several.

        Raises:
            ValueError: For what is not a string.
        """
        try:
            return super().convert_tokens_to_ids(tokens)
        except (TypeError, UnicodeEncodeError):
            for place, token in enumerate([tokens] if isinstance(tokens, str) else read_several(tokens, "tokens")):
                check_text(token, f"tokens: token {place}")
            raise

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Join tokens to a text. Added tokens are shown as they are written."""
        tokens = read_several(tokens, "tokens")
        for place, token in enumerate(tokens):
            check_text(token, f"tokens: token {place}")
        convert = super().convert_tokens_to_string
        literal = {token for token in self.added_tokens_encoder if self._is_literal(token)}
        runs = groupby(tokens, literal.__contains__)
        return "".join("".join(run) if is_literal else convert(list(run)) for is_literal, run in runs)

    def _is_literal(self, token: str) -> bool:
        """
        Return whether a byte-level decoder would take an added token for bytes.

        Such a token has no letters but signs for bytes: "naïve" stands in texts as it is, but its "ï" is also the sign
        of one byte, which is not a letter.
        """
        decoder = self._tokenizer.decoder
        if token.isascii() or decoder is None or b"ByteLevel" not in decoder.__getstate__():
            return False
        return decoder.decode([token]) != token

    def _add_tokens(self, new_tokens: Sequence[str | AddedToken], special_tokens: bool = False) -> int:
        known = {token.content for token in self.added_tokens_decoder.values()}
        for token in map(str, new_tokens):
            if token not in known and self._tokenizer.token_to_id(token) is not None and self._is_literal(token):
                raise ValueError(
                    f"The token {token!r} cannot be added: this vocabulary has it as its sign for bytes of other letters, "
                    f"so texts with one of the two could not be decoded. Add a longer one, such as {f'<{token}>'!r}."
                )
        try:
            return super()._add_tokens(new_tokens, special_tokens=special_tokens)
        finally:
            self._copies.drop()

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

        Raises:
            ValueError: For another shape, and for ids that are not whole numbers.
        """
        return [decode_row(self, row) for row in read_id_rows(sequences, "sequences")]

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
        return fill_with_offsets(self, text, read_several(answers, "answers"))

    def fill_some(self, text: str, answers: Mapping[int, str]) -> str:
        """
        Fill some blanks of a text.

        Args:
            text: A text with mask tokens.
            answers: The answer of a blank, by its number, counted from 0.

        Raises:
            ValueError: If the text has no blank of a number.
        """
        if not isinstance(answers, Mapping):
            raise ValueError(f"answers is {shown(answers)}: expected a dict of the number of a blank and its answer.")
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
            self._require_blanks(input_ids, attention_mask, [1] * len(input_ids))
            starts = input_ids.new_full((len(input_ids), 1), self.sop_token_id)
            return BatchEncoding(
                {
                    "input_ids": torch.cat((input_ids, starts), dim=1),
                    "attention_mask": torch.cat((attention_mask, torch.ones_like(starts)), dim=1),
                }
            )

        if max_gen_length is not None or padding:
            max_gen_length = read_number(max_gen_length, "max_gen_length", 1)
        targets = [targets] if isinstance(targets, str) else read_several(targets, "targets")
        if len(targets) != len(input_ids):
            raise ValueError(f"There are {len(input_ids)} texts, but targets for {len(targets)}.")
        targets = [
            [target] if isinstance(target, str) else read_several(target, f"targets[{row}]")
            for row, target in enumerate(targets)
        ]
        for row, of_text in enumerate(targets):
            for blank, target in enumerate(of_text):
                check_text(target, f"targets[{row}][{blank}]")
        self._require_blanks(input_ids, attention_mask, [len(row) for row in targets])
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
        if max_length is not None:
            max_length = read_number(max_length, "max_length", 1)
        choices = read_several(choices, "choices")
        if len(choices) != len(input_ids):
            raise ValueError(f"There are {len(input_ids)} texts, but choices for {len(choices)}.")
        self._require_blanks(input_ids, attention_mask, [1] * len(input_ids))
        encoded = []
        for row, texts in enumerate(choices):
            if isinstance(texts, str) or not isinstance(texts, Iterable) or not (listed := list(texts)):
                raise ValueError(f"choices[{row}] is {shown(texts)}: expected a list with at least one choice.")
            for index, choice in enumerate(listed):
                check_text(choice, f"choices[{row}][{index}]")
            encoded.append([self._encode_bare(choice)[:max_length] for choice in listed])
            if [] in encoded[-1]:
                raise ValueError(
                    f"choices[{row}][{encoded[-1].index([])}] is empty: a choice needs at least one token."
                )
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
        """Return ids and mask. Raises a ValueError for what the tokenizer never returns."""
        input_ids = inputs.get("input_ids") if isinstance(inputs, Mapping | BatchEncoding) else None
        if not isinstance(input_ids, torch.Tensor) or input_ids.ndim != 2:
            found = f"shape {tuple(input_ids.shape)}" if isinstance(input_ids, torch.Tensor) else shown(input_ids)
            raise ValueError(
                f"inputs must hold tensors (batch, seq): call the tokenizer with return_tensors='pt'. Its input_ids: {found}."
            )
        check_id_table(input_ids, "input_ids of inputs")
        input_ids = input_ids.long()
        if not len(input_ids):
            raise ValueError(f"input_ids of inputs has shape {tuple(input_ids.shape)}: expected at least one text.")
        attention_mask = inputs.get("attention_mask")
        if attention_mask is None:
            return input_ids, torch.ones_like(input_ids)
        if not isinstance(attention_mask, torch.Tensor) or attention_mask.shape != input_ids.shape:
            is_tensor = isinstance(attention_mask, torch.Tensor)
            found = f"has shape {tuple(attention_mask.shape)}" if is_tensor else f"is {shown(attention_mask)}"
            raise ValueError(
                f"attention_mask of inputs {found}: expected a tensor of shape {tuple(input_ids.shape)}, as input_ids has."
            )
        return input_ids, attention_mask

    def _require_blanks(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, numbers: list[int]):
        """Raise a ValueError for a text with too few blanks. What the mask hides is none."""
        is_blank = torch.isin(input_ids, input_ids.new_tensor(self.mask_token_ids)) & (attention_mask != 0)
        blanks = is_blank.sum(-1).tolist()
        for row, (found, needed) in enumerate(zip(blanks, numbers, strict=True)):
            if found < max(needed, 1):
                raise ValueError(
                    f"Text {row} has {found} blanks, but {max(needed, 1)} are to be filled: write a mask token "
                    f"({self.mask_token}) for each of them. Where a text was cut, a blank may be lost: truncation=True keeps "
                    "them."
                )


__all__ = ["GLMTokenizer"]
