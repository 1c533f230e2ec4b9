"""What the rules of operators work with: symbolic sizes and shapes, the steps of sequences, ONNX under construction."""
