"""Models of Keras 1, 2 and 3 as layers: from a configuration, and weights in any of the ways that files keep them."""

from reprise.layers.keras.options import Version
from reprise.layers.keras.translation import translated
from reprise.layers.keras.weights import Spec, Tree, Weights, in_a_row, in_a_tree, ordered

__all__ = ["Spec", "Tree", "Version", "Weights", "in_a_row", "in_a_tree", "ordered", "translated"]
