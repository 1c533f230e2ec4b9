"""TensorFlow operators → ONNX: convolution, pooling and normalisation, channels last by channels first."""

from __future__ import annotations

from typing import Any

from reprise.lift.block import computed
from reprise.lift.emitter import Operator, Site


def _conv(site: Site) -> str:
    """Conv2D in TensorFlow's NHWC with an HWIO kernel, by ONNX's NCHW and OIHW."""
    x = _channels_first(site, site.input(0))
    kernel = site.one("Transpose", site.input(1), perm=[3, 2, 0, 1])
    strides, dilations = _picture_axes(site, "strides"), _picture_axes(site, "dilations")
    padding = _padding(site) if dilations == [1, 1] else _dilated_padding(site, strides, dilations)
    return _channels_last(site, site.one("Conv", x, kernel, strides=strides, dilations=dilations, **padding))


def _channels_first(site: Site, name: str) -> str:
    return name if _is_nchw(site) else site.one("Transpose", name, perm=[0, 3, 1, 2])


def _channels_last(site: Site, name: str) -> str:
    return name if _is_nchw(site) else site.one("Transpose", name, perm=[0, 2, 3, 1])


def _is_nchw(site: Site) -> bool:
    return site.attribute("data_format", b"NHWC") == b"NCHW"


def _picture_axes(site: Site, name: str) -> list[int]:
    numbers: Any = site.attribute(name) or (1, 1, 1, 1)
    return [int(n) for n in (numbers[2:4] if _is_nchw(site) else numbers[1:3])]


def _padding(site: Site) -> dict[str, Any]:
    kind = site.attribute("padding")
    if kind == b"SAME":
        return {"auto_pad": "SAME_UPPER"}
    if kind == b"VALID":
        return {"auto_pad": "VALID"}
    raise site.emitter.refusal(site.node, f"pads by {kind!r}")


def _dilated_padding(site: Site, strides: list[int], dilations: list[int]) -> dict[str, Any]:
    """Numbers instead of `SAME`, which ONNX Runtime does not combine with dilations."""
    if site.attribute("padding") != b"SAME":
        return _padding(site)
    kernel = site.emitter.facts.shape(site.node.inputs[1])
    if kernel is None or not all(n.known for n in kernel[:2]) or strides != [1, 1]:
        raise site.emitter.refusal(site.node, "has dilations, and strides or a kernel of unknown size")
    whole = [(n.scale - 1) * d for n, d in zip(kernel[:2], dilations, strict=True)]
    return {"pads": [w // 2 for w in whole] + [w - w // 2 for w in whole]}


def _pool(op: str) -> Any:
    def emit(site: Site) -> str:
        x = _channels_first(site, site.input(0))
        attributes = {"kernel_shape": _picture_axes(site, "ksize"), "strides": _picture_axes(site, "strides")}
        return _channels_last(site, site.one(op, x, **attributes, **_padding(site)))

    return emit


def _batch_norm(site: Site) -> tuple[str | None, ...]:
    if site.attribute("is_training", default=True):
        raise site.emitter.refusal(site.node, "normalises by the statistics of the batch (training mode)")
    x, scale, offset, mean, variance = site.inputs()
    epsilon = site.constant(float(site.attribute("epsilon", 1e-4)), computed(site.dtype()))  # type: ignore[arg-type]
    spread = site.one("Sqrt", site.one("Add", variance, epsilon))
    factor = site.one("Div", scale, spread)
    shift = site.one("Sub", offset, site.one("Mul", mean, factor))
    if _is_nchw(site):
        factor, shift = (site.one("Unsqueeze", v, site.block.ints(1, 2)) for v in (factor, shift))
    return (site.one("Add", site.one("Mul", x, factor), shift), None, None, None, None)


PICTURES: dict[str, Operator] = {
    "Conv2D": Operator(_conv),
    "MaxPool": Operator(_pool("MaxPool")),
    "AvgPool": Operator(_pool("AveragePool")),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"), Operator(_batch_norm)),
}
