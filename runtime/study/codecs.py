"""Which transfer syntax is read by what, proved on this host by decoding an image; the table of ``bedside doctor``.

The images ship with pydicom. Each is compared with what another coding of the same image gives, or, where no file in
that syntax ships, with what was encoded here by another library than the one that decodes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread, uid
from pydicom.data import get_testdata_file

from .decoders import CODECS, CodecError, Layout, decode
from .decoding import Source, frame_dtype
from .errors import DecodeError
from .header import HeaderError, read_header
from .instance import read_instance

Pixels = NDArray[Any]

REPEATS = 3


@dataclass(frozen=True)
class Proof:
    """One row: a transfer syntax, what reads it, and whether that gave the right pixels here."""

    uid: str
    name: str
    decoder: str
    version: str
    proved: bool
    ms: float | None = None
    """Milliseconds to read the image, the best of three; for comparing decoders see ``benchmarks/decode.py``."""
    reason: str = ""
    """Why it is not proved; empty if it is."""
    reference: str = ""
    """What the pixels were compared with."""


@dataclass(frozen=True)
class _Case:
    syntax: uid.UID
    image: Callable[[], Pixels]
    truth: Callable[[], Pixels]
    reference: str
    tolerance: int = 0


def table() -> list[Proof]:
    """Prove every supported transfer syntax; never raises for one that fails."""
    return [_prove(case) for case in _CASES]


def _prove(case: _Case) -> Proof:
    codec = CODECS.get(str(case.syntax))
    decoder, version = (codec.library, codec.version().split()[-1]) if codec else ("none needed", "")
    ms, reason = None, ""
    try:
        best = float("inf")
        for _ in range(REPEATS):
            start = time.perf_counter()
            pixels = case.image()
            best = min(best, time.perf_counter() - start)
        ms = best * 1e3
        truth = case.truth()
        error = (
            int(np.abs(pixels.astype(np.int64) - truth.astype(np.int64)).max()) if pixels.shape == truth.shape else -1
        )
        if error < 0:
            reason = f"gives shape {pixels.shape}, not {truth.shape}"
        elif error > case.tolerance:
            reason = f"differs by up to {error} from {case.reference}"
    except (CodecError, DecodeError, HeaderError, OSError) as failure:
        reason = str(failure)
    return Proof(
        uid=str(case.syntax),
        name=case.syntax.name,
        decoder=decoder,
        version=version,
        proved=not reason,
        ms=ms,
        reason=reason,
        reference=case.reference,
    )


def _file(name: str) -> Path:
    """An image of pydicom's wheel."""
    path = get_testdata_file(name, download=False)
    if path is None:
        raise HeaderError(f"pydicom's {name} is missing: install pydicom again")
    return Path(str(path))


def _read(name: str) -> Callable[[], Pixels]:
    """Read the first frame as the runtime reads it."""

    def read() -> Pixels:
        instance = read_instance(read_header(_file(name)))
        source = Source(instance)
        try:
            if instance.samples > 1:
                rgb = np.empty((instance.rows, instance.columns, 3), dtype=np.uint8)
                source.read_rgb(1, rgb)
                return rgb
            gray = np.empty((instance.rows, instance.columns), dtype=frame_dtype(instance))
            source.read_gray(1, gray)
            return gray
        finally:
            source.close()

    return read


def _bytes_of(name: str) -> Callable[[], Pixels]:
    """The pixels of an uncompressed file as pydicom gives their bytes."""

    def read() -> Pixels:
        dataset = dcmread(_file(name))
        kind = f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}"
        return np.frombuffer(dataset.PixelData, f"<{kind}", dataset.Rows * dataset.Columns).reshape(
            dataset.Rows, dataset.Columns
        )

    return read


def _slice() -> NDArray[np.uint16]:
    """The MR slice, made unsigned, for what is encoded here."""
    signed = _bytes_of("MR_small.dcm")().astype(np.int32)
    unsigned: NDArray[np.uint16] = (signed - signed.min()).astype(np.uint16)
    return unsigned


def _encoded(syntax: uid.UID, encode: Callable[..., bytes | bytearray]) -> Callable[[], Pixels]:
    """Decode what ``encode`` makes of the MR slice."""
    streams: list[bytes] = []

    def read() -> Pixels:
        truth = _slice()
        if not streams:
            streams.append(bytes(encode(truth)))
        layout = Layout(truth.shape[0], truth.shape[1], 1, 16, "MONOCHROME2")
        return decode(streams[0], syntax, layout)[0]

    return read


def _extended_by_dcmtk() -> Pixels:
    """What DCMTK's dcmdjpeg makes of JPGExtended.dcm: the means of 16 bands of 64 rows, times 16."""
    return np.array(_EXTENDED_BANDS)


def _extended_bands() -> Pixels:
    pixels = _read("JPGExtended.dcm")()
    bands: Pixels = np.rint(pixels.reshape(16, -1).mean(axis=1) * 16).astype(np.int64)
    return bands


_EXTENDED_BANDS = (16, 96, 274, 609, 506, 402, 540, 345, 187, 217, 153, 114, 152, 38, 16, 16)

_MR = "the uncompressed MR_small.dcm"
_RGB = "the same picture in RLE, SC_rgb_rle.dcm"
_HT = "MR_small.dcm encoded by OpenJPH"

_CASES = (
    _Case(uid.ImplicitVRLittleEndian, _read("MR_small_implicit.dcm"), _bytes_of("MR_small.dcm"), _MR),
    _Case(uid.ExplicitVRLittleEndian, _read("MR_small.dcm"), _bytes_of("MR_small.dcm"), "pydicom's bytes of it"),
    _Case(uid.ExplicitVRBigEndian, _read("MR_small_bigendian.dcm"), _bytes_of("MR_small.dcm"), _MR),
    _Case(
        uid.DeflatedExplicitVRLittleEndian, _read("image_dfl.dcm"), _bytes_of("image_dfl.dcm"), "pydicom's bytes of it"
    ),
    _Case(uid.RLELossless, _read("MR_small_RLE.dcm"), _bytes_of("MR_small.dcm"), _MR),
    _Case(uid.JPEGBaseline8Bit, _read("SC_rgb_dcmtk_+eb+cr.dcm"), _read("SC_rgb_rle.dcm"), _RGB, tolerance=3),
    _Case(uid.JPEGExtended12Bit, _extended_bands, _extended_by_dcmtk, "DCMTK's decoding of it", tolerance=1),
    _Case(
        uid.JPEGLossless,
        _encoded(uid.JPEGLossless, imagecodecs.ljpeg_encode),
        _slice,
        "MR_small.dcm encoded by liblj92 (selection value 6)",
    ),
    _Case(uid.JPEGLosslessSV1, _read("SC_rgb_jpeg_gdcm.dcm"), _read("SC_rgb_rle.dcm"), _RGB),
    _Case(uid.JPEGLSLossless, _read("MR_small_jpeg_ls_lossless.dcm"), _bytes_of("MR_small.dcm"), _MR),
    _Case(uid.JPEGLSNearLossless, _read("SC_rgb_jls_lossy_line.dcm"), _read("SC_rgb_rle.dcm"), _RGB, tolerance=2),
    _Case(uid.JPEG2000Lossless, _read("MR_small_jp2klossless.dcm"), _bytes_of("MR_small.dcm"), _MR),
    _Case(uid.JPEG2000, _read("SC_rgb_gdcm_KY.dcm"), _read("SC_rgb_rle.dcm"), _RGB, tolerance=2),
    *(
        _Case(syntax, _encoded(syntax, imagecodecs.htj2k_encode), _slice, _HT)
        for syntax in (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
    ),
)
