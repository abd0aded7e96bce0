"""
The layout of a GLM input (paper section 2.1): its parts, their 2D positions, and who may attend to whom.

Part A is the text with its blanks. Part B has the pieces that fill them.

Everything follows from the ids. With `M` a mask token and `S` the start of a piece:

    ids     [CLS] a  M  b  M  <eos>  S  x  y  S  z
    part A    1   1  1  1  1    1    .  .  .  .  .
    piece     0   0  0  0  0    0    1  1  1  2  2
    row 0     0   1  2  3  4    5    2  2  2  4  4      place in the text, or that of the blank
    row 1     0   0  0  0  0    0    1  2  3  1  2      place in the piece
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional as F
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, BlockMask, create_causal_mask

from .configuration_glm import GLMConfig
from .inputs_glm import check_positions, is_readable, is_traced, require_everywhere


def real_tokens(tokens: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
    """Mark what is not padding: (batch, seq) bool, True everywhere without a mask."""
    return torch.ones_like(tokens, dtype=torch.bool) if attention_mask is None else attention_mask != 0


def own_padding_mask(attention_mask: torch.Tensor | BlockMask | None, length: int) -> torch.Tensor | None:
    """
    Take the part of a mask that marks padding among the last `length` tokens, because a mask covers what a cache holds, too.

    Returns:
        (batch, length), or None if the mask does not have two dimensions.
    """
    if not isinstance(attention_mask, torch.Tensor) or attention_mask.ndim != 2:
        return None
    return attention_mask[:, -length:]


def is_any_of(input_ids: torch.Tensor, token_ids: Sequence[int]) -> torch.Tensor:
    """Mark where `input_ids` holds one of `token_ids`: a bool tensor of the same shape."""
    if not token_ids:
        return torch.zeros_like(input_ids, dtype=torch.bool)
    found = input_ids == token_ids[0]
    for token_id in token_ids[1:]:
        found = found | (input_ids == token_id)
    return found


class Parts(NamedTuple):
    """
    Say what every token of a batch is. All tensors are (batch, seq).

    Attributes:
        real: bool, False for padding.
        starts: bool, the starts of pieces.
        piece: int64, 0 in Part A, k from the k-th start of piece on.
        blanks: bool, the mask tokens of Part A. In Part B they are ordinary tokens.
    """

    real: torch.Tensor
    starts: torch.Tensor
    piece: torch.Tensor
    blanks: torch.Tensor


def find_parts(input_ids: torch.Tensor, config: GLMConfig, attention_mask: torch.Tensor | None = None) -> Parts:
    """
    Find the blanks and the pieces.

    All that reads them uses this function: the model, its losses and `generate`. So a token that the mask hides is
    neither a blank nor a start, for any of them.

    Args:
        input_ids: (batch, seq) ids.
        config: Gives the ids of the masks and of the start of a piece. Without the latter everything is Part A.
        attention_mask: (batch, seq), 0 for padding. None where nothing is padding.
    """
    real = real_tokens(input_ids, attention_mask)
    starts = torch.zeros_like(real) if config.sop_token_id is None else input_ids == config.sop_token_id
    blanks = is_any_of(input_ids, config.mask_token_ids)
    if attention_mask is not None:
        starts, blanks = starts & real, blanks & real
    piece = starts.cumsum(-1)
    return Parts(real, starts, piece, blanks & (piece == 0))


def find_ends(input_ids: torch.Tensor, parts: Parts, end_token_ids: Sequence[int]) -> torch.Tensor:
    """
    Mark the tokens that end the running piece, the last of its row: (batch, seq) bool.

    Args:
        input_ids: (batch, seq) int64.
        parts: What `find_parts` found in them.
        end_token_ids: The tokens that end a piece.
    """
    last = parts.piece[:, -1:]
    return is_any_of(input_ids, end_token_ids) & (parts.piece == last.clamp(min=1))


def compute_position_ids(
    input_ids: torch.Tensor, config: GLMConfig, attention_mask: torch.Tensor | None = None
) -> torch.Tensor:
    """
    Compute the 2D positions (paper section 2.2.1) of a whole input.

    Padding is skipped anywhere, so it never changes the positions of other tokens. A piece beyond the number of blanks
    gets the position of the last blank, or 0 in a text without blanks.

    Args:
        input_ids: (batch, seq) ids of Part A and, behind it, Part B.
        config: Gives the ids of the masks and of the start of a piece.
        attention_mask: (batch, seq), 0 for padding.

    Returns:
        (batch, 2, seq) int64: row 0 the position in Part A (of the token itself, or of the blank that it fills), row 1
        the position within the piece, counted from 1, and 0 in Part A.
    """
    return positions_of(find_parts(input_ids, config, attention_mask))


def positions_of(parts: Parts) -> torch.Tensor:
    """Compute the 2D positions of a whole input from its parts: see `compute_position_ids`."""
    real, starts, piece, blanks = parts
    count = real.cumsum(-1)
    context = piece == 0
    own_position = (count - 1).clamp(min=0)

    # Blank k writes its position into column k; column 0 takes everything else. Then piece k reads column k.
    # With blanks at positions 2 and 4: of_blank = [0 2 4 0 ...], and pieces [1 1 1 2 2] read [2 2 2 4 4].
    number = blanks.cumsum(-1) * blanks
    of_blank = own_position.new_zeros(real.shape[0], real.shape[1] + 1)
    of_blank = of_blank.scatter(1, number, torch.where(blanks, own_position, 0))
    last_number = blanks.sum(-1, keepdim=True)  # 0 in a text without blanks, and column 0 holds 0
    row0 = torch.where(context, own_position, of_blank.gather(1, torch.minimum(piece, last_number)))

    # In the same way start k writes the number of real tokens up to it into column k, and piece k reads it. With 6 tokens
    # of Part A, then pieces of 3 and 2 tokens: count [7 8 9 10 11], before [7 7 7 10 10], row 1 [1 2 3 1 2]. (A cumulative
    # maximum would be shorter, but has no form in ONNX.)
    before = (
        torch.zeros_like(of_blank)
        .scatter(1, torch.where(starts, piece, 0), torch.where(starts, count, 0))
        .gather(1, piece)
    )
    row1 = torch.where(context, 0, count - before + 1)
    return torch.stack((row0, row1), dim=1)


def complete_position_ids(
    position_ids: torch.Tensor | None,
    config: GLMConfig,
    input_ids: torch.Tensor | None,
    inputs_embeds: torch.Tensor | None = None,
    attention_mask: torch.Tensor | BlockMask | None = None,
    past_key_values: Cache | None = None,
) -> torch.Tensor:
    """
    Bring the positions given to the shape (batch, 2, seq), or compute them.

    Args:
        position_ids: (batch, 2, seq) or (1, 2, seq); (batch, seq) too for models without block positions. None to
            compute them.
        config: The model's config.
        input_ids: (batch, seq). It may be None where (batch, 2, seq) positions are given.
        inputs_embeds: (batch, seq, hidden) where there are no ids.
        attention_mask: A mask of shape (batch, seq) marks padding. Others are not read.
        past_key_values: Must be empty where positions are computed.

    Raises:
        ValueError: for positions of another shape, and for a cache without positions that continue it.
    """
    shape = input_ids.shape if input_ids is not None else inputs_embeds.shape[:2]  # type: ignore[union-attr]
    if position_ids is None:
        if past_key_values is not None and not is_empty(past_key_values):
            raise ValueError(
                f"past_key_values holds {int(past_key_values.get_seq_length())} tokens, whose blanks the new tokens "
                "cannot know: give position_ids of shape (batch, 2, seq) for the new tokens. Behind virtual tokens (prefix "
                "tuning) every row must be a whole text that begins with the token config.cls_token_id."
            )
        assert input_ids is not None
        is_padding = isinstance(attention_mask, torch.Tensor) and attention_mask.ndim == 2
        return compute_position_ids(input_ids, config, attention_mask if is_padding else None)  # type: ignore[arg-type]
    if position_ids.ndim == 2 and not config.block_position_embeddings:
        # Without block positions only row 0 has a table. Row 1 still tells Part A from Part B.
        assert input_ids is not None
        if not is_traced() and position_ids.shape not in (shape, (1, shape[1])):
            raise ValueError(
                f"position_ids has shape {tuple(position_ids.shape)}: expected (batch, seq) = {tuple(shape)}, or (batch, 2, "
                "seq), because this model has no block positions."
            )
        position_ids = position_ids.expand(shape[0], -1)
        piece = find_parts(input_ids, config, own_padding_mask(attention_mask, shape[1])).piece
        position_ids = torch.stack((position_ids, piece), dim=1)
    check_positions(position_ids, *shape)
    return position_ids.expand(shape[0], -1, -1)


def number_texts(position_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
    """
    Number the texts that are packed into one row, by their positions. A token of Part A opens a new text unless it
    stands one position behind a token of Part A.

        row 0   0 1 2 1 1  0 1 2 3 2
        row 1   0 0 0 1 2  0 0 0 0 1
        text    1 1 1 1 1  2 2 2 2 2

    Args:
        position_ids: (batch, 2, seq).
        attention_mask: (batch, seq), 0 for padding, which belongs to no text and opens none.

    Returns:
        (batch, seq) int64, the number of the text, counted from 1.
    """
    row0, row1 = position_ids.unbind(1)
    real = real_tokens(row0, attention_mask)
    index = torch.arange(row0.shape[1], device=row0.device).expand_as(row0)
    previous = index - 1
    if attention_mask is not None:
        # The index of the last real token before each place, -1 for none. With real [1 0 0 1]: [-1 0 0 0]. Real token k
        # writes its index into column k, and column 0 holds -1. Then each place reads the column of the token before it.
        count = real.cumsum(-1)
        of_token = F.pad(torch.full_like(index, -1), (1, 0), value=-1)
        of_token = of_token.scatter(1, torch.where(real, count, 0), torch.where(real, index, -1))
        previous = of_token.gather(1, count - real.long())
    follows = (row0.gather(1, previous.clamp(min=0)) + 1 == row0) & (row1.gather(1, previous.clamp(min=0)) == 0)
    opens = real & (row1 == 0) & ((previous < 0) | ~follows)
    return opens.cumsum(-1)


def glm_mask_function(
    context: torch.Tensor,
    text: torch.Tensor | None = None,
    branch: torch.Tensor | None = None,
    virtual_keys: int = 0,
) -> Callable:
    """
    Make the attention of GLM (paper section 2.1.1, Figure 2) as a mask function of Transformers.

    All tokens see Part A of their text. Part B also sees the tokens before it. With branches (continuations side by
    side), a branch sees branch 0 and itself.

    Args:
        context: (batch, keys) bool, True in Part A.
        text: (batch, keys) number of the text in a packed row.
        branch: (batch, keys) number of the branch, 0 for what all branches share.
        virtual_keys: How many keys in front are virtual tokens, which all tokens see.

    Returns:
        A function of the indices of batch, head, query and key, which returns whether the query sees the key.
    """

    def may_attend(batch: torch.Tensor, head: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        behind = key <= query
        if branch is not None:
            key_branch = branch[batch, key]
            behind = behind & ((key_branch == 0) | (key_branch == branch[batch, query]))
        allowed = context[batch, key] | behind
        if text is not None:
            allowed = allowed & (text[batch, key] == text[batch, query])
        return allowed | (key < virtual_keys) if virtual_keys else allowed

    return may_attend


def create_glm_mask(
    config: PreTrainedConfig,
    inputs_embeds: torch.Tensor,
    attention_mask: torch.Tensor | None,
    position_ids: torch.Tensor,
    past_key_values: Cache | None = None,
    packed: bool = False,
    branch: torch.Tensor | None = None,
    virtual_keys: int = 0,
) -> torch.Tensor | BlockMask | None:
    """
    Create the attention mask in the form that the attention function needs: bool for SDPA, additive for eager,
    BlockMask for flex attention. None means that all may attend to all.

    Args:
        config: The model's config.
        inputs_embeds: (batch, seq, hidden); only shape, dtype and device are read.
        attention_mask: (batch, keys) padding; or a 4D mask (bool or 0/1, True = may attend) that broadcasts to
            (batch, heads, seq, keys) and replaces everything else. A mask that Transformers prepared (additive or a
            BlockMask) is returned as it is.
        position_ids: (batch, 2, seq).
        past_key_values: If it holds keys already, the tokens given must continue Part B.
        packed: Whether a row may hold several texts, which then do not see each other.
        branch: (batch, seq), see `glm_mask_function`.
        virtual_keys: How many keys the cache holds that belong to no text. All tokens see them.

    Raises:
        ValueError: for a 4D mask of 0/1 floats, and for Part A or branches behind a cache.
    """
    if attention_mask is not None and (not isinstance(attention_mask, torch.Tensor) or attention_mask.ndim == 4):
        return _convert_given_mask(config, inputs_embeds, attention_mask)
    if past_key_values is not None and not virtual_keys and not is_empty(past_key_values):
        if branch is not None:
            raise ValueError("branch needs the whole input: give no past_key_values that holds tokens already.")
        if is_readable(position_ids) and (position_ids[:, 1] == 0).any():
            raise ValueError(
                "past_key_values holds tokens already, and row 1 of position_ids says that more of Part A follows. Part A "
                "is read in both directions, so give it at once. Behind a cache row 1 must be 1 or more."
            )
        return create_causal_mask(config, inputs_embeds, attention_mask, past_key_values)

    length = inputs_embeds.shape[1]
    keys = virtual_keys + length
    if past_key_values is not None:
        keys, _ = past_key_values.get_mask_sizes(length, 0)
    # A static cache has more keys than there are tokens; the rest is not filled yet.
    room = (virtual_keys, keys - virtual_keys - length)
    own_mask = None if attention_mask is None else attention_mask[:, virtual_keys:]
    text = number_texts(position_ids, own_mask) if packed else None
    mask_function = glm_mask_function(
        F.pad(position_ids[:, 1] == 0, room, value=False),
        None if text is None else F.pad(text, room, value=-1),
        None if branch is None else F.pad(branch, room, value=-1),
        virtual_keys,
    )
    padding = None if attention_mask is None else attention_mask != 0
    return _apply_mask_function(config, inputs_embeds, keys, mask_function, padding, virtual_keys)


def _apply_mask_function(
    config: PreTrainedConfig,
    inputs_embeds: torch.Tensor,
    keys: int,
    mask_function: Callable,
    padding: torch.Tensor | None = None,
    virtual_keys: int = 0,
) -> torch.Tensor | BlockMask | None:
    batch_size, length = inputs_embeds.shape[:2]
    implementation = config._attn_implementation
    if implementation not in ALL_MASK_ATTENTION_FUNCTIONS:
        implementation = "sdpa"  # a user's attention function without a mask function of its own gets the plain mask
    return ALL_MASK_ATTENTION_FUNCTIONS[implementation](
        batch_size=batch_size,
        q_length=length,
        kv_length=keys,
        q_offset=virtual_keys,
        mask_function=mask_function,
        attention_mask=padding,
        allow_is_causal_skip=False,
        dtype=inputs_embeds.dtype,
        config=config,
        device=inputs_embeds.device,
    )


def _convert_given_mask(
    config: PreTrainedConfig, inputs_embeds: torch.Tensor, mask: torch.Tensor | BlockMask
) -> torch.Tensor | BlockMask | None:
    """Convert a 4D bool or 0/1 mask to the form of the attention function. Masks in such a form are returned as they are."""
    if not isinstance(mask, torch.Tensor):
        return mask
    if mask.is_floating_point():
        require_everywhere(
            mask <= 0, "A 4D attention_mask of floats is added to the scores: give a bool or integer one for 0/1."
        )
        return mask
    allowed = (mask != 0).expand(inputs_embeds.shape[0], -1, inputs_embeds.shape[1], -1)
    if config._attn_implementation == "flex_attention":
        return _apply_mask_function(
            config, inputs_embeds, allowed.shape[-1], lambda batch, head, query, key: allowed[batch, 0, query, key]
        )
    # Large and finite, as in the originals: a query that may see nothing sees all alike, and nothing becomes NaN.
    masked = torch.finfo(inputs_embeds.dtype).min / 2
    return torch.zeros_like(allowed, dtype=inputs_embeds.dtype).masked_fill(~allowed, masked)


def is_empty(cache: Cache) -> bool:
    """Return whether a cache holds no tokens yet."""
    length = cache.get_seq_length()
    return bool((length == 0).all()) if isinstance(length, torch.Tensor) else bool(length == 0)
