"""A model as layers with their weights, without operator names; and the graph that one writer makes of any."""

from reprise.layers.model import Call, Layers
from reprise.layers.writing import Written, written

__all__ = ["Call", "Layers", "Written", "written"]
