"""Why the pixels of a file cannot be read."""

from __future__ import annotations

SEND_AGAIN = "send the file again from its source"


class DecodeError(Exception):
    """Why a frame cannot be read: one line; the caller adds the file's name."""

    def __init__(self, reason: str, *, mend: str = SEND_AGAIN) -> None:
        super().__init__(reason)
        self.mend = mend
