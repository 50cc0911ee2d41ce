"""Settings of the process that several threads change at once come back as they were."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager

import pydicom.config
import pytest

from bedside.runtime.quiet import lenient, silent


def settings() -> tuple[object, ...]:
    modes = pydicom.config.settings.reading_validation_mode, pydicom.config.settings.writing_validation_mode
    return (list(warnings.filters), warnings.showwarning, pydicom.config.logger.disabled, modes)


@pytest.mark.parametrize("first", [silent, lenient])
@pytest.mark.parametrize("second", [silent, lenient])
def test_two_threads_inside_at_once_leave_nothing_behind(
    first: Callable[[], AbstractContextManager[None]], second: Callable[[], AbstractContextManager[None]]
) -> None:
    """The first one in is the first one out: what each restored on its own would stay 'ignore' for good."""
    before = settings()
    inside, leave = threading.Event(), threading.Event()

    def other() -> None:
        with second():
            inside.set()
            assert leave.wait(10)

    thread = threading.Thread(target=other)
    with first():
        thread.start()
        assert inside.wait(10), "nobody waits for another thread's reading or writing"
        with warnings.catch_warnings(record=True) as caught:
            warnings.warn("the other thread is still inside", stacklevel=1)
    with warnings.catch_warnings(record=True):
        assert pydicom.config.logger.disabled
    leave.set()
    thread.join()
    assert caught == []
    assert settings() == before


def test_an_error_inside_resets_as_well() -> None:
    before = settings()
    with pytest.raises(KeyError), lenient(), silent():
        raise KeyError
    assert settings() == before
