"""ONNX graphs as graphs of TensorFlow: one table of operators, one function each. Needs the extra `tensorflow`."""

from reprise.export.tf_graph.graph import build_values
from reprise.export.tf_graph.model import baked_rows, check_exportable, variable_weights
from reprise.export.tf_graph.names import identifier

__all__ = ["baked_rows", "build_values", "check_exportable", "identifier", "variable_weights"]
