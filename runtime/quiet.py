"""Settings of the process that several threads change for a while: the first one in sets them, the last one out resets.

``warnings.catch_warnings`` puts back what it found. Two threads inside at once, each on its own, would leave with what
the other had set, for good. So all of this package goes through here.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pydicom.config

__all__ = ["lenient", "silent"]


class _Shared:
    """A context manager of the process, entered once for all threads that are inside at the same time."""

    def __init__(self, make: Callable[[], AbstractContextManager[None]]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._inside = 0
        self._state = ExitStack()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._inside == 0:
                self._state.enter_context(self._make())
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._state.close()


@contextmanager
def _no_words() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, pydicom.config.logger.disabled = pydicom.config.logger.disabled, True
        try:
            yield
        finally:
            pydicom.config.logger.disabled = before


@contextmanager
def _no_validation() -> Iterator[None]:
    settings = pydicom.config.settings
    before = settings.reading_validation_mode, settings.writing_validation_mode
    settings.reading_validation_mode = settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        yield
    finally:
        settings.reading_validation_mode, settings.writing_validation_mode = before


_silent, _lenient = _Shared(_no_words), _Shared(_no_validation)


def silent() -> AbstractContextManager[None]:
    """Keep pydicom from warning and logging: it quotes the values that it forgives, and these may be a patient's."""
    return _silent()


@contextmanager
def lenient() -> Iterator[None]:
    """Let pydicom and highdicom pass over values that break their VR's rules, without a word.

    Such values come with the source's header and go into the result as they are.
    """
    with _silent(), _lenient():
        yield
