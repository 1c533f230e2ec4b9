"""A model as a stack of standard layers: what Keras, PyTorch and C are written from, and what `inspect` prints."""

from reprise.stack.description import (
    GATES,
    NotAStack,
    Stack,
    StackActivation,
    StackDense,
    StackEmbedding,
    StackFeatures,
    StackLayer,
    StackOneHot,
    StackRecurrent,
    StatePart,
)
from reprise.stack.recognition import recognise
from reprise.stack.stepping import StepEngine, step_engine
from reprise.stack.stored import first_states_graph, is_stack, lifted_stack_in, stack_metadata
from reprise.stack.tensors import from_tensors, to_json, to_tensors
from reprise.stack.writing import lift_stack

__all__ = [
    "GATES",
    "NotAStack",
    "Stack",
    "StackActivation",
    "StackDense",
    "StackEmbedding",
    "StackFeatures",
    "StackLayer",
    "StackOneHot",
    "StackRecurrent",
    "StatePart",
    "StepEngine",
    "first_states_graph",
    "from_tensors",
    "is_stack",
    "lift_stack",
    "lifted_stack_in",
    "recognise",
    "stack_metadata",
    "step_engine",
    "to_json",
    "to_tensors",
]
