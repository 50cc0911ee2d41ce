"""Which DICOM objects are images a model can look at."""

from __future__ import annotations

import re

from pydicom.config import IGNORE
from pydicom.uid import UID, SecondaryCaptureImageStorage

from .files import DICOMDIR_CLASS
from .header import TAGS, Header

NOT_IMAGES = {
    "1.2.840.10008.5.1.4.1.1.66.4": "Segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation",
    "1.2.840.10008.5.1.4.1.1.481.2": "RT Dose",
    "1.2.840.10008.5.1.4.1.1.30": "Parametric Map",
    "1.2.840.10008.5.1.4.1.1.77.1.6": "Whole Slide Microscopy image",
}
"""Objects with pixel data that are no source images; objects without pixel data are told by that."""
MANUFACTURER = "bedside"
"""Manufacturer (0008,0070) of what the runtime itself writes."""
UID_PATTERN = re.compile(r"[0-9A-Za-z._-]{1,64}")
"""PS3.5 9.1, and the letters that some makers put there; what does not fit is not quoted or written anywhere."""


def why_no_image(header: Header) -> str:
    """Why an object is no source image, or the empty string."""
    sop_class = header.string("SOPClassUID")
    if sop_class and not UID_PATTERN.fullmatch(sop_class):
        return "SOP Class UID is no UID"
    if DICOMDIR_CLASS in (sop_class, header.media_sop_class):
        return "a DICOMDIR: the folder itself is searched"
    if sop_class in NOT_IMAGES:
        return f"{NOT_IMAGES[sop_class]}, not a source image"
    if sop_class.startswith(SecondaryCaptureImageStorage) and header.string("Manufacturer") == MANUFACTURER:
        return "a key image that bedside wrote, not a source image"
    if header.pixels is None and "Image Storage" not in _name(sop_class):
        name = _name(sop_class).removesuffix(" Storage")
        return f"{name}, not an image" if sop_class else "no SOP Class UID: not a DICOM image"
    for level in ("Study", "Series", "SOP"):
        value = header.string(f"{level}InstanceUID")
        if not UID_PATTERN.fullmatch(value):
            return f"{level} Instance UID is no UID" if value else f"no {level} Instance UID"
    return ""


def ends_before_series(header: Header) -> bool:
    """Does a file that may be an image end, between elements or in a UID, before it says of which series it is?"""
    if header.pixels is not None or max(header.values, default=0) > TAGS["SeriesInstanceUID"]:
        return False
    sop_class = header.string("SOPClassUID") or header.media_sop_class
    name = _name(sop_class)
    # A UID without a name is private, or cut itself.
    return name == sop_class or "Image Storage" in name


def _name(uid: str) -> str:
    """The name of a UID of the standard, else the UID."""
    return UID(uid, IGNORE).name
