"""Graphs that are made of other graphs: what a rewrite gives."""
