"""Phantoms: generated studies whose truth is known, from voxels to valid DICOM files.

Numpy, scipy and pydicom only. Everything is seeded: the same arguments give the same voxels, the same UIDs and the
same files on every machine with the same numpy.
"""

from __future__ import annotations

from .breast_us import BreastPhantom, breast_us
from .ct_chest import ChestPhantom, chest_ct
from .description import write_study
from .nodules import Nodule, NoduleSpec
from .write_dicom import Patient, write_breast_us, write_chest_ct

__all__ = [
    "BreastPhantom",
    "ChestPhantom",
    "Nodule",
    "NoduleSpec",
    "Patient",
    "breast_us",
    "chest_ct",
    "write_breast_us",
    "write_chest_ct",
    "write_study",
]
