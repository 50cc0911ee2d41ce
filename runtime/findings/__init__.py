"""From what the network gave to what a reader can use: lesions with measurements in patient space, or class scores."""

from .components import MAX_LESIONS
from .findings import ClassScore, Findings, Labels, Lesion, find

__all__ = ["MAX_LESIONS", "ClassScore", "Findings", "Labels", "Lesion", "find"]
