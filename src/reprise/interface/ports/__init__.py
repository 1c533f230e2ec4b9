"""The result: which values are inputs, outputs and states, what they mean, and what they are called."""
