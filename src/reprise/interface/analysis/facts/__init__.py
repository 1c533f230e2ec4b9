"""What can be known of values without running the graph: symbolic shapes, and the content of small tensors.

The content matters because TensorFlow computes shapes and permutations inside the graph; the shapes matter because they
say which axis is time, which is batch, and whether a size that the file baked in can be set free. Rules exist for the
operators of inference graphs. An operator without a rule gives unknown shapes and fixes the baked sizes that it
touches: whether it depends on them is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from reprise.interface.analysis.facts.arithmetic import ARITHMETIC, ELEMENTWISE
from reprise.interface.analysis.facts.arrays import (
    ARRAYS,
    SIZED,
    allocated_size,
    array_of,
    grown_size,
    is_in_order,
    stacked_by,
    stacked_into,
    takes_all,
    written_value,
)
from reprise.interface.analysis.facts.convolution import PICTURES
from reprise.interface.analysis.facts.inference import Dims, Fact, Inference, Rule
from reprise.interface.analysis.facts.layout import LAYOUT
from reprise.interface.analysis.facts.lookups import LOOKUPS
from reprise.interface.analysis.facts.matrices import MATRICES
from reprise.interface.analysis.facts.reshaping import RESHAPING
from reprise.interface.analysis.facts.slicing import SLICING
from reprise.interface.analysis.facts.sources import SOURCES, stated

__all__ = [
    "ELEMENTWISE",
    "SIZED",
    "Dims",
    "Fact",
    "Facts",
    "allocated_size",
    "array_of",
    "grown_size",
    "is_in_order",
    "stacked_by",
    "stacked_into",
    "stated",
    "takes_all",
    "written_value",
]


class Facts(Inference):
    """Facts of the values of one graph, by the rules of TensorFlow's operators."""

    rules: ClassVar[Mapping[str, Rule]] = {
        **SOURCES,
        **ARITHMETIC,
        **SLICING,
        **RESHAPING,
        **LAYOUT,
        **LOOKUPS,
        **MATRICES,
        **PICTURES,
        **ARRAYS,
    }
