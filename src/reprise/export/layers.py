"""The layers of a model that is a stack of them, proven to compute what it computes."""

from __future__ import annotations

from dataclasses import replace

from reprise import stack, verify
from reprise.errors import SaveError, VerificationError
from reprise.export.onnx import first_state_rows
from reprise.interface import Interface
from reprise.model import RecurrentModel
from reprise.stack import NotAStack, Stack


def stack_of(model: RecurrentModel) -> Stack:
    """The stack that `model` is.

    What seems to be one is run and compared with the model, for one row and for several, over steps and sequences of
    more than one length, from the first state and from random state.

    Raises:
        SaveError: It is none; the message has the reason.
    """
    found = apparent_stack(model)
    same = as_model(found, model)
    baked = verify.baked(model.interface, "batch_axis")
    for steps, rows in ((5, baked or 1), (8, baked or 3)):
        report = verify.compare(model, same, steps=steps, batch=rows)
        if not report.equal:
            raise SaveError(
                f"the model is not a stack of standard layers: it seems to be {found}, and these compute something "
                f"else ({report}). Write it as onnx instead."
            )
    return found


def apparent_stack(model: RecurrentModel) -> Stack:
    """The stack that `model` seems to be, for what compares it itself.

    Raises:
        SaveError: It is none; the message has the reason.
    """
    found = stack.recognise(model.lifted)
    if isinstance(found, NotAStack):
        raise SaveError(f"the model is not a stack of standard layers: {found.reason}. Write it as onnx instead.")
    return found


def as_model(layers: Stack, like: RecurrentModel) -> RecurrentModel:
    """A stack that runs, with the interface, the first states and the vocabulary of `like`.

    Raises:
        VerificationError: Its layers are not those of such an interface.
    """
    try:
        lifted = stack.lift_stack(layers, plain(like.interface))
    except (ValueError, KeyError) as error:
        raise VerificationError(f"layers and interface do not belong together ({error})") from error
    return RecurrentModel(
        like.stored, lambda _: lifted, lambda: stack.first_states_graph(first_state_rows(like)), like.vocabulary
    )


def plain(face: Interface) -> Interface:
    """The interface without settings, whose values are built into the layers."""
    return replace(face, settings=())
