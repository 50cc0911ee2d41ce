"""What of a source's header the results take over, and what of that cannot be read."""

from __future__ import annotations

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset

from ..quiet import lenient
from .context import PATIENT, STUDY, decoded

COPIED = (
    *PATIENT,
    *STUDY,
    "BodyPartExamined",
    "Laterality",
    "LossyImageCompression",
    "LossyImageCompressionMethod",
    "LossyImageCompressionRatio",
    "PatientOrientation",
    "PixelAspectRatio",
    "PositionReferenceIndicator",
    "RescaleType",
)


def readable(header: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    """The header without what the results would take over of it but cannot, and a note that names what that was.

    pydicom parses a value when it is asked for. A weight of ``80kg`` is no reason to give a study no result; the note
    names the attribute and not the value, which may be the patient's.
    """
    unread = [keyword for keyword in COPIED if keyword in header and not _copies(header, keyword)]
    if not unread:
        return header, ()
    kept = header[:]
    for keyword in unread:
        del kept[keyword]
    return kept, (f"the source's {', '.join(unread)} cannot be read and {_is(len(unread))} left out of the results",)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _copies(header: Dataset, keyword: str) -> bool:
    """Can the value be parsed, and written again as UTF-8?"""
    copy = Dataset()
    with lenient():
        try:
            setattr(copy, keyword, decoded(header[keyword].value))
            file = DicomFileLike(BytesIO())
            file.is_little_endian, file.is_implicit_VR = True, False
            write_dataset(file, copy, parent_encoding="utf8")
        except Exception:  # whatever a damaged value provokes in pydicom
            return False
    return True
