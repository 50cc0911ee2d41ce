"""Are the files of a study of one patient? Names are compared as people read them, not as bytes (PS3.3 C.7.1.1)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import StudyRejected
from . import text
from .header import Header, file_name

__all__ = ["require_one_patient"]

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_SOUNDS = re.compile("[\u1100-\u11ff\u3040-\u30ff\u31f0-\u31ff\uac00-\ud7af]")


@dataclass(frozen=True)
class _Patient:
    """What a file says of its patient, as far as it can be compared."""

    header: Header
    identifier: str
    names: dict[str, str]
    """The name by script: ``letters``, ``han``, ``sounds`` (kana, hangul)."""
    birth_date: str


def require_one_patient(headers: Iterable[Header]) -> None:
    """Refuse files of two patients, even under one Patient ID.

    Not taken for two patients: other case, spaces, carets or width of letters, a component group more or less, what a
    file leaves out, text that cannot be decoded, and one name in different scripts, which nobody can compare.

    Raises
    ------
    StudyRejected
        Naming two files and the attribute in which they differ, never its values.
    """
    known: dict[tuple[bytes, ...], _Patient] = {}
    for header in headers:
        said = tuple(
            header.raw(name) for name in ("PatientID", "PatientName", "PatientBirthDate", "SpecificCharacterSet")
        )
        if said in known:
            continue
        patient = _patient(header)
        for other in known.values():
            difference = _difference(other, patient)
            if difference:
                one, two = file_name(other.header.path), file_name(header.path)
                raise StudyRejected(
                    f"two patients in one study: {one} and {two} differ in {difference}",
                    mend="give the files of one patient",
                )
        known[said] = patient


def _patient(header: Header) -> _Patient:
    charset = text.charset_of(header)
    date = re.sub(r"\D", "", header.string("PatientBirthDate"))
    return _Patient(
        header=header,
        identifier=text.decode(header.raw("PatientID"), charset).strip(),
        names=_by_script(text.person_name(header.raw("PatientName"), charset)),
        birth_date=date if len(date) == 8 and date[:4] != "0000" else "",
    )


def _by_script(name: str) -> dict[str, str]:
    forms: dict[str, str] = {}
    for group in name.split("="):
        form = re.sub(r"[\s^]+", "", unicodedata.normalize("NFKC", group).casefold())
        if form and "\ufffd" not in form:
            script = "han" if _HAN.search(form) else "sounds" if _SOUNDS.search(form) else "letters"
            forms.setdefault(script, form)
    return forms


def _difference(one: _Patient, other: _Patient) -> str:
    """The attribute in which two patients differ; empty where they may be the same."""
    if one.identifier and other.identifier and one.identifier != other.identifier:
        return "Patient ID"
    shared = one.names.keys() & other.names.keys()
    # Bytes that are the same are one name, whatever was made of them.
    same_bytes = one.header.raw("PatientName") == other.header.raw("PatientName")
    if not same_bytes and any(one.names[script] != other.names[script] for script in shared):
        return "Patient's Name"
    if one.birth_date and other.birth_date and one.birth_date != other.birth_date:
        return "Patient's Birth Date"
    if one.identifier != other.identifier and not shared and not (same_bytes and one.names):
        # One file has the ID, the other has not, and no name says that they belong together.
        return "Patient ID"
    return ""
