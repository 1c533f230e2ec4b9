"""The axes of time and batch, and whether T single steps are one run of T steps."""
