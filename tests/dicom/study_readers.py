"""What load_study said of files, for the tests of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import Study, load_study


def rejected(path: Path, **options: str) -> str:
    with pytest.raises(StudyRejected) as caught:
        load_study(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "Wang" not in message
    assert "P-17" not in message
    return message


def reasons(study: Study) -> dict[str, str]:
    return {skipped.path.name: skipped.reason for skipped in study.skipped}
