"""A model as a stack of standard layers: what Keras, PyTorch and C are written from, and what `inspect` prints."""

from reprise.stack.description import (
    GATES,
    Activation,
    Dense,
    Embedding,
    Features,
    Layer,
    Miss,
    OneHot,
    Part,
    Recurrent,
    Stack,
)
from reprise.stack.recognition import recognise
from reprise.stack.stepping import StepEngine, step_engine
from reprise.stack.stored import facts, first_states, is_stack, lifted_in
from reprise.stack.tensors import from_tensors, to_json, to_tensors
from reprise.stack.writing import lifted

__all__ = [
    "GATES",
    "Activation",
    "Dense",
    "Embedding",
    "Features",
    "Layer",
    "Miss",
    "OneHot",
    "Part",
    "Recurrent",
    "Stack",
    "StepEngine",
    "facts",
    "first_states",
    "from_tensors",
    "is_stack",
    "lifted",
    "lifted_in",
    "recognise",
    "step_engine",
    "to_json",
    "to_tensors",
]
