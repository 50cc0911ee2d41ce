"""Comprehensive 3D SR with TID 1500 Measurement Report (DICOM PS3.3 A.35.13, PS3.16 TID 1500).

- A lesion in a volume is a volumetric ROI group (TID 1411) that references its segment of the SEG; in a 2D image or a
  cine a planar ROI group (TID 1410) that references its frame of the SEG.
- A class of a classifier is a measurement group (TID 1501) with the class as finding, its probability as Certainty of
  Finding (111012, DCM) in percent, and whether it reaches the bundle's threshold as Present or Absent.
- The bundle's finding text is a Conclusion (121077, DCM) at the root; TID 1500 is extensible. What was left out, and
  notes on the input, follow as Comments (121106, DCM).
"""

from __future__ import annotations

import warnings
from typing import Any

from highdicom import UID
from highdicom import sr as hsr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode

from ..findings import ClassScore, Lesion
from ..image import Cine, Frame, Image, Volume
from ..uids import content_uid
from .context import IMPLEMENTATION_UID, MANUFACTURER, ReportInput, instances, patient_study, result_dataset
from .seg import Segmentation
from .text import finding_text

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
SERIES_NUMBER = 9002

_PIXELS = DicomCode("{pixels}", "UCUM", "Pixels")
_HOUNSFIELD = DicomCode("[hnsf'U]", "UCUM", "Hounsfield unit")
_NO_UNIT = DicomCode("1", "UCUM", "no units")
_GREY = DicomCode("grey-value", "99BEDSIDE", "Pixel value after modality transformation")
_CHINESE = hsr.CodedConcept("zh", "RFC5646", "Chinese")
_ENGLISH = hsr.CodedConcept("en", "RFC5646", "English")


def build(data: ReportInput, seg: Segmentation | None) -> Dataset:
    """Make the SR of the findings.

    Parameters
    ----------
    seg
        The SEG that lesions reference; None where there is none, then the SR says what was found in words and scores
        only.

    Raises
    ------
    BundleError
        The bundle's finding text cannot be filled in.
    """
    with warnings.catch_warnings():
        # highdicom warns of unusual person names by quoting them; a patient's name must not reach a log.
        warnings.simplefilter("ignore")
        return _build(data, seg)


def _build(data: ReportInput, seg: Segmentation | None) -> Dataset:
    text = finding_text(data.bundle.meta.result.finding, data.findings)
    groups: list[Any] = [_class_group(data, score) for score in data.findings.scores]
    if seg is not None:
        specs = {spec.label: spec for spec in data.bundle.meta.result.segments}
        groups += [_lesion_group(data, seg, lesion, specs[lesion.label]) for lesion in data.findings.lesions]
    evidence = _evidence(data, seg)
    images = evidence[: len(evidence) - (seg is not None)]
    report = hsr.MeasurementReport(
        observation_context=_observer(data),
        procedure_reported=_procedure(data),
        imaging_measurements=groups or None,
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=hsr.LanguageOfContentItemAndDescendants(
            _CHINESE if any("\u4e00" <= c <= "\u9fff" for c in text) else _ENGLISH
        ),
        referenced_images=images,
    )
    _append_texts(report[0], data, text)
    uid = content_uid(
        "report", data.series_uid("SR"), data.provenance.device, data.software_version, report[0].to_json()
    )
    document = hsr.Comprehensive3DSR(
        evidence=evidence,
        content=report[0],
        series_number=SERIES_NUMBER,
        series_instance_uid=data.series_uid("SR"),
        sop_instance_uid=uid,
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        specific_character_set="ISO_IR 192",
    )
    # Patient, study, series and equipment come from one place for all results; highdicom's own are replaced.
    ours = result_dataset(data, COMPREHENSIVE_3D_SR, uid, "SR", SERIES_NUMBER, f"{data.bundle.name}: report")
    result = Dataset()
    result.update({element.tag: element for element in document if element.keyword != "ContributingEquipmentSequence"})
    result.update({element.tag: element for element in ours})
    result.file_meta = ours.file_meta
    return result


def _procedure(data: ReportInput) -> DicomCode:
    return {
        "CT": DicomCode("77477000", "SCT", "Computed tomography"),
        "MR": DicomCode("113091000", "SCT", "Magnetic resonance imaging"),
        "US": DicomCode("16310003", "SCT", "Ultrasonography"),
        "CR": DicomCode("168537006", "SCT", "Plain radiography"),
        "DX": DicomCode("168537006", "SCT", "Plain radiography"),
        "MG": DicomCode("71651007", "SCT", "Mammography"),
    }.get(data.modality, DicomCode("363679005", "SCT", "Imaging procedure"))


def _observer(data: ReportInput) -> Any:
    attributes = hsr.DeviceObserverIdentifyingAttributes(
        uid=UID(content_uid("device", IMPLEMENTATION_UID, data.bundle.sha256)),
        name=data.bundle.name[:64],
        manufacturer_name=MANUFACTURER,
        model_name=f"bedside {data.software_version}"[:64],
        serial_number=data.bundle.sha256[:16],
    )
    context = hsr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=attributes)
    return hsr.ObservationContext(observer_device_context=context)


def _algorithm(data: ReportInput) -> Any:
    parameters = [f"model SHA-256 {data.bundle.sha256}", f"device {data.provenance.device}"]
    if data.provenance.proof:
        parameters.append(f"proof {data.provenance.proof}")
    return hsr.AlgorithmIdentification(name=data.bundle.name, version=data.bundle.version, parameters=parameters)


def _evidence(data: ReportInput, seg: Segmentation | None) -> list[Dataset]:
    """One small header per source instance, with what the image library tells of it, then the SEG."""
    shared = patient_study(data)
    header = data.header
    first: dict[str, Frame] = {}
    for frame in data.frames:
        first.setdefault(frame.sop_instance_uid, frame)
    result = []
    for sop_class, uid in instances(data.frames):
        ds = Dataset()
        ds.update({element.tag: element for element in shared})
        frame = first[uid]
        ds.SOPClassUID, ds.SOPInstanceUID, ds.SeriesInstanceUID = sop_class, uid, header.SeriesInstanceUID
        ds.Rows, ds.Columns = frame.rows, frame.columns
        # The library's descriptors of a plane are given for single-frame planes only, and only where they are all
        # known.
        plane = not data.multi_frame and None not in (frame.position, frame.orientation, frame.spacing, frame.thickness)
        ds.Modality = data.modality if plane and data.modality in ("CT", "MR", "PT") else "OT"
        if plane:
            ds.ImagePositionPatient, ds.ImageOrientationPatient = (
                list(frame.position or ()),
                list(frame.orientation or ()),
            )
            ds.PixelSpacing, ds.SliceThickness = list(frame.spacing or ()), frame.thickness
        if frame.frame_of_reference_uid:
            ds.FrameOfReferenceUID = frame.frame_of_reference_uid
        result.append(ds)
    if seg is not None:
        ds = Dataset()
        ds.update({element.tag: element for element in shared})
        ds.SOPClassUID, ds.SOPInstanceUID = seg.sop_class_uid, seg.sop_instance_uid
        ds.SeriesInstanceUID = data.series_uid("SEG")
        result.append(ds)
    return result


def _class_group(data: ReportInput, score: ClassScore) -> Any:
    finding = DicomCode(score.code.value, score.code.scheme, score.code.meaning)
    source = data.frames[0]
    numbers = [source.number] if data.multi_frame and len(data.frames) == 1 else None
    tracking = content_uid("class", data.series_uid("SR"), str(score.index))
    return hsr.MeasurementsAndQualitativeEvaluations(
        source_images=[hsr.SourceImageForMeasurementGroup(source.sop_class_uid, source.sop_instance_uid, numbers)],
        tracking_identifier=hsr.TrackingIdentifier(uid=tracking, identifier=score.name),
        finding_type=finding,
        algorithm_id=_algorithm(data),
        measurements=[
            hsr.Measurement(
                name=codes.DCM.CertaintyOfFinding,
                value=round(100 * score.probability, 4),
                unit=codes.UCUM.Percent,
            )
        ],
        qualitative_evaluations=[
            hsr.QualitativeEvaluation(finding, codes.SCT.Present if score.positive else codes.SCT.Absent)
        ],
    )


def _lesion_group(data: ReportInput, seg: Segmentation, lesion: Lesion, spec: Any) -> Any:
    common = {
        "tracking_identifier": hsr.TrackingIdentifier(uid=lesion.tracking_uid, identifier=lesion.tracking_id),
        "finding_type": DicomCode(spec.type.value, spec.type.scheme, spec.type.meaning),
        "finding_category": DicomCode(spec.category.value, spec.category.scheme, spec.category.meaning),
        "algorithm_id": _algorithm(data),
        "finding_sites": [hsr.FindingSite(DicomCode(spec.anatomy.value, spec.anatomy.scheme, spec.anatomy.meaning))]
        if spec.anatomy
        else None,
        "measurements": _measurements(data, lesion),
    }
    if isinstance(data.source, Volume):
        segment = hsr.ReferencedSegment(
            sop_class_uid=seg.sop_class_uid,
            sop_instance_uid=seg.sop_instance_uid,
            segment_number=lesion.number,
            frame_numbers=None,
            source_series=hsr.SourceSeriesForSegmentation(data.header.SeriesInstanceUID),
        )
        return hsr.VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=segment, **common)
    source = _frame(data.source, lesion.key_slice)
    numbers = [source.number] if data.multi_frame else None
    frame_number = next(
        n
        for n, frame in enumerate(seg.frames, start=1)
        if frame.number in (0, lesion.number) and frame.z == lesion.key_slice
    )
    plane = hsr.ReferencedSegmentationFrame(
        sop_class_uid=seg.sop_class_uid,
        sop_instance_uid=seg.sop_instance_uid,
        frame_number=frame_number,
        segment_number=lesion.number,
        source_image=hsr.SourceImageForSegmentation(source.sop_class_uid, source.sop_instance_uid, numbers),
    )
    return hsr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=plane, **common)


def _frame(source: Image | Cine, index: int) -> Frame:
    return source.frame if isinstance(source, Image) else source.frames[index]


def _measurements(data: ReportInput, lesion: Lesion) -> list[Any]:
    result = []
    if lesion.volume_mm3 is not None:
        result.append(
            hsr.Measurement(name=codes.SCT.Volume, value=_round(lesion.volume_mm3), unit=codes.UCUM.CubicMillimeter)
        )
    elif lesion.area_mm2 is not None:
        result.append(
            hsr.Measurement(name=codes.SCT.Area, value=_round(lesion.area_mm2), unit=codes.UCUM.SquareMillimeter)
        )
    if lesion.longest_diameter_mm is not None:
        result.append(
            hsr.Measurement(
                name=codes.SCT.LongAxis, value=_round(lesion.longest_diameter_mm), unit=codes.UCUM.Millimeter
            )
        )
    elif lesion.longest_diameter_px is not None:
        result.append(hsr.Measurement(name=codes.SCT.LongAxis, value=_round(lesion.longest_diameter_px), unit=_PIXELS))
    name, unit = _intensity(data)
    for value, derivation in (
        (lesion.mean, codes.SCT.Mean),
        (lesion.std, codes.SCT.StandardDeviation),
        (lesion.minimum, codes.SCT.Minimum),
        (lesion.maximum, codes.SCT.Maximum),
    ):
        if value is not None:
            result.append(hsr.Measurement(name=name, value=_round(value), unit=unit, derivation=derivation))
    return result


def _intensity(data: ReportInput) -> tuple[DicomCode, DicomCode]:
    """What a voxel value is, and its unit (PS3.3 C.11.1.1.2: CT values are HU unless Rescale Type says otherwise)."""
    if data.modality == "CT" and data.header.get("RescaleType", "HU") in ("HU", ""):
        return codes.DCM.AttenuationCoefficient, _HOUNSFIELD
    if data.modality == "MR":
        return codes.DCM.MRSignalIntensity, _NO_UNIT
    return _GREY, _NO_UNIT


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def _append_texts(root: Dataset, data: ReportInput, text: str) -> None:
    items = []
    findings = data.findings
    if text:
        items.append((codes.DCM.Conclusion, text))
    if findings.parts is not None and not findings.lesions:
        items.append((codes.DCM.Conclusion, "No finding: the model marked nothing in this series."))
    left_out = [
        f"{count} part(s) of '{name}' below the reported size were left out." for name, count in findings.dropped
    ]
    comments = (*left_out, *findings.notes, *data.provenance.notes, "Not for diagnosis.")
    items += [(codes.DCM.Comment, comment) for comment in comments]
    for name, value in items:
        root.ContentSequence.append(
            hsr.TextContentItem(name=name, value=value, relationship_type=hsr.RelationshipTypeValues.CONTAINS)
        )
