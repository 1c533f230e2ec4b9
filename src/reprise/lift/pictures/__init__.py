"""TensorFlow operators → ONNX: what works on pictures, volumes, and sequences as pictures of one row."""

from __future__ import annotations

from reprise.lift.emitter import Operator
from reprise.lift.pictures.blocks import BLOCKS
from reprise.lift.pictures.convolution import CONVOLUTION
from reprise.lift.pictures.normalisation import NORMALISATION

PICTURES: dict[str, Operator] = {**CONVOLUTION, **BLOCKS, **NORMALISATION}
