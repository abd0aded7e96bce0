"""The tokenizer of GLM: one class on the `tokenizers` backend for every vocabulary."""

import copy
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from huggingface_hub import CommitInfo
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast
from transformers.tokenization_utils_base import LARGE_INTEGER

from .backend_copies import BackendCopies
from .building import BuildingMixin
from .id_decoding import DecodingMixin
from .inputs import (
    check_text,
    read_number,
    shown,
)
from .original_vocabularies import VOCABULARY_FILES, build_from_original_files, read_json
from .prefix_space import has_prefix_space, set_prefix_space
from .saving import save_through, staging_folder, write_whole
from .text_encoding import EncodingMixin

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


class GLMTokenizer(EncodingMixin, DecodingMixin, BuildingMixin, PreTrainedTokenizerFast):
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

    # --- Chats ---

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
            ValueError: If there is no template, and for a blank in a message that is given, which would be filled before the
                model's message.
        """
        self._require_one_message(conversation, continue_final_message, kwargs.get("add_generation_prompt"))
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

    def _require_one_message(self, conversation: Any, continues: bool | str, writes: bool | None):
        if not continues and not writes:
            return
        chats = getattr(conversation, "messages", conversation)
        several = len(chats) > 0 and not isinstance(chats[0], Mapping)
        for row, chat in enumerate(chats if several else [chats]):
            messages = getattr(chat, "messages", chat)
            for number, message in enumerate(messages[:-1] if continues else messages):
                if self._has_blank(message):
                    raise ValueError(
                        f"{f'Chat {row}, ' if several else ''}message {number} has a blank: {message}. In a chat the model "
                        "writes one message, so only that has blanks. Leave it out, or give the text without a chat."
                    )

    def _has_blank(self, message: Mapping[str, Any]) -> bool:
        return any(isinstance(value, str) and len(self.split_at_blanks(value)) > 1 for value in message.values())

    # --- Tokens that are added ---

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


__all__ = ["GLMTokenizer"]
