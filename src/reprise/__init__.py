"""Reprise brings saved recurrent models back, from their files alone and with their state in the caller's hands.

    model = reprise.restore("runs/quijote")
    outputs, state = model.step(x, state)

Public names load when they are first used: `import reprise` loads neither TensorFlow nor ONNX Runtime.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reprise.comparison import compare, diff
    from reprise.errors import RepriseError
    from reprise.export import export
    from reprise.model import RecurrentModel
    from reprise.restore import restore
    from reprise.state import State
    from reprise.train import train
    from reprise.vocabulary import Vocabulary

__version__ = "0.1.0"

__all__ = ["RecurrentModel", "RepriseError", "State", "Vocabulary", "compare", "diff", "export", "restore", "train"]

_HOMES = {
    "RecurrentModel": "reprise.model",
    "RepriseError": "reprise.errors",
    "State": "reprise.state",
    "Vocabulary": "reprise.vocabulary",
    "compare": "reprise.comparison",
    "diff": "reprise.comparison",
    "export": "reprise.export",
    "restore": "reprise.restore",
    "train": "reprise.train",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Package(ModuleType):
    """Keeps `reprise.restore` the function: importing the module of that name would bind the module instead."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
