"""What the markers of a code stream say of it, read before a decoder sets memory aside for it."""

from __future__ import annotations

from dataclasses import dataclass

START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
"""SOF0..SOF15 without DHT, JPG and DAC (ISO/IEC 10918-1 table B.1); F7 is JPEG-LS (ISO/IEC 14495-1 C.1.1)."""
LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF, 0xF7}


class StreamError(Exception):
    """A code stream without its headers: one line."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Size, depth and colour of one code stream."""

    rows: int
    columns: int
    samples: int
    precision: int
    signed: bool = False
    lossless: bool = False
    color: str = ""
    """``RGB`` or ``YCBCR`` where the markers say which, else empty."""
    complete: bool = True
    """Does it end with its end marker (padding aside)?"""


def jpeg_info(stream: bytes) -> StreamInfo:
    """Read the markers of a JPEG or JPEG-LS stream up to its first scan.

    Raises
    ------
    StreamError
        There is no frame header.
    """
    if stream[:2] != b"\xff\xd8":
        raise StreamError("no JPEG start of image")
    position, jfif, adobe = 2, False, -1
    frame: tuple[int, bytes] | None = None
    while position + 4 <= len(stream):
        if stream[position] != 0xFF:
            raise StreamError("a JPEG marker is missing")
        marker = stream[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xDA:
            break
        length = int.from_bytes(stream[position + 2 : position + 4], "big")
        body = stream[position + 4 : position + 2 + length]
        if marker == 0xE0 and body[:4] == b"JFIF":
            jfif = True
        elif marker == 0xEE and body[:5] == b"Adobe" and len(body) >= 12:
            adobe = body[11]
        elif marker in START_OF_FRAME and frame is None:
            frame = marker, body
        position += 2 + max(length, 2)
    if frame is None or len(frame[1]) < 6 or len(frame[1]) < 6 + 3 * frame[1][5]:
        raise StreamError("no JPEG frame header")
    marker, body = frame
    samples = body[5]
    identifiers = bytes(body[6 + 3 * i] for i in range(samples))
    color = ""
    if samples == 3:
        if adobe >= 0:
            color = "YCBCR" if adobe == 1 else "RGB"
        elif jfif:
            color = "YCBCR"
        elif identifiers == b"RGB":
            color = "RGB"
    return StreamInfo(
        rows=int.from_bytes(body[1:3], "big"),
        columns=int.from_bytes(body[3:5], "big"),
        samples=samples,
        precision=body[0],
        lossless=marker in LOSSLESS,
        color=color,
        complete=stream.rstrip(b"\0\xff")[-2:] == b"\xff\xd9",
    )


def jpeg2000_info(stream: bytes) -> StreamInfo:
    """Read the SIZ marker of a JPEG 2000 code stream, even in JP2 boxes, which DICOM forbids (ISO/IEC 15444-1 A.5.1).

    Raises
    ------
    StreamError
        There is no SIZ marker.
    """
    start = 0 if stream[:4] == b"\xff\x4f\xff\x51" else stream.find(b"\xff\x4f\xff\x51")
    body = stream[start + 6 :] if start >= 0 else b""
    if start < 0 or len(body) < 37:
        raise StreamError("no JPEG 2000 SIZ marker")
    x1, y1, x0, y0 = (int.from_bytes(body[2 + 4 * i : 6 + 4 * i], "big") for i in range(4))
    depth = body[36]
    return StreamInfo(
        rows=y1 - y0,
        columns=x1 - x0,
        samples=int.from_bytes(body[34:36], "big"),
        precision=(depth & 0x7F) + 1,
        signed=depth >= 0x80,
    )
