"""Models of Keras 1, 2 and 3 as layers: from a configuration, and weights in any of the ways that files keep them."""

from reprise.layers.keras.options import Version
from reprise.layers.keras.translation import translate
from reprise.layers.keras.weights import LayerWeights, Spec, Tree, in_a_tree, weight_paths, weights_in_order

__all__ = ["LayerWeights", "Spec", "Tree", "Version", "in_a_tree", "translate", "weight_paths", "weights_in_order"]
