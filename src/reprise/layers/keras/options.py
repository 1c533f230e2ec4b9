"""The options of a layer as a Keras configuration holds them: read by kind, under the names of Keras 2 and 3."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reprise.errors import DamagedFile, LiftError
from reprise.layers.kinds import LINEAR, ActivationFunction, Padding

#: Options of Keras 1 under the names that they have had since.
_RENAMED = {
    "output_dim": "units",
    "inner_activation": "recurrent_activation",
    "bias": "use_bias",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
    "nb_filter": "filters",
    "pool_length": "pool_size",
    "stride": "strides",
    "concat_axis": "axis",
    "dot_axes": "axes",
    "p": "rate",
}
_MOST_SIZE = 2**31


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """The Keras that saved a model; (0, 0) where nothing says which.

    Attributes:
        major: 1, 2 or 3.
        minor: The next number.
        of_tensorflow: Whether it is that of TensorFlow, which counts otherwise.
    """

    major: int = 0
    minor: int = 0
    of_tensorflow: bool = False

    @classmethod
    def parse(cls, text: Any) -> Version:
        """`2.2.4-tf` → 2, 2, of TensorFlow; (0, 0) for what is no version."""
        found = re.match(r"(\d{1,3})\.(\d{1,3})", text) if isinstance(text, str) else None
        return cls(int(found[1]), int(found[2]), "tf" in text) if found else cls()


@dataclass(frozen=True, slots=True)
class Options:
    """The configuration of one layer.

    Attributes:
        where: The layer's class and name, for messages.
        content: The options.
        version: The Keras that wrote them.
    """

    where: str
    content: Mapping[str, Any]
    version: Version

    @classmethod
    def of(cls, where: str, content: Any, version: Version) -> Options:
        """The options in a configuration.

        Raises:
            DamagedFile: It is no mapping.
        """
        if not isinstance(content, Mapping):
            raise DamagedFile(f"{where}: its configuration is {_shortened(content)}; expected a mapping")
        if version.major == 1:
            content = {_RENAMED.get(key, key): value for key, value in content.items()}
        return cls(where, content, version)

    def __contains__(self, name: str) -> bool:
        return self.content.get(name) is not None

    def refuse(self, name: str, expected: str) -> DamagedFile:
        """The error for an option that is not what it must be."""
        found = _shortened(self.content[name]) if name in self.content else "none"
        return DamagedFile(f"{self.where}: expected {expected} as its option {name!r}, found {found}")

    def unknown(self, what: str) -> LiftError:
        """The error for something that has no translation."""
        return LiftError(f"{self.where}: {what}, which has no translation")

    def get(self, name: str, default: Any = None) -> Any:
        """An option as it is."""
        found = self.content.get(name)
        return default if found is None else found

    def flag(self, name: str, *, default: bool = False) -> bool:
        """A flag."""
        found = self.get(name, default)
        if not isinstance(found, (bool, int)):
            raise self.refuse(name, "true or false")
        return bool(found)

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number."""
        found = self.get(name, default)
        if isinstance(found, (list, tuple)) and len(found) == 1:
            found = found[0]
        if isinstance(found, bool) or not isinstance(found, int) or abs(found) > _MOST_SIZE:
            raise self.refuse(name, "a whole number")
        return found

    def number(self, name: str, default: float | None = None) -> float:
        """A number; Keras 3 may wrap one that was an array."""
        found = self.get(name, default)
        if isinstance(found, Mapping):
            found = found.get("config", {}).get("value") if isinstance(found.get("config"), Mapping) else None
        if isinstance(found, bool) or not isinstance(found, (int, float)):
            raise self.refuse(name, "a number")
        return float(found)

    def wholes(self, name: str, default: Any = None, count: int | None = None) -> tuple[int, ...]:
        """Whole numbers, one alone repeated `count` times."""
        found = self.get(name, default)
        if isinstance(found, int) and not isinstance(found, bool) and count:
            found = [found] * count
        if not _are_whole(found) or (count and len(found) != count):
            raise self.refuse(name, f"{count or 'some'} whole numbers")
        return tuple(found)

    def text(self, name: str, default: str | None = None) -> str:
        """A text."""
        found = self.get(name, default)
        if not isinstance(found, str):
            raise self.refuse(name, "a text")
        return found

    def check_units(self, found: int) -> None:
        """Holds that weights are of as many units as the configuration says, where it does.

        Raises:
            DamagedFile: They are not.
        """
        if "units" in self and self.whole("units") != found:
            raise DamagedFile(
                f"{self.where}: expected the weights of {self.get('units')} units, found those of {found}; they belong "
                "to another model, or are in another order"
            )

    def channels_first(self) -> bool:
        """Whether the channels come before the other axes: `data_format`, or `dim_ordering` of Keras 1."""
        found = self.get("data_format", self.get("dim_ordering", "channels_last"))
        if found not in ("channels_last", "channels_first", "tf", "th", "default"):
            raise self.refuse("data_format", "channels_last or channels_first")
        return found in ("channels_first", "th")

    def padding(self) -> Padding:
        """How a window treats the ends."""
        found = self.text("padding", "valid").lower()
        if found == "valid":
            return "valid"
        if found in ("same", "causal"):
            return "same" if found == "same" else "causal"
        raise self.refuse("padding", "valid, same or causal")

    def function(self, name: str, default: str = "linear") -> ActivationFunction:
        """An activation."""
        return function(self, self.get(name, default))


def _are_whole(found: Any) -> bool:
    return isinstance(found, Sequence) and all(
        isinstance(n, int) and not isinstance(n, bool) and abs(n) <= _MOST_SIZE for n in found
    )


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f"{text[:80]} …"


#: Activations that are called alike everywhere and take no numbers.
_PLAIN = frozenset(
    "linear tanh sigmoid softplus softsign softmax log_softmax exponential selu silu mish hard_tanh log_sigmoid "
    "tanh_shrink squareplus".split()
)
_SYNONYMS = {"swish": "silu", "hard_swish": "hard_silu", "logsoftmax": "log_softmax", "leakyrelu": "leaky_relu"}


def function(options: Options, named: Any) -> ActivationFunction:
    """The activation that a configuration names, or holds with its numbers.

    Raises:
        LiftError: It is of the user's own making.
    """
    name: Any = named
    config: Mapping[str, Any] = {}
    if isinstance(named, Mapping):
        inner = named.get("config")
        config = inner if isinstance(inner, Mapping) else {}
        name = inner if isinstance(inner, str) and named.get("class_name") == "function" else named.get("class_name")
    if not isinstance(name, str):
        raise options.unknown(f"an activation that is not a name: {_shortened(named)}")
    key = _SYNONYMS.get(_snake(name), _snake(name))
    if key in _PLAIN:
        return LINEAR if key == "linear" else ActivationFunction(key)
    if key == "hard_sigmoid":
        return ActivationFunction(key, (_slope(options), 0.5))
    made = _with_numbers(Options(options.where, config, options.version), key)
    if made is None:
        raise options.unknown(
            f"the activation {name!r} is not one of Keras; say what it is (custom={{{name!r}: 'tanh'}} in Python)"
        )
    return made


def _slope(options: Options) -> float:
    """Keras 3 changed the slope of its hard sigmoid from 0.2 to 1/6.

    Raises:
        DamagedFile: Nothing says which Keras it was.
    """
    if not options.version.major:
        raise DamagedFile(
            f"{options.where}: hard_sigmoid has the slope 0.2 in Keras 1 and 2 and 1/6 in Keras 3, and nothing says "
            "which Keras saved the model. Give the file as Keras wrote it, with its keras_version."
        )
    return 1 / 6 if options.version.major >= 3 else 0.2


def _with_numbers(options: Options, key: str) -> ActivationFunction | None:
    """The activations that take numbers, with the defaults of Keras' functions."""
    if key == "relu":
        most = options.get("max_value")
        numbers = (float("inf") if most is None else options.number("max_value"),)
        return ActivationFunction(
            "relu", (*numbers, options.number("negative_slope", 0.0), options.number("threshold", 0.0))
        )
    if key in ("relu6", "gelu", "hard_silu"):
        tanh = key == "gelu" and options.flag("approximate")
        return (
            ActivationFunction("relu", (6.0,)) if key == "relu6" else ActivationFunction("gelu_tanh" if tanh else key)
        )
    if key == "leaky_relu":  # the layer had 0.3 before Keras 3 too, the function 0.2
        return ActivationFunction("relu", (float("inf"), options.number("negative_slope", 0.2), 0.0))
    if key in ("elu", "celu"):
        return ActivationFunction(key, (options.number("alpha", 1.0),))
    if key in ("soft_shrink", "hard_shrink"):
        return ActivationFunction(key, (options.number("threshold", 0.5),))
    return None


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
