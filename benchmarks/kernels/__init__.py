"""The kernels beside their peers; ``bedside bench kernels`` prints the table."""

from __future__ import annotations

from .run import bench, comparisons, rows

__all__ = ["bench", "comparisons", "rows"]
