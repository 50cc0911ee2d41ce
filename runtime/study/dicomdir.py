"""The files a DICOMDIR lists (DICOM PS3.3 F.3, PS3.10 8.6)."""

from __future__ import annotations

from pathlib import Path

from pydicom.dataset import Dataset

from .header import parsing, read_dataset


def read_dicomdir(path: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The files there are, in the order of the records, and those listed that are not there, with their series UID.

    Records are linked by byte offsets, which a damaged file may make a circle: each record is visited once. Where the
    offsets lead nowhere, the records are taken in the order they stand.

    Raises
    ------
    HeaderError
        The DICOMDIR cannot be read.
    """
    dataset = read_dataset(path)
    with parsing("the directory records"):
        records = list(dataset.get("DirectoryRecordSequence") or [])
        return _files(path.parent, _linked(dataset, records) or _in_order(records))


def _files(folder: Path, records: list[tuple[Dataset, str]]) -> tuple[list[Path], list[tuple[Path, str]]]:
    there: list[Path] = []
    missing: list[tuple[Path, str]] = []
    for record, series in records:
        parts = _file_id(record)
        if not parts:
            continue
        file = _locate(folder, parts)
        if file is not None:
            there.append(file)
        else:
            image = str(record.get("DirectoryRecordType", "")) == "IMAGE"
            missing.append((folder.joinpath(*parts), series if image else ""))
    return list(dict.fromkeys(there)), missing


def _linked(dataset: Dataset, records: list[Dataset]) -> list[tuple[Dataset, str]]:
    """Records with their series UID, by following the offsets; empty unless these reach every file."""
    by_offset = {_offset_of(record): record for record in records}
    found: list[tuple[Dataset, str]] = []
    visited: set[int] = set()
    waiting = [(_number(dataset, "OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity"), "")]
    while waiting:
        offset, series = waiting.pop()
        record = by_offset.get(offset)
        if record is None or offset in visited:
            continue
        visited.add(offset)
        waiting.append((_number(record, "OffsetOfTheNextDirectoryRecord"), series))
        own = str(record.get("SeriesInstanceUID", "")) if record.get("DirectoryRecordType") == "SERIES" else series
        waiting.append((_number(record, "OffsetOfReferencedLowerLevelDirectoryEntity"), own))
        found.append((record, series))
    return found if len(visited) == len(records) else []


def _in_order(records: list[Dataset]) -> list[tuple[Dataset, str]]:
    series = ""
    found = []
    for record in records:
        if record.get("DirectoryRecordType") == "SERIES":
            series = str(record.get("SeriesInstanceUID", ""))
        found.append((record, series))
    return found


def _offset_of(record: Dataset) -> int:
    return int(getattr(record, "seq_item_tell", 0) or 0)


def _number(dataset: Dataset, name: str) -> int:
    value = dataset.get(name)
    return value if isinstance(value, int) else 0


def _file_id(record: Dataset) -> list[str]:
    """Referenced File ID (0004,1500), without components that would leave the folder of the DICOMDIR."""
    value = record.get("ReferencedFileID")
    parts = [value] if isinstance(value, str) else list(value or [])
    names = [str(part).strip() for part in parts]
    return names if all(name and name not in (".", "..") and "/" not in name for name in names) else []


def _locate(folder: Path, parts: list[str]) -> Path | None:
    """The file by its ID; media mounted without Rock Ridge show upper-case IDs in lower case."""
    for candidate in (parts, [part.lower() for part in parts]):
        file = folder.joinpath(*candidate)
        if file.is_file():
            return file
    return None
