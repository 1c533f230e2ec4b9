"""The operators of ATen, in which programs of PyTorch are written, as operators of ONNX."""
