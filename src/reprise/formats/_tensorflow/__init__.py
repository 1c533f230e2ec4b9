"""What the formats of TensorFlow share: graphs, checkpoints, functions, tables and the objects of TensorFlow 2."""
