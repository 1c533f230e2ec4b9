"""LiteRT's flatbuffers: their schema, and their operators as operators of TensorFlow."""
