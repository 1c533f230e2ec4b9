"""A model as layers with their weights, without operator names; and the graph that one writer makes of any."""

from reprise.layers.model import Call, Layers
from reprise.layers.writing import WrittenGraph, write_graph

__all__ = ["Call", "Layers", "WrittenGraph", "write_graph"]
