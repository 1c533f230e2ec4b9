"""Configurations of models, sequential and functional ones of every Keras, as layers and their calls."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reprise.errors import DamagedFile

#: What Keras calls its own models.
MODELS = frozenset({"Sequential", "Functional", "Model", "Network", "Graph"})
#: Layers of Keras 2 that are a function of TensorFlow, and the modules whose functions are called alike nowhere else.
_OF_TENSORFLOW = frozenset({"TFOpLambda", "SlicingOpLambda"})
_MODULES = ("math", "nn", "linalg", "__operators__")
_MOST_LAYERS = 20_000


class Reference(NamedTuple):
    """Output `output` of call `call` of the layer of this name."""

    layer: str
    call: int
    output: int


@dataclass(frozen=True, slots=True)
class LayerDescription:
    """A layer as a configuration describes it.

    Attributes:
        kind: Its class.
        name: Unique in its model.
        config: Its options.
        stranger: The class with its package where it is not Keras' own, else empty.
        operation: Whether it is an operation of `keras.ops` or of TensorFlow that is kept among the layers; `kind` is
            its name then, such as `expand_dims`, and `config` its options.
    """

    kind: str
    name: str
    config: Any
    stranger: str = ""
    operation: bool = False


@dataclass(frozen=True, slots=True)
class LayerNode:
    """A call of a layer: what it is given in order and by name, with references in it."""

    given: tuple[Any, ...]
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KerasModel:
    """A model as its configuration describes it.

    Attributes:
        name: Its name.
        layers: In the order of the file; weights follow it.
        calls: Layer → its calls.
        inputs: What it reads; empty for a sequence of layers, which reads what its first layer does.
        outputs: What it gives.
        sequential: Whether it is a sequence of layers.
        build: The sizes that it was built for, where only the model says them.
    """

    name: str
    layers: tuple[LayerDescription, ...]
    calls: Mapping[str, tuple[LayerNode, ...]]
    inputs: tuple[Reference, ...]
    outputs: tuple[Reference, ...]
    sequential: bool
    build: Any = None


def is_model(config: Any) -> bool:
    """Whether the options of a layer are those of a model: it lists layers."""
    return isinstance(config, list) or (isinstance(config, Mapping) and isinstance(config.get("layers"), list))


def description_of(found: Any, where: str) -> LayerDescription:
    """A layer from its description.

    Raises:
        DamagedFile: It is no description.
    """
    if not isinstance(found, Mapping) or not isinstance(found.get("class_name"), str):
        raise DamagedFile(f"{where}: a layer has no class; expected class_name and config in its description")
    config = found.get("config")
    named = config.get("name") if isinstance(config, Mapping) else None
    kind = found["class_name"]
    name = named or found.get("name") or kind
    if not isinstance(name, str):
        raise DamagedFile(f"{where}: the name of a layer of the class {kind} is {name!r}; expected a text")
    if isinstance(config, Mapping) and kind in _OF_TENSORFLOW:
        return LayerDescription(_function(str(config.get("function"))), name, {}, operation=True)
    if isinstance(config, Mapping) and _is_operation(found, config):
        options = {key: value for key, value in config.items() if key != "name"}
        return LayerDescription(snake(kind), name, options, operation=True)
    return LayerDescription(kind.rpartition(">")[2], name, config, _stranger(found))


def _is_operation(found: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether it is of `keras.ops`: its module says so, or it has none and no options that every layer has."""
    if "module" in found:
        return ".ops." in str(found["module"])
    nodes = found.get("inbound_nodes")
    called = isinstance(nodes, list) and bool(nodes) and isinstance(nodes[0], Mapping)
    return called and not config.keys() & {"trainable", "batch_shape", "seed"}


def _function(name: str) -> str:
    """A function of TensorFlow by its own name; with its module, where others have functions of the same names."""
    module, _, own = name.rpartition(".")
    return own if module.removeprefix("compat.v1").strip(".") in ("", *_MODULES) else name


def snake(kind: str) -> str:
    """`BatchNormalization` → `batch_normalization`, `LSTMCell` → `lstm_cell`, `Conv1D` → `conv1d`, as Keras does."""
    parted = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parted).lower()


def _stranger(found: Mapping[str, Any]) -> str:
    """The class of a layer with its package, where that is not Keras."""
    kind, module, registered = str(found["class_name"]), found.get("module"), found.get("registered_name")
    if ">" in kind:
        return kind
    if isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras", "tensorflow", "builtins"):
        return f"{module}.{kind}"
    if isinstance(registered, str) and ">" in registered and not module:
        return registered
    return ""


def model(kind: str, name: str, config: Any) -> KerasModel:
    """A model from its configuration.

    Raises:
        DamagedFile: It is none.
    """
    where = f"model {name!r}"
    if isinstance(config, Mapping) and isinstance(config.get("config"), list):
        config = config["config"]
    listed = config if isinstance(config, list) else config.get("layers") if isinstance(config, Mapping) else None
    if not isinstance(listed, list) or not listed or len(listed) > _MOST_LAYERS:
        raise DamagedFile(f"{where}: lists no layers; a subclassed model keeps its structure in code")
    layers = tuple(description_of(one, where) for one in listed)
    names = [one.name for one in layers]
    if len(set(names)) != len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise DamagedFile(f"{where}: two layers are called {twice!r}")
    if kind == "Sequential" or not (isinstance(config, Mapping) and "output_layers" in config):
        build = config.get("build_input_shape") if isinstance(config, Mapping) else None
        return KerasModel(name, layers, {}, (), (), sequential=True, build=build)
    calls = {
        layer.name: tuple(_applied(node, where) for node in one.get("inbound_nodes") or ())
        for layer, one in zip(layers, listed, strict=True)
    }
    inputs, outputs = (_ends(config.get(key), where) for key in ("input_layers", "output_layers"))
    found = KerasModel(name, layers, calls, inputs, outputs, sequential=False)
    return _renumbered(found)


def _applied(node: Any, where: str) -> LayerNode:
    """One call; Keras 1 and 2 list what it reads, Keras 3 its arguments."""
    if isinstance(node, Mapping):
        args, kwargs = node.get("args", []), node.get("kwargs", {})
        if not isinstance(args, list) or not isinstance(kwargs, Mapping):
            raise DamagedFile(f"{where}: a call of a layer is {node!r:.80}; expected args and kwargs")
        return LayerNode(tuple(_argument(one) for one in args), {k: _argument(v) for k, v in kwargs.items()})
    if not isinstance(node, list):
        raise DamagedFile(f"{where}: a call of a layer is {node!r:.80}; expected a list of what it reads")
    if _is_reference(node) or _is_constant(node):
        node = [node]
    given = [one[2] if _is_constant(one) else _old_reference(one, where) for one in node]
    named = next((one[3] for one in node if len(one) > 3 and isinstance(one[3], Mapping)), {})
    return LayerNode((given[0] if len(given) == 1 else given,), {k: _old_argument(v) for k, v in named.items()})


def _is_reference(found: Any) -> bool:
    return (
        isinstance(found, (list, tuple))
        and len(found) in (3, 4)
        and isinstance(found[0], str)
        and all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < _MOST_LAYERS for n in found[1:3])
    )


def _old_reference(found: Any, where: str) -> Reference:
    if not _is_reference(found):
        raise DamagedFile(
            f"{where}: a layer reads {found!r:.80}; expected the name of another, its call and its output"
        )
    return Reference(found[0], found[1], found[2])


def _is_constant(found: Any) -> bool:
    """Whether Keras 2 wrote a number in the place of a value."""
    return isinstance(found, list) and len(found) in (3, 4) and found[0] == "_CONSTANT_VALUE"


def _old_argument(value: Any) -> Any:
    if _is_constant(value):
        return value[2]
    if _is_reference(value):
        return Reference(value[0], value[1], value[2])
    return [_old_argument(one) for one in value] if isinstance(value, list) else value


def _argument(value: Any) -> Any:
    """An argument of Keras 3 with its tensors as references."""
    if isinstance(value, list):
        return [_argument(one) for one in value]
    if not isinstance(value, Mapping):
        return value
    if value.get("class_name") == "__keras_tensor__":
        config = value.get("config")
        history = config.get("keras_history") if isinstance(config, Mapping) else None
        if history is None or not _is_reference(history):
            raise DamagedFile(
                f"a call of a layer reads a tensor of the history {history!r:.80}; expected name and indices"
            )
        return Reference(*history[:3])
    if value.get("class_name") == "__tuple__":
        return tuple(_argument(one) for one in _config(value, "items"))
    return {key: _argument(one) for key, one in value.items()}


def _config(value: Mapping[str, Any], key: str) -> list[Any]:
    found = value.get(key) or (value.get("config") or {}).get(key) or []
    return found if isinstance(found, list) else []


def _ends(found: Any, where: str) -> tuple[Reference, ...]:
    """Inputs or outputs: one, a list, or a mapping of them."""
    if isinstance(found, Mapping):
        found = list(found.values())
    if _is_reference(found):
        found = [found]
    if not isinstance(found, list) or not found:
        raise DamagedFile(f"{where}: its inputs or outputs are {found!r:.80}; expected a list")
    flat = [one for part in found for one in (part if _is_nested(part) else [part])]
    return tuple(_old_reference(one, where) for one in flat)


def _is_nested(part: Any) -> bool:
    return isinstance(part, list) and bool(part) and isinstance(part[0], list)


def _renumbered(found: KerasModel) -> KerasModel:
    """Calls counted from 0: a model inside has one more where it stands alone, which is not in the file."""
    models = {layer.name for layer in found.layers if is_model(layer.config)}
    uses: dict[str, set[int]] = {name: set() for name in models}
    for reference in _references(found):
        if reference.layer in models:
            uses[reference.layer].add(reference.call)
    late = {name for name, used in uses.items() if used and 0 not in used}

    def moved(value: Any) -> Any:
        if isinstance(value, Reference):
            return value._replace(call=value.call - 1) if value.layer in late else value
        if isinstance(value, (list, tuple)):
            return type(value)(moved(one) for one in value)
        return {k: moved(v) for k, v in value.items()} if isinstance(value, dict) else value

    if not late:
        return found
    calls = {
        name: tuple(LayerNode(moved(one.given), moved(dict(one.named))) for one in made)
        for name, made in found.calls.items()
    }
    return KerasModel(found.name, found.layers, calls, moved(found.inputs), moved(found.outputs), sequential=False)


def _references(found: KerasModel) -> Iterator[Reference]:
    yield from found.outputs
    for made in found.calls.values():
        for one in made:
            yield from references((one.given, dict(one.named)))


def references(value: Any) -> Iterator[Reference]:
    """All references in an argument."""
    pending: list[Any] = [value]
    while pending:
        at = pending.pop()
        if isinstance(at, Reference):
            yield at
        elif isinstance(at, Mapping):
            pending += at.values()
        elif isinstance(at, Sequence) and not isinstance(at, (str, bytes)):
            pending += at
