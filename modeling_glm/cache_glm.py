"""A cache that does not copy itself at every step."""

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

# Room is made for so many tokens at a time.
ROOM = 64


class GrowingLayer(DynamicLayer):
    """
    Writes new keys and values behind the old ones, into room that was made before; the library's layer copies all of them
    for every token. What it returns are views of that room, so their last two dimensions alone are contiguous.
    """

    _key_room: torch.Tensor | None = None
    _value_room: torch.Tensor | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if torch.compiler.is_compiling() or (torch.is_grad_enabled() and key_states.requires_grad):
            return super().update(key_states, value_states, *args, **kwargs)
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self._key_room, self.keys = _append(self._key_room, self.keys, key_states)
        self._value_room, self.values = _append(self._value_room, self.values, value_states)
        return self.keys, self.values

    def reset(self) -> None:
        super().reset()
        self._key_room = self._value_room = None


def _append(
    room: torch.Tensor | None, held: torch.Tensor | None, new: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The room with the new states in it, and all states as a view of it: (batch, heads, seq, head size)."""
    assert held is not None
    length = held.shape[-2] if held.numel() else 0
    total = length + new.shape[-2]
    fits = (
        room is not None
        and total <= room.shape[-2]
        and room.shape[:2] == new.shape[:2]
        # Rows that were chosen or repeated are tensors of their own.
        and (not length or (held.data_ptr(), held.stride()) == (room.data_ptr(), room.stride()))
        and room.is_inference() == torch.is_inference_mode_enabled()
    )
    if not fits:
        size = (*new.shape[:-2], -(-total // ROOM) * ROOM, new.shape[-1])
        room = torch.empty(size, dtype=new.dtype, device=new.device)
        if length:
            room[..., :length, :] = held
    assert room is not None
    room[..., length:total, :] = new
    return room, room[..., :total, :]


def let_grow(cache: Cache) -> Cache:
    """Has the plain layers of an empty cache grow in place."""
    if type(cache) is DynamicCache and not cache.offloading:
        for number, layer in enumerate(cache.layers):
            if type(layer) is DynamicLayer and not layer.is_initialized:
                cache.layers[number] = GrowingLayer()
    return cache
