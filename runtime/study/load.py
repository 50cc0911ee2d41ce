"""DICOM in: find the files of a study, read their headers, group them into series."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import StudyRejected
from ..image import Frame, UltrasoundRegion
from ..stopwatch import Progress
from . import text
from .files import find_files
from .header import EMPTY_FILE, Header, HeaderError, file_name, printable, read_dataset, read_header, shown
from .instance import Instance, frames_of, read_instance
from .patient import require_one_patient
from .regions import ultrasound_regions
from .series import LISTED, Series, Skipped, Study
from .source_images import ends_before_series, why_no_image

SLICED = ("CT", "MR", "PT")
"""Modalities whose frames are slices even where positions are missing: the geometry gate says what is missing."""


@dataclass
class _Found:
    headers: list[Header] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    damaged: dict[str, list[Skipped]] = field(default_factory=lambda: defaultdict(list))


def load_study(path: Path | str, *, study_uid: str | None = None, progress: Progress | None = None) -> Study:
    """Read the headers of all DICOM files under ``path`` and group the images into series.

    Parameters
    ----------
    path : Path or str
        A file, a folder (searched with all its sub-folders) or a DICOMDIR.
    study_uid : str, optional
        Which study, where there are several.
    progress : callable, optional
        Called with ("read", files done, files).

    Raises
    ------
    StudyRejected
        Nothing there, no image among what is there, or more than one study or patient.
    """
    if path == "":
        raise StudyRejected("the path of the study is empty", mend="give a DICOM file, a folder of them, or a DICOMDIR")
    root = Path(path)
    files, missing = find_files(root)
    found = _read_headers(files, progress)
    for name, series in missing:
        lost = Skipped(name, "listed in the DICOMDIR, but not there")
        if series:
            found.damaged[series].append(lost)
        else:
            found.skipped.append(lost)
    images = _pick_study(root, found, study_uid)
    return _assemble(root, images, found)


def _read_headers(files: Sequence[Path], progress: Progress | None) -> _Found:
    found = _Found()
    step = max(1, len(files) // 100)
    for done, path in enumerate(files):
        if progress is not None and done % step == 0:
            progress("read", done, len(files))
        try:
            header = read_header(path)
        except HeaderError as error:
            skipped = Skipped(path, str(error))
            if error.truncated and error.series_uid:
                found.damaged[error.series_uid].append(skipped)
            elif error.doubtful and path.name.upper() != "DICOMDIR":
                found.skipped.append(_unplaced(path, str(error)))
            else:
                found.skipped.append(skipped)
            continue
        reason = why_no_image(header)
        if ends_before_series(header):
            found.skipped.append(_unplaced(path, "the file ends inside its header"))
        elif reason:
            found.skipped.append(Skipped(path, reason))
        else:
            found.headers.append(header)
    if progress is not None:
        progress("read", len(files), len(files))
    return found


def _unplaced(path: Path, reason: str) -> Skipped:
    return Skipped(path, f"{reason}: of which series it is cannot be told", unplaced=True)


def _pick_study(root: Path, found: _Found, study_uid: str | None) -> list[Header]:
    """The images of the one study asked for, or of the only one there is."""
    studies: dict[str, list[Header]] = defaultdict(list)
    for header in found.headers:
        studies[header.string("StudyInstanceUID")].append(header)
    if not studies:
        raise StudyRejected(_nothing_left(root, found), mend=_mend_nothing(found))
    if study_uid is not None:
        if study_uid not in studies:
            there = ", ".join(sorted(studies))
            raise StudyRejected(f"study {study_uid} is not in '{printable(root)}'; there: {there}")
        images = studies[study_uid]
    elif len(studies) > 1:
        listed = ", ".join(f"{uid} ({_summary(headers)})" for uid, headers in sorted(studies.items()))
        patients = len({_patient(header) for header in found.headers})
        whose = f" of {patients} patients" if patients > 1 else ""
        raise StudyRejected(
            f"'{printable(root)}' holds {len(studies)} studies{whose}: {listed}", mend="name one with --study UID"
        )
    else:
        images = found.headers
    require_one_patient(images)
    return images


def _patient(header: Header) -> str:
    """The patient as text: one name has other bytes in another character set."""
    return text.decode(header.raw("PatientID") or header.raw("PatientName"), text.charset_of(header))


def _summary(headers: Sequence[Header]) -> str:
    modalities = sorted({shown(header.string("Modality")) or "no modality" for header in headers})
    return f"{'/'.join(modalities)}, {len(headers)} file{'s' if len(headers) > 1 else ''}"


def _nothing_left(root: Path, found: _Found) -> str:
    if not found.skipped and not found.damaged:
        return f"no files in '{printable(root)}'"
    every = [*found.skipped, *(skipped for lost in found.damaged.values() for skipped in lost)]
    reasons = Counter(skipped.reason for skipped in every)
    if len(every) == 1:
        only = every[0]
        return f"no image in '{file_name(root)}': {only.name} is skipped: {only.reason}"
    first = {skipped.reason: skipped.name for skipped in reversed(every)}
    listed = "; ".join(f"{count} x {reason} (first {first[reason]})" for reason, count in reasons.most_common(4))
    return f"no image in '{printable(root)}': {listed}"


def _mend_nothing(found: _Found) -> str:
    if any("Segmentation" in skipped.reason for skipped in found.skipped):
        return "give the study of images it was made from"
    return "give a DICOM image file, a folder of them, or a DICOMDIR"


def _assemble(root: Path, images: Iterable[Header], found: _Found) -> Study:
    groups: dict[str, list[Header]] = defaultdict(list)
    for header in images:
        groups[header.string("SeriesInstanceUID")].append(header)
    skipped = list(found.skipped)
    unplaced = tuple(one for one in skipped if one.unplaced)
    series = [_series(uid, headers, found.damaged.pop(uid, []), skipped) for uid, headers in groups.items()]
    for lost in found.damaged.values():
        skipped.extend(lost)
    kept = sorted((one for one in series if one is not None), key=lambda s: (s.number is None, s.number or 0, s.uid))
    if not kept:
        found.skipped = skipped
        raise StudyRejected(_nothing_left(root, found), mend="send the series again from the scanner or the PACS")
    first = next(iter(groups.values()))[0]
    charset = text.charset_of(first)
    return Study(
        path=root,
        series=tuple(replace(one, damaged=(*one.damaged, *unplaced)) for one in kept) if unplaced else tuple(kept),
        skipped=tuple(skipped),
        study_uid=first.string("StudyInstanceUID"),
        patient_name=text.person_name(first.raw("PatientName"), charset),
        patient_id=text.decode(first.raw("PatientID"), charset),
        patient_birth_date=first.string("PatientBirthDate"),
        patient_sex=first.string("PatientSex"),
        accession=text.decode(first.raw("AccessionNumber"), charset),
        study_id=text.decode(first.raw("StudyID"), charset),
        study_date=first.string("StudyDate"),
        study_time=first.string("StudyTime"),
        description=text.decode(first.raw("StudyDescription"), charset),
        charset=charset,
        notes=(*dict.fromkeys(one.charset.note for one in kept if one.charset.note), *_empty_files(skipped)),
    )


def _empty_files(skipped: Iterable[Skipped]) -> list[str]:
    """A note where a slice may have been lost: a transfer that broke off leaves a name and no content."""
    names = [one.name for one in skipped if one.reason == EMPTY_FILE]
    if not names:
        return []
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    what = "1 empty file was" if len(names) == 1 else f"{len(names)} empty files were"
    return [f"{what} passed over, a slice may be missing: {', '.join(names[:LISTED])}{more}"]


def _series(uid: str, headers: list[Header], damaged: list[Skipped], skipped: list[Skipped]) -> Series | None:
    """One series; a file whose pixel description is impossible makes the series damaged."""
    frames: list[Frame] = []
    instances: list[Instance] = []
    sound: list[Header] = []
    lost = list(damaged)
    for header in headers:
        try:
            instance = read_instance(header)
            frames.extend(frames_of(header, instance))
        except HeaderError as error:
            lost.append(Skipped(header.path, str(error)))
            continue
        instances.append(instance)
        sound.append(header)
    if not instances:
        skipped.extend(lost)
        return None
    first = sound[0]
    charset = text.charset_of(first)
    regions: tuple[UltrasoundRegion, ...] = ()
    if first.has("SequenceOfUltrasoundRegions"):
        try:
            regions = ultrasound_regions(read_dataset(first.path))
        except HeaderError as error:
            lost.append(Skipped(first.path, str(error)))
    return Series(
        uid=uid,
        study_uid=first.string("StudyInstanceUID"),
        modality=first.string("Modality"),
        sop_class_uid=first.string("SOPClassUID"),
        frames=tuple(frames),
        instances=tuple(instances),
        kind=_kind(first.string("Modality"), frames, instances),
        number=first.integer("SeriesNumber"),
        description=text.decode(first.raw("SeriesDescription"), charset),
        body_part=text.decode(first.raw("BodyPartExamined"), charset).split("\\")[0].strip(),
        frame_of_reference_uid=first.string("FrameOfReferenceUID") or None,
        image_type=first.strings("ImageType"),
        photometric=instances[0].photometric,
        transfer_syntaxes=tuple(sorted({instance.transfer_syntax for instance in instances})),
        regions=regions,
        damaged=tuple(lost),
        charset=charset,
    )


def _kind(modality: str, frames: Sequence[Frame], instances: Sequence[Instance]) -> str:
    placed = sum(1 for frame in frames if frame.position is not None and frame.orientation is not None)
    if len(frames) > 1 and (placed * 2 > len(frames) or modality in SLICED):
        return "volume"
    return "cine" if any(instance.frames > 1 for instance in instances) else "image"
