"""TorchScript: its source, run once to see which operators it calls."""
