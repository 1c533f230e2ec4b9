"""Two saved models side by side: whether they compute the same, and where their weights and interfaces differ."""

from reprise.comparison.changes import Changes, WeightsChange, diff
from reprise.comparison.verifying import Comparison, compare

__all__ = ["Changes", "Comparison", "WeightsChange", "compare", "diff"]
