"""The studies that a model is calibrated with and measured on."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.phantoms import write_study

from ..bundle.load import Bundle
from ..errors import StudyRejected


@dataclass(frozen=True)
class Case:
    """One study, as files or as the description of a phantom."""

    name: str
    """Says nothing of a patient: folders of studies are often named after one."""
    path: Path | None = None
    phantom: Any = None
    """``{"phantom": {...}}``, see :func:`bedside.phantoms.write_study`."""

    @contextmanager
    def files(self) -> Iterator[Path]:
        """Where the study lies; a phantom is generated, and goes again.

        Raises
        ------
        StudyRejected
            The description is of no phantom.
        """
        if self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="bedside-phantom-") as folder:
            try:
                write_study(self.phantom, Path(folder))
            except ValueError as error:
                raise StudyRejected(f"{self.name}: {error}") from error
            yield Path(folder)


def golden_cases(bundle: Bundle) -> list[Case]:
    """The bundle's golden cases; what they must find plays no part here."""
    cases = []
    for golden in bundle.meta.golden:
        path = bundle.root / golden.study
        cases += [Case(golden.study, phantom=_read(path)) if path.suffix == ".json" else Case(golden.study, path)]
    return cases


def given_cases(places: Sequence[Path | str], what: str) -> list[Case]:
    """The studies that a user names.

    A folder that holds nothing but folders is one study each; another is one study. A .json file describes a phantom,
    or is a list of such descriptions.

    Parameters
    ----------
    what
        What the studies are for, which with a number makes their names.

    Raises
    ------
    StudyRejected
        A place does not exist, or a .json file describes no phantom.
    """
    found: list[tuple[Path | None, Any]] = []
    for place in map(Path, places):
        if not place.exists():
            raise StudyRejected(f"{place} does not exist", mend="give a folder of studies, or of one study")
        if place.suffix == ".json" and place.is_file():
            content = _read(place)
            found += [(None, entry) for entry in (content if isinstance(content, list) else [content])]
            continue
        inside = sorted(place.iterdir()) if place.is_dir() else []
        several = bool(inside) and all(entry.is_dir() for entry in inside)
        found += [(entry, None) for entry in (inside if several else [place])]
    return [Case(f"{what} {number}", path, phantom) for number, (path, phantom) in enumerate(found, 1)]


def _read(path: Path) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyRejected(f"{path.name} cannot be read: {error}") from error
    entries = content if isinstance(content, list) else [content]
    if not entries or not all(isinstance(entry, dict) and "phantom" in entry for entry in entries):
        raise StudyRejected(f"{path.name} describes no phantom", mend='write {"phantom": {"kind": "ct_chest", ...}}')
    return content
