"""The record of an operator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from reprise.graph import Node
from reprise.operators.rules.asking import AskRule
from reprise.operators.rules.attributes import Attribute, ElementType
from reprise.operators.rules.shapes import ShapeRule
from reprise.operators.rules.site import OnnxRule
from reprise.operators.rules.steps import StepsRule, mixes
from reprise.tensors import Array

#: The outputs of a node on known inputs; None, or one of the errors of numbers that do not fit, where it has none.
FoldRule = Callable[[Node, list[Array]], Any]


class Tag(Enum):
    """What kind an operator is, as far as an analysis asks."""

    ELEMENTWISE = "computes each element of its result from those at the same index of its inputs"
    ACTIVATION = "an activation function of a layer"
    ADDITION = "adds two operands"
    PRODUCT = "multiplies matrices"
    CONVOLUTION = "moves a kernel over an image"
    ORDERING = "asks which of two numbers is greater"
    SELECT = "gives one of two operands for each flag"
    JOIN = "joins its inputs along an axis"
    SLICE = "cuts a part out of its input"
    LOOKUP = "takes rows of a table by their indices"
    LAYOUT = "lays the elements of its first input out in another shape"
    REPEATING = "makes equal numbers, or the same rows over and over"
    PARTITION = "sorts rows into parts by the numbers beside them, or puts the parts back in order"
    SHAPE_ONLY = "depends on the shape of its input, not on its numbers"
    DISCRETE = "chooses: a symbol drawn from scores is a new input, not a continuation of the scores"
    RANKING = "chooses in its second output: the indices of the greatest scores"
    RANDOM = "draws random numbers from a distribution of its own"
    SAMPLING = "draws from the distribution that it is given"
    LOSS = "compares scores with what is wanted, or measures weights"
    SOURCE = "brings values in from outside of the graph, each output one of its own"
    PLACEHOLDER = "is an input that the caller gives"
    VARIABLE = "is a variable"
    SIDE_EFFECT = "is run for what it does, not for a result"
    READ = "takes one row out of an array"


@dataclass(frozen=True, slots=True)
class Operator:
    """What one operator is, under all the names of its versions.

    Attributes:
        names: Its names in graphs, separated by spaces; rules ask the node where versions differ.
        inputs: How many inputs it has, at least.
        shape: The facts of its outputs from those of its inputs. Without a rule shapes are unknown, and the sizes that
            the file bakes into its inputs are fixed: whether it depends on them is not known.
        fold: Its outputs on known numbers.
        steps: What becomes of the steps of a sequence in it.
        asks: The shape that it asks of an input, from what is asked of its outputs; without a rule any will do.
        onnx: How it is written in ONNX; without, a graph that needs it is refused.
        on_pairs: How it is written where complex numbers go in or out, which are pairs there (`rules/pairs.py`).
        lazy: Inputs that are not emitted before the operator is: it takes their numbers, or asks for them itself.
        types: The element types of its outputs, the last for all further ones; one that an attribute names, or empty
            for that of the inputs. Without, all are that of the inputs.
        tags: What kind it is.
        outputs: The names of its outputs, in the order of their definition; functions of a TensorFlow library refer to
            them. One that is a list is followed by the attribute that tells its length: a number, or a list of types.
            The only output may have any name.
        attributes: The attributes that its rules read.
    """

    names: str
    inputs: int = 1
    shape: ShapeRule | None = None
    fold: FoldRule | None = None
    steps: StepsRule = mixes
    asks: AskRule | None = None
    onnx: OnnxRule | None = None
    on_pairs: OnnxRule | None = None
    lazy: tuple[int, ...] = ()
    types: tuple[str | ElementType, ...] = ()
    tags: tuple[Tag, ...] = ()
    outputs: str = "output"
    attributes: tuple[Attribute[Any], ...] = ()
