"""Comprehensive 3D SR with TID 1500 Measurement Report (DICOM PS3.3 A.35.13, PS3.16 TID 1500).

- A lesion in a volume is a volumetric ROI group (TID 1411) that references its segment of the SEG; in a 2D image or a
  cine a planar ROI group (TID 1410) that references its frame of the SEG.
- A class of a classifier is a measurement group (TID 1501) with the class as finding, its probability as Certainty of
  Finding (111012, DCM) in percent, and whether it reaches the bundle's threshold as Present or Absent.
- The bundle's finding text is a Conclusion (121077, DCM) at the root; TID 1500 is extensible. What was left out, and
  notes on the input, follow as Comments (121106, DCM).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from highdicom import UID
from highdicom import sr as hsr
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode

from ..findings import ClassScore, Lesion
from ..image import Cine, Frame, Image, Volume
from ..uids import content_uid
from . import encode
from .context import (
    IMPLEMENTATION_UID,
    MANUFACTURER,
    ReportInput,
    instances,
    result_dataset,
)
from .image_library import image_library
from .seg import Segmentation
from .text import finding_text

if TYPE_CHECKING:
    from ..bundle.schema import Code, SegmentSpec

COMPREHENSIVE_3D_SR = "1.2.840.10008.5.1.4.1.1.88.34"
SERIES_NUMBER = 9002
_EVIDENCE = 0x0040A375

_PIXELS = DicomCode("{pixels}", "UCUM", "Pixels")
_HOUNSFIELD = DicomCode("[hnsf'U]", "UCUM", "Hounsfield unit")
_NO_UNIT = DicomCode("1", "UCUM", "no units")
_CHINESE = hsr.CodedConcept("zh", "RFC5646", "Chinese")
_ENGLISH = hsr.CodedConcept("en", "RFC5646", "English")


def build(data: ReportInput, seg: Segmentation | None) -> Dataset:
    """Make the SR of the findings.

    Parameters
    ----------
    seg
        The SEG that lesions reference; None where there is none, then the SR says what was found in words and scores
        only.
    """
    text = finding_text(data.bundle.meta.result.finding, data.findings)
    report = hsr.MeasurementReport(
        observation_context=_observer(data),
        procedure_reported=_procedure(data),
        imaging_measurements=_groups(data, seg),
        title=codes.DCM.ImagingMeasurementReport,
        language_of_content_item_and_descendants=hsr.LanguageOfContentItemAndDescendants(
            _CHINESE if any("\u4e00" <= c <= "\u9fff" for c in text) else _ENGLISH
        ),
    )
    content = report[0]
    _append_texts(content, data, text)
    uid = content_uid("report", data.series_uid("SR"), data.provenance.device, data.software_version, content.to_json())
    # The content is highdicom's; the document around it is a dozen attributes, for which highdicom's Comprehensive3DSR
    # would read tables of the whole standard (0.4 s) and copy the content twice.
    ds = result_dataset(data, COMPREHENSIVE_3D_SR, uid, "SR", SERIES_NUMBER, f"{data.bundle.name}: report")
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    ds.PerformedProcedureCodeSequence, ds.ReferencedPerformedProcedureStepSequence = [], []
    ds[_EVIDENCE] = encode.raw_sequence(_EVIDENCE, [_references(data, seg)])
    ds.update({element.tag: element for element in content})
    place = next(n for n, item in enumerate(ds.ContentSequence) if item.RelationshipType == "CONTAINS")
    before, after = ds.ContentSequence[:place], ds.ContentSequence[place:]
    ds.ContentSequence = Sequence([*before, image_library(data), *after])
    encode.write_as_it_stands(ds)
    return ds


def _groups(data: ReportInput, seg: Segmentation | None) -> list[Any]:
    """One measurement group a class, a lesion, or, where there is no lesion, a segment that was looked for in vain."""
    if data.findings.kind == "classification":
        return [_class_group(data, score) for score in data.findings.scores]
    segments = data.bundle.meta.result.segments
    if seg is None:
        return [_absent_group(data, spec) for spec in segments]
    specs = {spec.label: spec for spec in segments}
    return [_lesion_group(data, seg, lesion, specs[lesion.label]) for lesion in data.findings.lesions]


def _references(data: ReportInput, seg: Segmentation | None) -> bytes:
    """Hierarchical SOP Instance Reference Macro (PS3.3 C.17.2.1): every source image, and the SEG; encoded."""

    def series(uid: str, pairs: list[tuple[str, str]]) -> bytes:
        images = encode.sequence(0x00081199, [encode.item(*encode.reference(*pair)) for pair in pairs])
        return encode.item(images, encode.element(0x0020000E, b"UI", uid.encode("ascii")))

    items = [series(str(data.header.SeriesInstanceUID), instances(data.frames))]
    if seg is not None:
        items.append(series(data.series_uid("SEG"), [(seg.sop_class_uid, seg.sop_instance_uid)]))
    study = encode.element(0x0020000D, b"UI", data.study_uid.encode("ascii"))
    return encode.item(encode.sequence(0x00081115, items), study)


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
    parameters = [
        f"model SHA-256 {data.bundle.sha256}",
        f"device {data.provenance.device}, {data.provenance.proof.text}",
    ]
    return hsr.AlgorithmIdentification(name=data.bundle.name, version=data.bundle.version, parameters=parameters)


def _class_group(data: ReportInput, score: ClassScore) -> Any:
    finding = _coded(score.code)
    return hsr.MeasurementsAndQualitativeEvaluations(
        source_images=_group_images(data),
        tracking_identifier=hsr.TrackingIdentifier(
            uid=content_uid("class", data.series_uid("SR"), str(score.index)), identifier=score.name
        ),
        finding_type=finding,
        algorithm_id=_algorithm(data),
        measurements=[
            hsr.Measurement(
                name=codes.DCM.CertaintyOfFinding, value=_round(100 * score.probability), unit=codes.UCUM.Percent
            )
        ],
        qualitative_evaluations=[
            hsr.QualitativeEvaluation(finding, codes.SCT.Present if score.positive else codes.SCT.Absent)
        ],
    )


def _absent_group(data: ReportInput, spec: SegmentSpec) -> Any:
    return hsr.MeasurementsAndQualitativeEvaluations(
        source_images=_group_images(data),
        tracking_identifier=hsr.TrackingIdentifier(
            uid=content_uid("absent", data.series_uid("SR"), str(spec.label)), identifier=spec.name
        ),
        finding_type=_coded(spec.type),
        finding_category=_coded(spec.category),
        algorithm_id=_algorithm(data),
        finding_sites=_sites(spec),
        qualitative_evaluations=[hsr.QualitativeEvaluation(_coded(spec.type), codes.SCT.Absent)],
    )


def _group_images(data: ReportInput) -> list[Any] | None:
    """The one image that was looked at; of a series, the image library tells."""
    pairs = instances(data.frames)
    if len(pairs) > 1:
        return None
    number = data.frame_number(data.frames[0]) if len(data.frames) == 1 else None
    return [hsr.SourceImageForMeasurementGroup(*pairs[0], None if number is None else [number])]


def _coded(code: Code) -> DicomCode:
    return DicomCode(code.value, code.scheme, code.meaning)


def _sites(spec: SegmentSpec) -> list[Any] | None:
    return [hsr.FindingSite(_coded(spec.anatomy))] if spec.anatomy is not None else None


def _lesion_group(data: ReportInput, seg: Segmentation, lesion: Lesion, spec: SegmentSpec) -> Any:
    common = {
        "tracking_identifier": hsr.TrackingIdentifier(uid=lesion.tracking_uid, identifier=lesion.tracking_id),
        "finding_type": _coded(spec.type),
        "finding_category": _coded(spec.category),
        "algorithm_id": _algorithm(data),
        "finding_sites": _sites(spec),
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
    number = data.frame_number(source)
    seg_frame = next(
        n
        for n, frame in enumerate(seg.frames, start=1)
        if frame.number in (0, lesion.number) and frame.z == lesion.key_slice
    )
    plane = hsr.ReferencedSegmentationFrame(
        sop_class_uid=seg.sop_class_uid,
        sop_instance_uid=seg.sop_instance_uid,
        frame_number=seg_frame,
        segment_number=lesion.number,
        source_image=hsr.SourceImageForSegmentation(
            source.sop_class_uid, source.sop_instance_uid, None if number is None else [number]
        ),
    )
    group = hsr.PlanarROIMeasurementsAndQualitativeEvaluations(referenced_segment=plane, **common)
    # A frame number or a segment number, never both (PS3.3 table 10-3); highdicom writes both. A frame of a label map
    # shows several segments, so there the segment number is the one that tells.
    for item in group[0].ContentSequence:
        if item.name == codes.DCM.ReferencedSegmentationFrame:
            del item.ReferencedSOPSequence[0]["ReferencedFrameNumber" if data.label_map else "ReferencedSegmentNumber"]
    return group


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
    intensity = _intensity(data)
    if intensity is None:
        return result
    for value, derivation in (
        (lesion.mean, codes.SCT.Mean),
        (lesion.std, codes.SCT.StandardDeviation),
        (lesion.minimum, codes.SCT.Minimum),
        (lesion.maximum, codes.SCT.Maximum),
    ):
        if value is not None:
            name, unit = intensity
            result.append(hsr.Measurement(name=name, value=_round(value), unit=unit, derivation=derivation))
    return result


def _intensity(data: ReportInput) -> tuple[DicomCode, DicomCode] | None:
    """What a voxel value measures, and its unit; None where a grey value has no meaning of its own (US, CR,
    photographs).

    CT values are HU unless Rescale Type says otherwise (PS3.3 C.11.1.1.2).
    """
    if data.modality == "CT" and data.header.get("RescaleType", "HU") in ("HU", ""):
        return codes.DCM.AttenuationCoefficient, _HOUNSFIELD
    if data.modality == "MR":
        return codes.DCM.MRSignalIntensity, _NO_UNIT
    return None


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
