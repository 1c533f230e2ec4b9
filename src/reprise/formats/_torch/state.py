"""A state dict with PyTorch's names, from whatever file, as a stored model: what it decides, or what it leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from reprise.formats._base import StoredModel
from reprise.formats._torch.aten.values import RefusedError
from reprise.formats._torch.modules import State, UndecidedModulesError, chain_of
from reprise.formats._torch.onnx import model_of


def with_model(
    stored: StoredModel,
    state: State,
    *,
    name: str = "",
    attributes: Mapping[str, Mapping[str, object]] | None = None,
    cell: Mapping[str, Any] | None = None,
    skip: int = 0,
) -> StoredModel:
    """`stored` with the model of a state dict, or with the reason why its names and shapes decide none.

    Args:
        stored: The file.
        state: Tensors by PyTorch's names.
        name: Where in the file they lie, for messages.
        attributes: What is known of modules beside their weights, by their names.
        cell: What the caller says of them: the activation of a plain RNN.
        skip: How many channels of the input, from the first, are added to the output.
    """
    try:
        chain = chain_of(state, attributes or {}, str((cell or {}).get("activation", "")))
        model = model_of(chain, skip=skip)
    except (UndecidedModulesError, RefusedError) as why:
        where = f"the state dict {name!r} of the file" if name else "the state dict of the file"
        return replace(stored, obstacle=f"{where} does not tell how the model computes: {why}.")
    notes = stored.notes if skip else (*chain.notes, *stored.notes)
    return replace(stored, notes=notes, foreign=model)
