"""What every result object shares: patient and study of the source, the equipment, references to the source images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import PersonName

from ..image import Cine, Frame, Image, Volume
from ..stamp import Stamp
from ..study.source_images import MANUFACTURER as MANUFACTURER
from ..uids import content_uid

if TYPE_CHECKING:
    from ..bundle.load import Bundle
    from ..bundle.schema import Code
    from ..findings import Findings

IMPLEMENTATION_UID = content_uid("implementation class", "bedside")
"""Implementation Class UID (DICOM PS3.7 D.3.3.2) of everything this project writes."""

PATIENT = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
STUDY = (
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
)
# Type 2: must be there, may be empty (DICOM PS3.3 C.7.1.1 and C.7.2.1).
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@dataclass(frozen=True)
class Provenance:
    """How the result came about, for result.json and the SR."""

    device: str
    """Device string, e.g. ``openvino:CPU``."""
    device_name: str = ""
    placement: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    proof: Stamp = field(default_factory=Stamp)
    """Whether the device gives the bundle's golden findings on this host."""
    decision: dict[str, Any] | None = None
    """The policy, the devices it chose from and the reasons, as JSON values; None where the device was named."""
    failures: tuple[dict[str, Any], ...] = ()
    """Devices that failed before another one gave this result, or after, as JSON values."""
    stage_ms: dict[str, float] = field(default_factory=dict)
    verdict: Any = None
    """The geometry verdict, as JSON values."""
    selection: dict[str, str] = field(default_factory=dict)
    """Series Instance UID to the reason it was or was not taken."""
    notes: tuple[str, ...] = ()
    """What a reader of the result must know, e.g. that the input is outside the model's domain or was resampled."""
    input_files: int = 0
    skipped: tuple[tuple[str, str], ...] = ()
    """File names that were not read, and why."""


@dataclass(frozen=True)
class ReportInput:
    """Everything a report is made from; the pipeline fills it in."""

    header: Dataset
    """Header of the instance of the first of ``frames``, whole; pixel data may be missing. Text is decoded by its own
    character set.
    """
    source: Volume | Image | Cine
    findings: Findings
    bundle: Bundle
    provenance: Provenance
    used: tuple[Frame, ...] = ()
    """The frames that ``source`` was made of, where slices were resampled; empty takes those of ``source``."""
    multi_frame: frozenset[str] = frozenset()
    """SOP Instance UIDs of the source instances that hold several frames."""
    time: datetime | None = None
    """Content date and time; None is now."""
    software_version: str = "0"
    label_map: bool = False
    """Write the SEG as LABELMAP (one label a pixel) and not as BINARY (one bit a pixel and segment)."""
    threads: int = 0
    """Host threads at most; 0 is every core."""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The source frames that were used, in order, each once."""
        if self.used:
            return self.used
        if isinstance(self.source, Image):
            return (self.source.frame,)
        return tuple(frame for frame in self.source.frames if frame is not None)

    def frame_number(self, frame: Frame) -> int | None:
        """What a reference to the frame must number (DICOM PS3.3 10.3); None where its instance is that one frame."""
        return frame.number if frame.sop_instance_uid in self.multi_frame else None

    @property
    def modality(self) -> str:
        return str(self.header.get("Modality", "") or "OT")

    @property
    def study_uid(self) -> str:
        """That of the source; where it has none, one made from the source series."""
        return study_uid_of(str(self.header.get("StudyInstanceUID", "") or ""), str(self.header.SeriesInstanceUID))

    @property
    def frame_of_reference_uid(self) -> str:
        """That of the source; where it has none, one made from the source series, which then is a frame of its own."""
        given = str(self.header.get("FrameOfReferenceUID", "") or "")
        return given or content_uid("frame of reference", str(self.header.SeriesInstanceUID))

    def series_uid(self, modality: str) -> str:
        """UID of the result series of ``modality``: one for a source series and a model, whatever was found."""
        bundle = self.bundle
        source = str(self.header.get("SeriesInstanceUID", ""))
        return content_uid("series", modality, source, bundle.name, bundle.version, bundle.sha256)


def study_uid_of(given: str, series_uid: str) -> str:
    """The source's Study Instance UID; where it has none, one made from the source series."""
    return given or content_uid("study", series_uid)


def code_item(value: str, scheme: str, meaning: str) -> Dataset:
    """One coded concept (DICOM PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def code_of(code: Code) -> Dataset:
    return code_item(code.value, code.scheme, code.meaning)


def decoded(value: Any) -> Any:
    """A copy of an element's value that no longer carries the bytes or the character set it was read from."""
    if isinstance(value, Sequence):
        items = []
        for item in value:
            copy = Dataset()
            for element in item:
                if not element.tag.is_private:
                    copy.add_new(element.tag, element.VR, decoded(element.value))
            items.append(copy)
        return Sequence(items)
    if isinstance(value, PersonName):
        return str(value)
    return value


def patient_study(data: ReportInput) -> Dataset:
    """Patient and study attributes of the source, as text in UTF-8 (ISO_IR 192)."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword in PATIENT + STUDY:
        if keyword in data.header:
            setattr(ds, keyword, decoded(data.header[keyword].value))
    if ds.get("PatientIdentityRemoved") == "YES" and not (
        ds.get("DeidentificationMethod") or ds.get("DeidentificationMethodCodeSequence")
    ):
        ds.DeidentificationMethod = "not stated by the source"  # Type 1C with the flag (PS3.3 C.7.1.1)
    ds.StudyInstanceUID = data.study_uid
    for keyword in _TYPE_2:
        if keyword not in ds:
            setattr(ds, keyword, "")
    return ds


def result_dataset(
    data: ReportInput, sop_class: str, uid: str, modality: str, number: int, description: str, instance: int = 1
) -> Dataset:
    """A new instance in the patient's study, with its series, equipment, SOP common attributes and file meta."""
    ds = patient_study(data)
    now = data.time or datetime.now()
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class, uid
    ds.Modality = modality
    ds.SeriesInstanceUID, ds.SeriesNumber = data.series_uid(modality), number
    ds.SeriesDescription = description[:64]
    ds.InstanceNumber = instance
    ds.ContentDate, ds.ContentTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S.%f")
    ds.InstanceCreationDate, ds.InstanceCreationTime = ds.ContentDate, ds.ContentTime
    ds.SeriesDate, ds.SeriesTime = ds.ContentDate, ds.ContentTime
    ds.Manufacturer = MANUFACTURER
    ds.ManufacturerModelName = data.bundle.name[:64]
    ds.DeviceSerialNumber = data.bundle.sha256[:16]
    ds.SoftwareVersions = [f"bedside {data.software_version}"[:64], f"model {data.bundle.version}"[:64]]
    ds.file_meta = file_meta(sop_class, uid)
    return ds


def set_lossy_compression(ds: Dataset, data: ReportInput) -> None:
    """Lossy Image Compression of a derived image: once lossy, always lossy (DICOM PS3.3 C.7.6.1.1.5)."""
    ds.LossyImageCompression = "00"
    if data.header.get("LossyImageCompression") == "01":
        ds.LossyImageCompression = "01"
        for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
            if keyword in data.header:
                setattr(ds, keyword, data.header[keyword].value)


def file_meta(sop_class: str, uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = "BEDSIDE"
    return meta


def algorithm_item(data: ReportInput) -> Dataset:
    """Algorithm Identification Macro (DICOM PS3.3 10.16)."""
    item = Dataset()
    item.AlgorithmFamilyCodeSequence = [code_item("123110", "DCM", "Artificial Intelligence")]
    item.AlgorithmVersion = data.bundle.version[:64]
    item.AlgorithmParameters = (
        f"model SHA-256 {data.bundle.sha256}; device {data.provenance.device}, {data.provenance.proof.text}"
    )
    item.AlgorithmName = data.bundle.name[:64]
    item.AlgorithmSource = MANUFACTURER
    return item


def instances(frames: Iterable[Frame]) -> list[tuple[str, str]]:
    """SOP class and instance UID of every instance that the frames lie in, each once, in order."""
    return list(dict.fromkeys((frame.sop_class_uid, frame.sop_instance_uid) for frame in frames))


def reference(sop_class: str, uid: str, frame: int | None = None) -> Dataset:
    """Image SOP Instance Reference Macro (DICOM PS3.3 10.3)."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    if frame is not None:
        item.ReferencedFrameNumber = frame
    return item
