"""Image Library of an SR (DICOM PS3.16 TID 1600 to 1604): the source series, what its images share told once for all.

highdicom's library repeats every descriptor for every image (18 s for a CT series of 300) and looks each image up in
tables of the whole standard. The references, one an image, are encoded here as bytes: as datasets they took longer to
make, write and read back than the rest of the document.
"""

from __future__ import annotations

from highdicom import sr as hsr
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from . import encode
from .context import ReportInput, code_item, instances

_CONTENT = 0x0040A730
_CONTEXT = hsr.RelationshipTypeValues.HAS_ACQ_CONTEXT
_PIXELS = Code("{pixels}", "UCUM", "Pixels")
_COSINE = Code("{-1:1}", "UCUM", "{-1:1}")
_MODALITIES = {
    "CT": "Computed Tomography",
    "MR": "Magnetic Resonance",
    "PT": "Positron emission tomography",
    "US": "Ultrasound",
    "CR": "Computed Radiography",
    "DX": "Digital Radiography",
    "MG": "Mammography",
    "OP": "Ophthalmic Photography",
    "ES": "Endoscopy",
    "XC": "External-camera Photography",
}
"""Of CID 29 (PS3.16); the descriptor is left out for others."""


def image_library(data: ReportInput) -> Dataset:
    """The Image Library container with one group: shared descriptors, then a reference to each source instance."""
    kind = encode.element(0x0040A010, b"CS", b"CONTAINS") + encode.element(0x0040A040, b"CS", b"IMAGE")
    concept = encode.code(0x0040A043, "260753009", "SCT", "Source")
    images = [
        encode.item(encode.sequence(0x00081199, [encode.item(*encode.reference(*pair))]), kind, concept)
        for pair in instances(data.frames)
    ]
    group = _container(codes.DCM.ImageLibraryGroup, [])
    group[_CONTENT] = encode.raw_sequence(_CONTENT, [*map(encode.dataset_item, _descriptors(data)), *images])
    return _container(codes.DCM.ImageLibrary, [group])


def _descriptors(data: ReportInput) -> list[Dataset]:
    frame = data.frames[0]
    items: list[Dataset] = []

    def number(name: Code, value: float | None, unit: Code) -> None:
        if value is not None:
            # Numeric Value is a DS: a float of 17 digits would not read back as it was written.
            short = value if isinstance(value, int) else float(encode.decimal_string(value))
            items.append(hsr.NumContentItem(name=name, value=short, unit=unit, relationship_type=_CONTEXT))

    if data.modality in _MODALITIES:
        modality = Code(data.modality, "DCM", _MODALITIES[data.modality])
        items.append(hsr.CodeContentItem(name=codes.DCM.Modality, value=modality, relationship_type=_CONTEXT))
    if data.header.get("FrameOfReferenceUID"):
        items.append(
            hsr.UIDRefContentItem(
                name=codes.DCM.FrameOfReferenceUID,
                value=str(data.header.FrameOfReferenceUID),
                relationship_type=_CONTEXT,
            )
        )
    number(codes.DCM.PixelDataRows, frame.rows, _PIXELS)
    number(codes.DCM.PixelDataColumns, frame.columns, _PIXELS)
    if frame.spacing is not None:
        number(codes.DCM.HorizontalPixelSpacing, frame.spacing[1], codes.UCUM.Millimeter)
        number(codes.DCM.VerticalPixelSpacing, frame.spacing[0], codes.UCUM.Millimeter)
    if frame.orientation is not None and data.modality in ("CT", "MR", "PT"):
        number(codes.DCM.SliceThickness, frame.thickness, codes.UCUM.Millimeter)
        names = ("RowX", "RowY", "RowZ", "ColumnX", "ColumnY", "ColumnZ")
        for name, cosine in zip(names, frame.orientation, strict=True):
            number(getattr(codes.DCM, f"ImageOrientationPatient{name}"), cosine, _COSINE)
    return items


def _container(name: Code, content: list[Dataset]) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType = "CONTAINS", "CONTAINER"
    item.ConceptNameCodeSequence = [code_item(name.value, name.scheme_designator, name.meaning)]
    item.ContinuityOfContent = "CONTINUOUS"
    item.ContentSequence = Sequence(content)
    return item
