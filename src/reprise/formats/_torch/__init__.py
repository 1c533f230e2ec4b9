"""What the formats of PyTorch share: state dicts, modules, and programs."""
