"""What the formats of Keras share: a configuration as layers, and the lookups in it."""
