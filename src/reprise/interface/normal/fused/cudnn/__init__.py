"""`CudnnRNN` as frames of its own equations: what a GPU library computed, on any machine.

`CudnnRNN(input [T, N, D], input_h [P, N, H], input_c [P, N, H], params)` makes output [T, N, H], output_h and output_c.
P counts the layers, and of a bidirectional stack each of them twice, forward before backward; its output is [T, N, 2H].
`CudnnRNNV3` has also the length of each row, and may have batch before all other axes. One frame serves one layer in
one direction. What cannot be read is a value with a reason, and the operator stays.
"""

from reprise.interface.normal.fused.cudnn.reading import OPERATORS, CudnnStack, Unread, read
from reprise.interface.normal.fused.cudnn.writing import write

__all__ = ["OPERATORS", "CudnnStack", "Unread", "read", "write"]
