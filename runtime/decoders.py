"""One decoder a transfer syntax, chosen by measurement (``benchmarks/decode.py``).

A decoder takes one frame's code stream and gives its samples as the stream has them: [y, x] or [y, x, s]. Colour
streams come out as RGB where the stream itself carries the transformation (JPEG, JPEG 2000), else in the header's
photometric interpretation. imagecodecs releases the GIL, so frames decode on all cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from .codestream import StreamError, StreamInfo, jpeg2000_info, jpeg_info

Samples = NDArray[Any]


class CodecError(Exception):
    """Why a code stream cannot be decoded: one line."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What the header says a frame decodes to."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    photometric: str


@dataclass(frozen=True)
class Codec:
    """How one transfer syntax is decoded."""

    syntax: uid.UID
    library: str
    version: Callable[[], str]
    decode: Callable[[bytes, Layout], tuple[Samples, str]]
    """Code stream -> samples and their photometric interpretation."""


def _check(info: StreamInfo, layout: Layout) -> None:
    """A stream is decoded only if it has the size of the header, which was checked before memory was set aside."""
    if (info.rows, info.columns, info.samples) != (layout.rows, layout.columns, layout.samples):
        raise CodecError(
            f"the code stream is {info.columns} x {info.rows} x {info.samples}, "
            f"the header says {layout.columns} x {layout.rows} x {layout.samples}"
        )


def decode_jpeg(stream: bytes, layout: Layout) -> tuple[Samples, str]:
    """JPEG baseline, extended (8 and 12 bit) and lossless by libjpeg-turbo 3 (ISO/IEC 10918-1).

    Which colour space a stream is in, its markers say before the header does: Adobe's APP14, then JFIF, then the
    component identifiers; headers that say RGB over a YCbCr stream are common.
    """
    info = jpeg_info(stream)
    _check(info, layout)
    if not info.complete:
        raise CodecError("the code stream ends early")
    if info.samples == 1:
        return imagecodecs.jpeg8_decode(stream), layout.photometric
    if info.lossless:
        return imagecodecs.jpeg8_decode(stream, colorspace="RGB", outcolorspace="RGB"), layout.photometric
    space = info.color or ("RGB" if layout.photometric == "RGB" else "YCBCR")
    return imagecodecs.jpeg8_decode(stream, colorspace=space, outcolorspace="RGB"), "RGB"


def decode_jpeg_ls(stream: bytes, layout: Layout) -> tuple[Samples, str]:
    """JPEG-LS lossless and near-lossless by CharLS (ISO/IEC 14495-1)."""
    _check(jpeg_info(stream), layout)
    return imagecodecs.jpegls_decode(stream), layout.photometric


def decode_jpeg_2000(stream: bytes, layout: Layout) -> tuple[Samples, str]:
    """JPEG 2000 by OpenJPEG (ISO/IEC 15444-1); the component transformations ICT and RCT are undone by the decoder."""
    _check(jpeg2000_info(stream), layout)
    return imagecodecs.jpeg2k_decode(stream, numthreads=1), _without_transform(layout.photometric)


def decode_htj2k(stream: bytes, layout: Layout) -> tuple[Samples, str]:
    """High-throughput JPEG 2000 by OpenJPH (ISO/IEC 15444-15)."""
    _check(jpeg2000_info(stream), layout)
    return imagecodecs.htj2k_decode(stream), _without_transform(layout.photometric)


def decode_rle(stream: bytes, layout: Layout) -> tuple[Samples, str]:
    """DICOM RLE (PS3.5 annex G): one segment a byte of a sample, most significant first, sample after sample."""
    itemsize = layout.bits_allocated // 8
    if layout.bits_allocated % 8 or itemsize not in (1, 2, 4):
        raise CodecError(f"RLE with {layout.bits_allocated} bits allocated")
    segments = int.from_bytes(stream[:4], "little")
    if segments != layout.samples * itemsize:
        raise CodecError(f"{segments} RLE segments, {layout.samples * itemsize} expected")
    dtype = np.dtype(f"<u{itemsize}")
    out = bytearray(layout.samples * layout.rows * layout.columns * itemsize)
    imagecodecs.dicomrle_decode(stream, dtype, out=out)
    planes = np.frombuffer(out, dtype).reshape(layout.samples, layout.rows, layout.columns)
    return planes[0] if layout.samples == 1 else np.moveaxis(planes, 0, 2), layout.photometric


def _without_transform(photometric: str) -> str:
    return "RGB" if photometric in ("YBR_ICT", "YBR_RCT") else photometric


CODECS: dict[str, Codec] = {
    str(codec.syntax): codec
    for codec in (
        Codec(uid.RLELossless, "imagecodecs dicomrle", imagecodecs.imcd_version, decode_rle),
        Codec(uid.JPEGBaseline8Bit, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGExtended12Bit, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGLossless, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGLosslessSV1, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGLSLossless, "CharLS", imagecodecs.jpegls_version, decode_jpeg_ls),
        Codec(uid.JPEGLSNearLossless, "CharLS", imagecodecs.jpegls_version, decode_jpeg_ls),
        Codec(uid.JPEG2000Lossless, "OpenJPEG", imagecodecs.jpeg2k_version, decode_jpeg_2000),
        Codec(uid.JPEG2000, "OpenJPEG", imagecodecs.jpeg2k_version, decode_jpeg_2000),
        Codec(uid.HTJ2KLossless, "OpenJPH", imagecodecs.htj2k_version, decode_htj2k),
        Codec(uid.HTJ2KLosslessRPCL, "OpenJPH", imagecodecs.htj2k_version, decode_htj2k),
        Codec(uid.HTJ2K, "OpenJPH", imagecodecs.htj2k_version, decode_htj2k),
    )
}

PLAIN = (
    str(uid.ImplicitVRLittleEndian),
    str(uid.ExplicitVRLittleEndian),
    str(uid.ExplicitVRBigEndian),
    str(uid.DeflatedExplicitVRLittleEndian),
)
"""Transfer syntaxes whose pixels need no decoder."""


def decode(stream: bytes, syntax: str, layout: Layout) -> tuple[Samples, str]:
    """Decode one frame's code stream.

    Returns
    -------
    samples : ndarray [y, x] or [y, x, s]
        As the stream has them; sign and unused bits are the caller's to settle.
    photometric : str
        Their photometric interpretation.

    Raises
    ------
    CodecError
        There is no decoder for the syntax, or the stream is damaged or not of the size ``layout`` says.
    """
    codec = CODECS.get(syntax)
    if codec is None:
        raise CodecError("no decoder for this transfer syntax")
    try:
        samples, photometric = codec.decode(stream, layout)
    except CodecError:
        raise
    except StreamError as error:
        raise CodecError(str(error)) from error
    except Exception as error:  # each library has its own error class
        raise CodecError(f"{codec.library}: {error}") from error
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if samples.shape != shape:
        raise CodecError(f"{codec.library} gives shape {samples.shape}, expected {shape}")
    return samples, photometric
