"""One decoder a transfer syntax, chosen by measurement (``benchmarks/decode.py``).

A decoder takes one frame's code stream and gives its samples as the stream has them: [y, x] or [y, x, s]. Colour
streams come out as RGB where the stream itself carries the transformation (JPEG, JPEG 2000), else in the header's
photometric interpretation. imagecodecs releases the GIL, so frames decode on all cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid

from bedside.kernels._cpu import decode_rle as _rle_kernel

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
    decode: Callable[[bytes, Layout, Samples | None], tuple[Samples, str]]
    """Code stream -> samples, in the array given if it can hold them, and their photometric interpretation."""


def _room(info: StreamInfo, layout: Layout, out: Samples | None) -> Samples:
    """An array for what the stream holds, if that is what the header says: its size was checked for plausibility.

    Raises
    ------
    CodecError
        The stream is of another size, or ends early: decoders fill with gray, or search on, where the end is missing.
    """
    if (info.rows, info.columns, info.samples) != (layout.rows, layout.columns, layout.samples):
        raise CodecError(
            f"the code stream is {info.columns} x {info.rows} x {info.samples}, "
            f"the header says {layout.columns} x {layout.rows} x {layout.samples}"
        )
    if not info.complete:
        raise CodecError("the code stream ends early")
    size = 1 if info.precision <= 8 else 2 if info.precision <= 16 else 4
    return _array(layout, f"{'i' if info.signed else 'u'}{size}", out)


def _array(layout: Layout, dtype: str, out: Samples | None) -> Samples:
    """``out`` seen as ``dtype`` if it has as many bytes a sample, else a new array."""
    shape = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    kind = np.dtype(dtype)
    if out is not None and out.shape == shape and out.itemsize == kind.itemsize and out.flags.c_contiguous:
        return out.view(kind)
    return np.empty(shape, dtype=kind)


def decode_jpeg(stream: bytes, layout: Layout, out: Samples | None = None) -> tuple[Samples, str]:
    """JPEG baseline, extended (8 and 12 bit) and lossless by libjpeg-turbo 3 (ISO/IEC 10918-1).

    Which colour space a stream is in, its markers say before the header does: Adobe's APP14, then JFIF, then the
    component identifiers; headers that say RGB over a YCbCr stream are common.
    """
    info = jpeg_info(stream)
    out = _room(info, layout, out)
    if info.samples == 1:
        return imagecodecs.jpeg8_decode(stream, out=out), layout.photometric
    if info.lossless:
        return imagecodecs.jpeg8_decode(stream, colorspace="RGB", outcolorspace="RGB", out=out), layout.photometric
    space = info.color or ("RGB" if layout.photometric == "RGB" else "YCBCR")
    return imagecodecs.jpeg8_decode(stream, colorspace=space, outcolorspace="RGB", out=out), "RGB"


def decode_jpeg_ls(stream: bytes, layout: Layout, out: Samples | None = None) -> tuple[Samples, str]:
    """JPEG-LS lossless and near-lossless by CharLS (ISO/IEC 14495-1)."""
    out = _room(jpeg_info(stream), layout, out)
    return imagecodecs.jpegls_decode(stream, out=out), layout.photometric


def decode_jpeg_2000(stream: bytes, layout: Layout, out: Samples | None = None) -> tuple[Samples, str]:
    """JPEG 2000 and high-throughput JPEG 2000 by OpenJPEG in strict mode (ISO/IEC 15444-1 and 15444-15).

    The component transformations ICT and RCT are undone by the decoder. OpenJPH reads HTJ2K in about half the time, but
    its binding gives back what a damaged stream left in the buffer and raises nothing.
    """
    out = _room(jpeg2000_info(stream), layout, out)
    photometric = "RGB" if layout.photometric in ("YBR_ICT", "YBR_RCT") else layout.photometric
    return imagecodecs.jpeg2k_decode(stream, numthreads=1, out=out), photometric


def decode_rle(stream: bytes, layout: Layout, out: Samples | None = None) -> tuple[Samples, str]:
    """DICOM RLE (PS3.5 annex G) by bedside's own kernel: imagecodecs leaves zeros where a segment is short."""
    if layout.bits_allocated not in (8, 16, 32):
        raise CodecError(f"RLE with {layout.bits_allocated} bits allocated")
    out = _array(layout, f"<u{layout.bits_allocated // 8}", out)
    _rle_kernel(stream, out, samples=layout.samples)
    return out, layout.photometric


CODECS: dict[str, Codec] = {
    str(codec.syntax): codec
    for codec in (
        Codec(uid.RLELossless, "bedside", lambda: version("bedside"), decode_rle),
        Codec(uid.JPEGBaseline8Bit, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGExtended12Bit, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGLossless, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGLosslessSV1, "libjpeg-turbo", imagecodecs.jpeg8_version, decode_jpeg),
        Codec(uid.JPEGLSLossless, "CharLS", imagecodecs.jpegls_version, decode_jpeg_ls),
        Codec(uid.JPEGLSNearLossless, "CharLS", imagecodecs.jpegls_version, decode_jpeg_ls),
        Codec(uid.JPEG2000Lossless, "OpenJPEG", imagecodecs.jpeg2k_version, decode_jpeg_2000),
        Codec(uid.JPEG2000, "OpenJPEG", imagecodecs.jpeg2k_version, decode_jpeg_2000),
        Codec(uid.HTJ2KLossless, "OpenJPEG", imagecodecs.jpeg2k_version, decode_jpeg_2000),
        Codec(uid.HTJ2KLosslessRPCL, "OpenJPEG", imagecodecs.jpeg2k_version, decode_jpeg_2000),
        Codec(uid.HTJ2K, "OpenJPEG", imagecodecs.jpeg2k_version, decode_jpeg_2000),
    )
}

LOSSY = {str(syntax) for syntax in (uid.JPEGExtended12Bit, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K)}
"""Transfer syntaxes whose streams may be lossy, with more bits than Bits Stored."""

PLAIN = (
    str(uid.ImplicitVRLittleEndian),
    str(uid.ExplicitVRLittleEndian),
    str(uid.ExplicitVRBigEndian),
    str(uid.DeflatedExplicitVRLittleEndian),
)
"""Transfer syntaxes whose pixels need no decoder."""


def decode(stream: bytes, syntax: str, layout: Layout, out: Samples | None = None) -> tuple[Samples, str]:
    """Decode one frame's code stream.

    Parameters
    ----------
    stream : bytes
        The code stream.
    syntax : str
        Transfer syntax UID.
    layout : Layout
        What the header says of the frame.
    out : ndarray, optional
        Where the samples are to go; used if they fit it byte for byte, and in part overwritten if decoding fails.

    Returns
    -------
    samples : ndarray [y, x] or [y, x, s]
        As the stream has them, in ``out``'s memory or in new; sign and unused bits are the caller's to settle.
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
        samples, photometric = codec.decode(stream, layout, out)
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
