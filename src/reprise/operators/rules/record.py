"""The record of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any

from reprise.graph import Node
from reprise.operators.rules.shapes import ShapeRule
from reprise.operators.rules.site import OnnxRule
from reprise.operators.rules.steps import StepsRule, mixes
from reprise.tensors import Array

#: The outputs of a node on known inputs; None, or one of the errors of numbers that do not fit, where it has none.
FoldRule = Callable[[Node, list[Array]], Any]


class Tag(Flag):
    """What kind an operator is, as far as an analysis asks."""

    NONE = 0
    ELEMENTWISE = auto()
    """Computes each element of its result from those at the same place of its inputs."""
    PARTITION = auto()
    """Sorts rows into parts by numbers beside them, or puts the parts back in order."""


@dataclass(frozen=True, slots=True)
class Operator:
    """What one operator is, under all the names of its versions.

    Attributes:
        names: Its names in graphs, separated by spaces; rules ask the node where versions differ.
        shape: The facts of its outputs from those of its inputs. Without a rule shapes are unknown, and the sizes that
            the file bakes into its inputs are fixed: whether it depends on them is not known.
        fold: Its outputs on known numbers.
        steps: What becomes of the steps of a sequence in it.
        onnx: How it is written in ONNX; without, a graph that needs it is refused.
        lazy: Inputs that are not emitted before the operator is: it takes their numbers, or asks for them itself.
        types: The element types of its outputs, the last for all further ones: a type; `attribute=type` for one that
            an attribute names, with its default; empty for that of the inputs. Without, all are that of the inputs.
        tags: What kind it is.
    """

    names: str
    shape: ShapeRule | None = None
    fold: FoldRule | None = None
    steps: StepsRule = mixes
    onnx: OnnxRule | None = None
    lazy: tuple[int, ...] = ()
    types: tuple[str, ...] = ()
    tags: Tag = Tag.NONE
