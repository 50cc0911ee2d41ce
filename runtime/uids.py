"""Unique identifiers that come from the content, so that a rerun replaces its results and does not duplicate them."""

from __future__ import annotations

import hashlib


def content_uid(*parts: str | bytes | memoryview) -> str:
    """Return the UID ``2.25.<n>`` where n is the first 128 bits of the SHA-256 of the parts.

    The form is that of a UUID-derived UID (DICOM PS3.5 B.2); the bits of version and variant are those of a UUID of
    version 8 (RFC 9562 5.8), which is the one for bits of the maker's own choosing.

    Parameters
    ----------
    *parts
        What the identifier stands for. Parts are length-prefixed, so that ``("ab", "c")`` and ``("a", "bc")`` differ.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(memoryview(data).nbytes.to_bytes(8, "little"))
        digest.update(data)
    number = int.from_bytes(digest.digest()[:16], "big")
    number = number & ~(0xF << 76) | (0x8 << 76)
    number = number & ~(0x3 << 62) | (0x2 << 62)
    return f"2.25.{number}"
