"""Build batches from encoded texts with the two methods that the tokenizers of the originals have."""

from collections.abc import Iterable, Mapping, Sequence

from transformers import BatchEncoding, PreTrainedTokenizerFast

from .blanks import encode_around_blanks, forms_of_answers
from .inputs import check_id_table, check_text, read_number, read_several, shown

# The hub's loader of code asks for what is imported, except in `try`. And only this mixin makes tensors.
try:  # noqa: SIM105
    import torch
except ImportError:
    pass


class BuildingMixin(PreTrainedTokenizerFast):
    """Build inputs for generation, training and multiple choice, with the signatures of the originals."""

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

    def encode_parts(self, parts: Sequence[str | Sequence[str]], max_length: int | None = None) -> list[int]:
        """
        Encode a text with blanks whose parts others wrote: no token is special in a part, a mask token neither.

        Args:
            parts: The parts of the text around its blanks, one more than there are blanks. A part may be a list of texts that
                are tokenized one by one, as the fields of a cloze pattern are.
            max_length: Most tokens of the text. A longer one is cut around its blanks. None cuts nothing.

        Returns:
            The ids of the text, with the special tokens around it.
        """
        for number, part in enumerate(parts):
            for text in [part] if isinstance(part, str) else part:
                check_text(text, f"Part {number} of the text")
        return encode_around_blanks(self, parts, max_length)

    def answer_forms(self, answers: Sequence[str]) -> list[list[tuple[int, ...]]]:
        """
        List the ids that given answers can have.

        Args:
            answers: The answers. One without white space in front stands for the word behind a space and for the word
                glued to what stands before. One with white space in front is literal.

        Returns:
            For every answer its different forms, one or two; `()` for an answer without tokens.
        """
        for number, answer in enumerate(answers):
            check_text(answer, f"Answer {number}")
        return forms_of_answers(self, answers)

    def _encode_bare(self, text: str) -> list[int]:
        return self.encode(text, add_special_tokens=False)

    def _tensors(self, inputs: BatchEncoding) -> "tuple[torch.Tensor, torch.Tensor]":
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

    def _require_blanks(self, input_ids: "torch.Tensor", attention_mask: "torch.Tensor", numbers: list[int]):
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


__all__ = ["BuildingMixin"]
