"""Every transfer syntax: what is encoded by a peer, or here, comes back right; what is damaged is refused."""

from __future__ import annotations

import random
import subprocess
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels import get_encoder

from bedside.kernels._cpu import decode_rle
from bedside.runtime.errors import StudyRejected
from bedside.runtime.study import load_study
from bedside.runtime.study.codecs import table
from bedside.runtime.study.codestream import StreamError, jpeg2000_info, jpeg_info
from bedside.runtime.study.decoders import CODECS, PLAIN, CodecError, Layout, decode
from bedside.runtime.study.pixels import read_cine, read_image

from .dicom_files import WHEEL, header, save, with_pixels, with_streams

Pixels = NDArray[Any]
Encoder = Callable[[Pixels, int], bytes]


def _rle(pixels: Pixels, bits: int) -> bytes:
    stored = pixels.astype(pixels.dtype.newbyteorder("<"))
    return get_encoder(uid.RLELossless).encode(
        stored.tobytes(),
        rows=pixels.shape[0],
        columns=pixels.shape[1],
        samples_per_pixel=1 if pixels.ndim == 2 else 3,
        number_of_frames=1,
        bits_allocated=8 * pixels.dtype.itemsize,
        bits_stored=8 * pixels.dtype.itemsize,
        pixel_representation=int(pixels.dtype.kind == "i"),
        photometric_interpretation="MONOCHROME2" if pixels.ndim == 2 else "RGB",
        planar_configuration=0,
        encoding_plugin="pydicom",
    )


def _unsigned(pixels: Pixels, bits: int) -> Pixels:
    """The stored bits, as codecs without signed samples hold them."""
    return pixels.view(f"u{pixels.dtype.itemsize}") & ((1 << bits) - 1)


LOSSLESS: dict[str, tuple[str, Encoder]] = {
    "rle": (uid.RLELossless, _rle),
    "jpeg-ls": (uid.JPEGLSLossless, lambda p, bits: imagecodecs.jpegls_encode(_unsigned(p, bits))),
    "jpeg lossless 1": (
        uid.JPEGLosslessSV1,
        lambda p, bits: imagecodecs.jpeg8_encode(_unsigned(p, bits), lossless=True, predictor=1, bitspersample=bits),
    ),
    "jpeg lossless 7": (
        uid.JPEGLossless,
        lambda p, bits: imagecodecs.jpeg8_encode(_unsigned(p, bits), lossless=True, predictor=7, bitspersample=bits),
    ),
    "jpeg lossless by liblj92": (
        uid.JPEGLossless,
        lambda p, bits: imagecodecs.ljpeg_encode(_unsigned(p, bits), bitspersample=max(bits, 8)),
    ),
    "jpeg 2000": (
        uid.JPEG2000Lossless,
        lambda p, bits: imagecodecs.jpeg2k_encode(p, level=0, reversible=True, codecformat="j2k", bitspersample=bits),
    ),
    "jpeg 2000, sign left out": (
        uid.JPEG2000,
        lambda p, bits: imagecodecs.jpeg2k_encode(
            _unsigned(p, bits), level=0, reversible=True, codecformat="j2k", bitspersample=bits
        ),
    ),
    "htj2k": (uid.HTJ2KLossless, lambda p, bits: imagecodecs.htj2k_encode(p, reversible=True)),
    "htj2k rpcl": (uid.HTJ2KLosslessRPCL, lambda p, bits: imagecodecs.htj2k_encode(p, reversible=True, tlm=True)),
}


def described(bits: int, signed: bool, **attributes: Any) -> pydicom.Dataset:
    return header(
        BitsAllocated=8 if bits <= 8 else 16,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(signed),
        **attributes,
    )


def through_file(ds: pydicom.Dataset, streams: list[bytes], syntax: str, path: Path) -> Pixels:
    save(with_streams(ds, streams, syntax), path)
    series = load_study(path).series[0]
    return read_image(series).pixels if len(streams) == 1 else read_cine(series).pixels


@pytest.mark.parametrize("name", LOSSLESS)
@given(
    bits=st.integers(2, 16),
    signed=st.booleans(),
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    smooth=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lossless_codecs_give_back_every_value(
    tmp_path: Path, name: str, bits: int, signed: bool, rows: int, columns: int, smooth: bool, seed: int
) -> None:
    syntax, encode = LOSSLESS[name]
    low = -(1 << (bits - 1)) if signed else 0
    values = np.random.default_rng(seed).integers(low, low + (1 << bits), (rows, columns))
    if smooth:
        values = np.minimum(low + np.add.outer(np.arange(rows), np.arange(columns)), low + (1 << bits) - 1)
    kind = ("i" if signed else "u") + ("1" if bits <= 8 else "2")
    pixels = np.ascontiguousarray(values.astype(kind))
    ds = described(bits, signed, Rows=rows, Columns=columns)
    decoded = through_file(ds, [encode(pixels, bits)], syntax, tmp_path / "a.dcm")
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("predictor", range(1, 8))
def test_jpeg_lossless_with_every_selection_value(tmp_path: Path, predictor: int) -> None:
    pixels = np.random.default_rng(predictor).integers(0, 4096, (33, 47), dtype=np.uint16)
    stream = imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=predictor, bitspersample=12)
    ds = described(12, False, Rows=33, Columns=47)
    np.testing.assert_array_equal(through_file(ds, [stream], uid.JPEGLossless, tmp_path / "a.dcm"), pixels)
    gdcm = pytest.importorskip("gdcm")
    assert gdcm is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = pydicom.pixels.pixel_array(tmp_path / "a.dcm", decoding_plugin="gdcm")
    np.testing.assert_array_equal(peer, pixels)


COLOUR = {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0, "Modality": "ES"}


@pytest.mark.parametrize(
    ("syntax", "encode"),
    [
        (uid.RLELossless, lambda p: _rle(p, 8)),
        (uid.JPEGLSLossless, imagecodecs.jpegls_encode),
        (uid.JPEG2000Lossless, lambda p: imagecodecs.jpeg2k_encode(p, reversible=True, codecformat="j2k", mct=False)),
        (uid.JPEGLosslessSV1, lambda p: imagecodecs.jpeg8_encode(p, lossless=True, predictor=1)),
        (uid.HTJ2KLossless, lambda p: imagecodecs.htj2k_encode(p, reversible=True)),
    ],
    ids=["rle", "jpeg-ls", "jpeg 2000", "jpeg lossless", "htj2k"],
)
def test_lossless_colour(tmp_path: Path, syntax: str, encode: Callable[[Pixels], bytes]) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (2, 20, 30, 3), dtype=np.uint8)
    ds = described(8, False, Rows=20, Columns=30, **COLOUR)
    del ds.ImagePositionPatient
    decoded = through_file(ds, [bytes(encode(frame)) for frame in rgb], syntax, tmp_path / "a.dcm")
    np.testing.assert_array_equal(decoded, rgb)


@pytest.mark.parametrize("photometric", ["YBR_RCT", "YBR_ICT"])
def test_jpeg_2000_undoes_its_component_transformation(tmp_path: Path, photometric: str) -> None:
    rgb = np.random.default_rng(6).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    reversible = photometric == "YBR_RCT"
    stream = imagecodecs.jpeg2k_encode(rgb, level=0, reversible=reversible, codecformat="j2k", mct=True)
    ds = described(8, False, Rows=20, Columns=30, **{**COLOUR, "PhotometricInterpretation": photometric})
    decoded = through_file(ds, [stream], uid.JPEG2000, tmp_path / "a.dcm")
    assert np.abs(decoded.astype(int) - rgb).max() <= (0 if reversible else 2)


def test_ybr_in_a_codec_without_transformation_becomes_rgb(tmp_path: Path) -> None:
    ybr = np.random.default_rng(7).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    ds = described(8, False, Rows=20, Columns=30, **{**COLOUR, "PhotometricInterpretation": "YBR_FULL"})
    decoded = through_file(ds, [_rle(ybr, 8)], uid.RLELossless, tmp_path / "a.dcm")
    expected = pydicom.pixels.convert_color_space(ybr, "YBR_FULL", "RGB").astype(int)
    assert np.abs(decoded - expected).max() <= 1


def _smooth_rgb() -> NDArray[np.uint8]:
    y, x = np.mgrid[:32, :48]
    return np.stack([4 * x + 20, 5 * y + 30, 255 - 2 * x - 2 * y], axis=2).astype(np.uint8)


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL_422", "YBR_FULL"])
@pytest.mark.parametrize("stream_space", ["RGB", "YCBCR"])
def test_the_colour_space_of_a_jpeg_is_what_its_markers_say(
    tmp_path: Path, photometric: str, stream_space: str
) -> None:
    """A header that says the other one than the stream's JFIF or Adobe marker is common, and is not believed."""
    rgb = _smooth_rgb()
    stream = imagecodecs.jpeg8_encode(rgb, level=95, colorspace="RGB", outcolorspace=stream_space, subsampling="444")
    assert jpeg_info(stream).color == stream_space
    ds = described(8, False, Rows=32, Columns=48, **{**COLOUR, "PhotometricInterpretation": photometric})
    decoded = through_file(ds, [stream], uid.JPEGBaseline8Bit, tmp_path / "a.dcm")
    assert np.abs(decoded.astype(int) - rgb).max() <= 6


@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
def test_a_jpeg_without_markers_is_what_its_header_says(tmp_path: Path, photometric: str) -> None:
    rgb = _smooth_rgb()
    space = "RGB" if photometric == "RGB" else "YCBCR"
    stream = bytearray(
        imagecodecs.jpeg8_encode(rgb, level=95, colorspace="RGB", outcolorspace=space, subsampling="444")
    )
    for marker in (b"\xff\xe0", b"\xff\xee"):
        place = stream.find(marker)
        if place >= 0:
            length = int.from_bytes(stream[place + 2 : place + 4], "big")
            del stream[place : place + 2 + length]
    for start in (b"\xff\xc0", b"\xff\xc1"):
        place = stream.find(start)
        if place >= 0 and space == "RGB":
            for i in range(3):
                stream[place + 10 + 3 * i] = i + 1
    scan = stream.find(b"\xff\xda")
    if space == "RGB":
        for i in range(3):
            stream[scan + 5 + 2 * i] = i + 1
    assert jpeg_info(bytes(stream)).color == ""
    ds = described(8, False, Rows=32, Columns=48, **{**COLOUR, "PhotometricInterpretation": photometric})
    decoded = through_file(ds, [bytes(stream)], uid.JPEGBaseline8Bit, tmp_path / "a.dcm")
    assert np.abs(decoded.astype(int) - rgb).max() <= 6


@pytest.mark.parametrize("near", [1, 3])
def test_near_lossless_stays_within_its_bound(tmp_path: Path, near: int) -> None:
    pixels = np.random.default_rng(8).integers(0, 4096, (40, 50), dtype=np.uint16)
    ds = described(12, False, Rows=40, Columns=50)
    decoded = through_file(
        ds, [imagecodecs.jpegls_encode(pixels, level=near)], uid.JPEGLSNearLossless, tmp_path / "a.dcm"
    )
    assert 0 < np.abs(decoded.astype(int) - pixels).max() <= near


def test_lossy_wavelets_read_as_other_decoders_read_them(tmp_path: Path) -> None:
    y, x = np.mgrid[:64, :64]
    pixels = (1000 * np.sin(x / 9) * np.cos(y / 7)).astype(np.int16)
    ds = described(16, True, Rows=64, Columns=64)
    high = imagecodecs.htj2k_encode(pixels, reversible=False)
    decoded = through_file(ds, [high], uid.HTJ2K, tmp_path / "a.dcm")
    assert decoded.dtype == np.int16
    assert np.abs(decoded.astype(int) - imagecodecs.htj2k_decode(high)).max() <= 1
    pytest.importorskip("gdcm")
    stream = imagecodecs.jpeg2k_encode(pixels, level=60, reversible=False, codecformat="j2k")
    decoded = through_file(ds, [stream], uid.JPEG2000, tmp_path / "b.dcm")
    peer = pydicom.pixels.pixel_array(tmp_path / "b.dcm", decoding_plugin="gdcm")
    np.testing.assert_array_equal(decoded, peer)


DCMTK = {
    "baseline, 8 bit": ("+eb", 8),
    "extended, 12 bit": ("+ee", 12),
    "lossless, selection value 4": ("+el +sv 4", 16),
    "lossless SV1": ("+e1", 16),
}


@pytest.mark.parametrize("name", DCMTK)
def test_what_dcmtk_encodes_reads_as_dcmtk_reads_it(tmp_path: Path, tool: Callable[[str], str], name: str) -> None:
    options, bits = DCMTK[name]
    encoder, decoder = tool("dcmcjpeg"), tool("dcmdjpeg")
    y, x = np.mgrid[:64, :96]
    pixels = ((1 << bits) * (0.5 + 0.45 * np.sin(x / 11) * np.cos(y / 5))).astype("u1" if bits == 8 else "u2")
    plain = save(with_pixels(described(bits, False), pixels), tmp_path / "plain.dcm")
    coded, again = tmp_path / "coded.dcm", tmp_path / "again.dcm"
    subprocess.run([encoder, *options.split(), plain, coded], check=True, capture_output=True)
    subprocess.run([decoder, coded, again], check=True, capture_output=True)
    assert "JPEG" in pydicom.dcmread(coded).file_meta.TransferSyntaxUID.name
    ours = read_image(load_study(coded).series[0]).pixels
    np.testing.assert_array_equal(ours, pydicom.dcmread(again).pixel_array)


def test_the_twelve_bit_jpegs_of_pydicoms_wheel_read_as_dcmtk_reads_them(
    tmp_path: Path, tool: Callable[[str], str]
) -> None:
    for name in ("JPGExtended.dcm", "JPEG-lossy.dcm"):
        subprocess.run([tool("dcmdjpeg"), WHEEL / name, tmp_path / name], check=True, capture_output=True)
        ours = read_image(load_study(WHEEL / name).series[0]).pixels
        np.testing.assert_array_equal(ours, pydicom.dcmread(tmp_path / name).pixel_array)


def test_every_row_of_the_table_is_proved() -> None:
    rows = table()
    assert {row.uid for row in rows} == {*CODECS, *PLAIN}
    assert [(row.name, row.reason) for row in rows if not row.proved] == []
    assert all(row.ms is not None and row.ms > 0 and row.reference for row in rows)
    assert all(row.version for row in rows if row.uid in CODECS)


def test_a_broken_decoder_is_a_row_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("library is broken")

    monkeypatch.setattr(imagecodecs, "jpegls_decode", broken)
    by_name = {row.name: row for row in table()}
    row = by_name["JPEG-LS Lossless Image Compression"]
    assert not row.proved and "library is broken" in row.reason
    assert by_name["RLE Lossless"].proved


def test_a_stream_of_another_size_is_not_decoded() -> None:
    pixels = np.zeros((8, 8), np.uint16)
    for syntax, stream in (
        (uid.JPEGLSLossless, imagecodecs.jpegls_encode(pixels)),
        (uid.JPEG2000Lossless, imagecodecs.jpeg2k_encode(pixels, codecformat="j2k")),
        (uid.HTJ2K, imagecodecs.htj2k_encode(pixels)),
        (uid.JPEGLossless, imagecodecs.ljpeg_encode(pixels)),
    ):
        with pytest.raises(CodecError, match="the code stream is 8 x 8 x 1, the header says 9 x 8 x 1"):
            decode(stream, syntax, Layout(8, 9, 1, 16, "MONOCHROME2"))


@pytest.mark.parametrize("cut", [2, 3, 40, 400])
@pytest.mark.parametrize("name", [*LOSSLESS, "jpeg"])
def test_a_stream_that_ends_early_is_refused(tmp_path: Path, name: str, cut: int) -> None:
    """libjpeg fills what is missing with gray and only warns: the end marker must be there."""
    pixels = np.random.default_rng(9).integers(0, 256, (32, 32), dtype=np.uint8)
    if name == "jpeg":
        syntax, stream = uid.JPEGBaseline8Bit, imagecodecs.jpeg8_encode(pixels)
    else:
        syntax, encode = LOSSLESS[name]
        stream = bytes(encode(pixels, 8))
    if name == "rle":
        stream = stream.rstrip(b"\0")
    short = stream[:-cut]
    if name.startswith(("jpeg 2000", "htj2k")) and cut <= 2:
        return  # without its EOC marker a JPEG 2000 stream still has all its data
    with pytest.raises(StudyRejected, match=r"a\.dcm: "):
        through_file(described(8, False, Rows=32, Columns=32), [short], syntax, tmp_path / "a.dcm")


STREAMS = [
    (uid.JPEGLSLossless, lambda p: imagecodecs.jpegls_encode(p)),
    (uid.JPEGBaseline8Bit, lambda p: imagecodecs.jpeg8_encode(p)),
    (uid.JPEGLosslessSV1, lambda p: imagecodecs.jpeg8_encode(p, lossless=True)),
    (uid.JPEG2000Lossless, lambda p: imagecodecs.jpeg2k_encode(p, codecformat="j2k")),
    (uid.HTJ2KLossless, lambda p: imagecodecs.htj2k_encode(p)),
    (uid.RLELossless, lambda p: _rle(p, 8)),
]


@given(which=st.integers(0, len(STREAMS) - 1), seed=st.integers(0, 2**32))
@settings(max_examples=300, deadline=None)
def test_a_damaged_stream_decodes_or_is_refused(which: int, seed: int) -> None:
    chance = random.Random(seed)
    syntax, encode = STREAMS[which]
    stream = bytearray(encode(np.random.default_rng(0).integers(0, 200, (24, 24), dtype=np.uint8)))
    for _ in range(chance.randint(1, 8)):
        stream[chance.randrange(len(stream))] = chance.randrange(256)
    if chance.random() < 0.3:
        del stream[chance.randrange(len(stream)) :]
    try:
        samples, _ = decode(bytes(stream), syntax, Layout(24, 24, 1, 8, "MONOCHROME2"))
        assert samples.shape == (24, 24)
    except CodecError as error:
        assert "\n" not in str(error)


@given(data=st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_the_marker_readers_survive_noise(data: bytes) -> None:
    for reader, start in ((jpeg_info, b"\xff\xd8"), (jpeg2000_info, b"\xff\x4f\xff\x51")):
        for stream in (data, start + data):
            try:
                reader(stream)
            except StreamError as error:
                assert str(error)


def _rle_frame(*segments: bytes) -> bytes:
    offsets, place = [], 64
    for segment in segments:
        offsets.append(place)
        place += len(segment)
    head = [len(segments), *offsets, *[0] * (15 - len(segments))]
    return b"".join(number.to_bytes(4, "little") for number in head) + b"".join(segments)


def test_rle_segments_are_placed_by_byte_and_sample() -> None:
    low, high = bytes([256 - 5, 0x34]), bytes([3, 0x12, 0x13, 0x14, 0x15, 128, 1, 0x16, 0x17, 0, 0])
    out = np.empty((2, 3), np.uint16)
    decode_rle(_rle_frame(high, low), out)
    assert out.tolist() == [[0x1234, 0x1334, 0x1434], [0x1534, 0x1634, 0x1734]]
    rgb = np.empty((1, 2, 3), np.uint8)
    decode_rle(_rle_frame(b"\x01\x01\x02", b"\xff\x03", b"\x01\x04\x05"), rgb, samples=3)
    assert rgb.tolist() == [[[1, 3, 4], [2, 3, 5]]]


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (b"\1\0\0\0", "header is cut short"),
        (_rle_frame(b"\xfd\x07"), "ends early"),
        (_rle_frame(b"\x03\x07\x07"), "ends early"),
        (_rle_frame(b"\xfb"), "ends early"),
        (_rle_frame(b"\xfa\x07"), "too many bytes"),
        (_rle_frame(b"\xfb\x07", b"\xfb\x07"), "number of RLE segments"),
        (_rle_frame(b"\xfb\x07").replace(b"\x40", b"\xff"), "outside the frame"),
        (_rle_frame(b"\xfb\x07").replace(b"\x40", b"\x08"), "outside the frame"),
    ],
)
def test_a_damaged_rle_frame_is_refused_and_never_left_half_filled(stream: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        decode_rle(stream, np.empty((2, 3), np.uint8))
    with pytest.raises(CodecError, match=said):
        decode(stream, uid.RLELossless, Layout(2, 3, 1, 8, "MONOCHROME2"))


def test_rle_names_the_wrong_argument() -> None:
    stream = _rle_frame(b"\xfb\x07")
    with pytest.raises(ValueError, match="samples"):
        decode_rle(stream, np.empty((2, 3), np.uint8), samples=4)
    with pytest.raises(ValueError, match="integers"):
        decode_rle(stream, np.empty((2, 3), np.float32))
    with pytest.raises(ValueError, match="little-endian"):
        decode_rle(stream, np.empty((2, 3), ">u2"))
    with pytest.raises(ValueError, match="C-contiguous"):
        decode_rle(stream, np.empty((3, 2), np.uint8).T)
