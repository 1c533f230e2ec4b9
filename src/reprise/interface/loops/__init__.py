"""Recurrences in their one form: which loops carry state, and what of their variables is that state."""
