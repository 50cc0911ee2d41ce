"""DICOM in: files, headers, character sets, pixels: a Study of Series, and their Image, Volume or Cine."""

from .load import load_study
from .pixels import read_cine, read_image, read_volume
from .series import Series, Skipped, Study

__all__ = ["Series", "Skipped", "Study", "load_study", "read_cine", "read_image", "read_volume"]
