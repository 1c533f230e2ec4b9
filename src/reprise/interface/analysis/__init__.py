"""What holds of a graph whatever recurrence it has: control structure, shapes, types, what reaches what."""
