"""Whose the files of a result folder are: only an earlier result of the same series and bundle is ever replaced."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DeliveryError
from ..study.header import printable, shown
from .key_image import MAX_IMAGES
from .result_json import SCHEMA

SEG_NAME, SR_NAME, JSON_NAME = "segmentation.dcm", "report.dcm", "result.json"
_OWN = re.compile(r"segmentation\.dcm|report\.dcm|key-image-[1-9][0-9]*\.(dcm|png)")
_WRITTEN = (
    JSON_NAME,
    SEG_NAME,
    SR_NAME,
    *(f"key-image-{number}.{kind}" for number in range(1, MAX_IMAGES + 1) for kind in ("dcm", "png")),
)
"""Every name that a run may write."""
_MAX_JSON = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """What a result is of. A rerun of the same replaces it; anything else is another result."""

    study_uid: str
    series_uid: str
    bundle: str


def earlier_files(out: Path, origin: Origin) -> list[str]:
    """Names of the files in ``out`` that an earlier result of the same origin says are its own.

    Raises
    ------
    DeliveryError
        The folder holds a result of something else, or a file that no result owns has a name that a run writes.
    """
    result = _result(out / JSON_NAME)
    owned: list[str] = []
    if result is not None:
        found, owned = result
        for what, theirs, ours in (
            ("study", found.study_uid, origin.study_uid),
            ("series", found.series_uid, origin.series_uid),
            ("bundle", found.bundle, origin.bundle),
        ):
            if theirs != ours:
                raise _refusal(out, f"it holds a result of another {what} ({shown(theirs)})", "choose another folder")
    for name in _WRITTEN:
        path = out / name
        if name not in owned and (path.exists() or path.is_symlink()):
            mend = "move it elsewhere, or choose another folder"
            raise _refusal(out, f"{name} is there, and is no file of an earlier result", mend)
    return owned


def listed_files(path: Path) -> list[str]:
    """Names of the files that a result.json lists, itself the last; none where it is no result.json."""
    found = _result(path)
    return [] if found is None else found[1]


def _refusal(out: Path, why: str, mend: str) -> DeliveryError:
    return DeliveryError(f"the results cannot be written to {printable(out)}: {why}", mend=mend)


def _result(path: Path) -> tuple[Origin, list[str]] | None:
    """What the result.json of an earlier run is of, and its files, itself among them; None for anything else."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_JSON:
            return None
        content: Any = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA or content["not_for_diagnosis"] is not True:
            return None
        origin = Origin(content["study_instance_uid"], content["series_instance_uid"], content["bundle"]["name"])
        names = [file["name"] for file in content["files"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    values = (origin.study_uid, origin.series_uid, origin.bundle, *names)
    if not all(isinstance(value, str) for value in values) or not all(_OWN.fullmatch(name) for name in names):
        return None
    return origin, [*names, JSON_NAME]
