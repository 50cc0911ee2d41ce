"""DICOM in: files, headers, character sets, pixels: a Study of Series, and their Image, Volume or Cine."""

from .pixels import read_cine, read_image, read_volume
from .study import Series, Skipped, Study, load_study

__all__ = ["Series", "Skipped", "Study", "load_study", "read_cine", "read_image", "read_volume"]
