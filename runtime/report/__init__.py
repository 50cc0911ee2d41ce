"""Results as files: DICOM SEG, SR and key images, PNG, result.json. All or nothing.

Files are made in a hidden folder on the same file system as the output folder and put into place at the end
(:mod:`.commit`); a folder with a result.json is complete. Nothing but the files of an earlier result of the same series
and bundle is ever replaced or removed (:mod:`.folder`).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from time import perf_counter
from typing import BinaryIO

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from ..errors import DeliveryError
from ..quiet import lenient
from ..stopwatch import Progress
from ..study.header import printable
from . import commit, key_image, result_json, seg, seg_check, sr
from .context import Provenance, ReportInput, study_uid_of
from .folder import JSON_NAME, SEG_NAME, SR_NAME, Origin, earlier_files

__all__ = ["Provenance", "ReportInput", "WrittenFile", "require_own", "require_writable", "write_all"]


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A result file that is in its place and was read back."""

    path: Path
    kind: str
    """``seg``, ``sr``, ``key-image``, ``png`` or ``json``."""
    size: int
    sha256: str
    uid: str | None = None
    """SOP Instance UID of a DICOM file."""
    lesion: int | None = None
    """Number of the lesion that a key image or its PNG shows."""


def require_writable(out: Path) -> None:
    """Refuse a folder that could not be written to, before any work is done for it.

    Raises
    ------
    DeliveryError
        ``out``, or the folder it would be made in, is no folder or may not be written to.
    """
    try:
        place = next(path for path in (out.absolute(), *out.absolute().parents) if path.exists())
        if place.is_dir() and not os.access(place, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise DeliveryError(
            f"the results cannot be written to {printable(out)}: {_reason(error)}", mend=_mend(error)
        ) from error
    if not place.is_dir():
        raise DeliveryError(
            f"the results cannot be written to {printable(out)}: {printable(place)} is a file",
            mend="choose another folder",
        )


def require_own(out: Path, study_uid: str, series_uid: str, bundle: str) -> None:
    """Refuse a folder that holds something else than an earlier result of this series and bundle, before any work.

    Raises
    ------
    DeliveryError
        Naming what is there: another result, or a file with a name that a run writes.
    """
    _finish_earlier(out)
    earlier_files(out, Origin(study_uid_of(study_uid, series_uid), series_uid, bundle))


def write_all(data: ReportInput, out: Path, progress: Progress | None = None) -> list[WrittenFile]:
    """Write every result of a study into the folder ``out``, made if need be.

    The same content gives the same UIDs and replaces the files of the earlier run.

    Parameters
    ----------
    data
        What was found, in what, by what.
    out
        Result folder.
    progress
        Called with ("report", done, total).

    Returns
    -------
    The files, result.json last. There is no segmentation.dcm where nothing was found, nor for a classification.

    Raises
    ------
    DeliveryError
        No rights, no room, a file that does not read back as what was meant, or a folder that holds something else
        (:func:`require_own`); ``out`` is then as it was before.
    """
    origin = Origin(data.study_uid, str(data.header.get("SeriesInstanceUID", "")), data.bundle.name)
    _finish_earlier(out)
    earlier_files(out, origin)
    made = _missing_folders(out.parent)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with commit.work_folder(out) as work:
            with lenient():
                files = _write(data, work, progress or (lambda stage, done, total: None))
            commit.place(work, out, [file.path.name for file in files], lambda: earlier_files(out, origin))
        made = []
    except OSError as error:
        raise _undeliverable(out, error) from error
    finally:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
    return [replace(file, path=out / file.path.name) for file in files]


def _missing_folders(folder: Path) -> list[Path]:
    """The folders that making ``folder`` would make, innermost first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def _write(data: ReportInput, folder: Path, progress: Progress) -> list[WrittenFile]:
    start = perf_counter()
    segmentation = seg.build(data) if data.findings.parts is not None else None
    document = sr.build(data, segmentation)
    images = key_image.draw(data)
    total = (segmentation is not None) + 2 + len(images)
    files: list[WrittenFile] = []

    def store(
        name: str,
        kind: str,
        write: Callable[[BinaryIO], object],
        uid: str | None = None,
        lesion: int | None = None,
    ) -> Path:
        path = folder / name
        with path.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files.append(WrittenFile(path, kind, path.stat().st_size, digest, uid, lesion))
        return path

    def store_dataset(name: str, kind: str, dataset: Dataset, lesion: int | None = None) -> None:
        # pydicom raises an error of the disk again without its number, so it never writes to the disk itself.
        content = BytesIO()
        dataset.save_as(content, enforce_file_format=True)
        path = store(name, kind, _writer(content.getvalue()), dataset.SOPInstanceUID, lesion)
        if not _same(dcmread(path), dataset):
            raise DeliveryError(f"{name} does not read back as what was written", mend="write to another disk")
        progress("report", done(), total)

    def done() -> int:
        return sum(file.kind != "png" for file in files)

    if segmentation is not None:
        seg_check.check(store(SEG_NAME, "seg", segmentation.write, segmentation.sop_instance_uid), data)
        progress("report", done(), total)
    store_dataset(SR_NAME, "sr", document)
    for number, (image, dataset) in enumerate(zip(images, key_image.datasets(data, images), strict=True), start=1):
        shown = image.lesion.number if image.lesion else None
        store(f"key-image-{number}.png", "png", _writer(image.png()), lesion=shown)
        store_dataset(f"key-image-{number}.dcm", "key-image", dataset, shown)
    # A file cannot hold the time of its own writing: "report" is that of all the others.
    stages = {**data.provenance.stage_ms, "report": (perf_counter() - start) * 1e3}
    values = {**result_json.build(data, files), "stage_ms": stages}
    content = json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False).encode()
    store(JSON_NAME, "json", _writer(content + b"\n"))
    progress("report", total, total)
    return files


def _same(found: Dataset, meant: Dataset) -> bool:
    """Whether two datasets are equal; what neither of them has decoded yet is compared as it stands in the file."""
    if found.keys() != meant.keys():
        return False
    for tag in meant.keys():  # noqa: SIM118  iterating decodes
        one, other = found.get_item(tag), meant.get_item(tag)
        if isinstance(one, RawDataElement) and isinstance(other, RawDataElement):
            if (one.VR, one.value) != (other.VR, other.value):
                return False
        elif meant[tag].VR == "SQ":
            items, others = found[tag].value, meant[tag].value
            if len(items) != len(others) or not all(map(_same, items, others)):
                return False
        elif found[tag] != meant[tag]:
            return False
    return True


def _writer(content: bytes) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(content)


def _finish_earlier(out: Path) -> None:
    """Put right what a killed run left in the folder."""
    try:
        commit.finish(out)
    except OSError as error:
        raise _undeliverable(out, error) from error


def _undeliverable(out: Path, error: OSError) -> DeliveryError:
    return DeliveryError(f"the results cannot be written to {printable(out)}: {_reason(error)}", mend=_mend(error))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _mend(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "free some room, or choose another folder"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "choose a folder that you may write to"
    return "choose another folder"
