"""ONNX graphs as graphs of TensorFlow: one table of operators, one function each. Needs the extra `tensorflow`."""

from reprise.export.tf_graph.graph import computed
from reprise.export.tf_graph.model import baked_rows, check, weights_of
from reprise.export.tf_graph.names import identifier

__all__ = ["baked_rows", "check", "computed", "identifier", "weights_of"]
