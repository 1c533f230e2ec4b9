"""Graphs that are made of other graphs: what a rewrite gives, and a `while` frame written node by node."""
