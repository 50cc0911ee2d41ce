"""The files of a study: one file, a folder tree, or what a DICOMDIR lists."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import StudyRejected
from .dicomdir import read_dicomdir
from .header import HeaderError, file_name, printable, read_header

DICOMDIR_CLASS = "1.2.840.10008.1.3.10"
"""Media Storage Directory Storage."""


def find_files(root: Path) -> tuple[list[Path], list[tuple[Path, str]]]:
    """The files of a study in a fixed order, and those a DICOMDIR lists that are not there, with their series UID.

    Raises
    ------
    StudyRejected
        ``root`` does not exist or cannot be read.
    """
    try:
        root.stat()
    except FileNotFoundError:
        mend = "give a DICOM file, a folder of them, or a DICOMDIR"
        raise StudyRejected(f"'{printable(root)}' does not exist", mend=mend) from None
    except OSError as error:
        raise StudyRejected(f"'{printable(root)}' cannot be read: {error.strerror}") from error
    if root.is_file():
        if root.name.upper() != "DICOMDIR" and not _is_dicomdir(root):
            return [root], []
        try:
            return read_dicomdir(root)
        except HeaderError as error:
            raise StudyRejected(
                f"{file_name(root)}: {error}", mend="give the folder instead of its DICOMDIR"
            ) from error
    files: list[str] = []
    place = root.stat()
    seen = {(place.st_dev, place.st_ino)}
    folders = [str(root)]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir():
                        place = entry.stat()
                        if (place.st_dev, place.st_ino) not in seen:
                            seen.add((place.st_dev, place.st_ino))
                            folders.append(entry.path)
                    elif entry.is_file():
                        files.append(entry.path)
        except OSError as error:
            raise StudyRejected(f"folder '{printable(folder)}' cannot be read: {error.strerror}") from error
    return [Path(name) for name in _once(sorted(files))], []


def _once(names: Iterable[str]) -> Iterator[str]:
    """Each file once, by its first name: hard links and symbolic links give one file several."""
    seen: set[tuple[int, int]] = set()
    for name in names:
        try:
            place = Path(name).stat()
        except OSError:  # gone since the folder was listed: reading it says so
            yield name
            continue
        if (place.st_dev, place.st_ino) not in seen:
            seen.add((place.st_dev, place.st_ino))
            yield name


def _is_dicomdir(path: Path) -> bool:
    try:
        return read_header(path).media_sop_class == DICOMDIR_CLASS
    except HeaderError:
        return False
