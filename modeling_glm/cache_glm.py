"""A cache for `generate` that grows in place."""

import copy
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

# Room is allocated for this many tokens at a time.
ROOM = 64


class GrowingLayer(DynamicLayer):
    """
    Write new keys and values behind the old ones, into room that is allocated in advance.

    The library's layer copies all keys and values for every new token. Here `keys` and `values` are views of the room:

        room    k0 k1 k2 k3  .  .  .  .      (batch, heads, room, head_dim)
        keys    k0 k1 k2 k3                  (batch, heads, seq, head_dim)

    So only their last two dimensions are contiguous.
    """

    _key_room: torch.Tensor | None = None
    _value_room: torch.Tensor | None = None

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs
    ) -> tuple[torch.Tensor, torch.Tensor]:
        # Writing in place breaks compiled graphs, and changes states that a backward pass still needs.
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

    def __deepcopy__(self, memo: dict[int, Any]) -> DynamicLayer:
        """
        Copy what is held to a layer of the library, without the room.

        Exporters copy the cache that `generate` feeds, and take every tensor in it for state. A program that was exported
        with a room would fit no other cache.
        """
        layer = DynamicLayer()
        for name, value in vars(self).items():
            if name not in ("_key_room", "_value_room"):
                is_view = isinstance(value, torch.Tensor)  # a deep copy of a view would copy the whole room
                vars(layer)[name] = value.contiguous().clone() if is_view else copy.deepcopy(value, memo)
        return layer


def _append(
    room: torch.Tensor | None, held: torch.Tensor | None, new: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Append states, and move to a larger room if they do not fit.

    Args:
        room: (batch, heads, room, head_dim), or None before the first call.
        held: (batch, heads, seq, head_dim), what is held so far.
        new: (batch, heads, added, head_dim).

    Returns:
        The room, and all states as a view of it.
    """
    assert held is not None
    length = held.shape[-2] if held.numel() else 0
    total = length + new.shape[-2]
    fits = (
        room is not None
        and total <= room.shape[-2]
        and room.shape[:2] == new.shape[:2]
        # Selecting or repeating rows makes `held` a tensor of its own; cropping leaves it a view of the room.
        and (not length or (held.data_ptr(), held.stride()) == (room.data_ptr(), room.stride()))
        # A tensor made in inference mode cannot be written outside it.
        and room.is_inference() == torch.is_inference_mode_enabled()
    )
    if not fits:
        size = (*new.shape[:-2], -(-total // ROOM) * ROOM, new.shape[-1])  # total rounded up to a multiple of ROOM
        room = torch.empty(size, dtype=new.dtype, device=new.device)
        if length:
            room[..., :length, :] = held
    assert room is not None
    room[..., length:total, :] = new
    return room, room[..., :total, :]


def let_grow(cache: Cache) -> Cache:
    """Replace the plain layers of an empty `DynamicCache` by layers that grow in place. Other caches stay as they are."""
    if type(cache) is DynamicCache and not cache.offloading:
        for number, layer in enumerate(cache.layers):
            if type(layer) is DynamicLayer and not layer.is_initialized:
                cache.layers[number] = GrowingLayer()
    return cache
