"""Every way to write a recurrence, brought to one: the `while` frame.

One module for each way; `order` says in which order they are applied.
"""
