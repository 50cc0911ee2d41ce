"""The header scanner against pydicom over every file of its wheel, and against bytes that mean harm."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydicom.dataelem import RawDataElement

from bedside.kernels._cpu import WantedTags, scan_header
from bedside.runtime.errors import BedsideError
from bedside.runtime.study import load_study
from bedside.runtime.study.header import _WANTED, FIRST_READ, TAGS, HeaderError, read_header
from bedside.runtime.study.pixels import read_cine, read_image

from .dicom_files import WHEEL, enhanced, nested_sequences, save, write_slice

STATUSES = {"ok", "more", "truncated", "deflated", "too deep", "unusual", "not dicom"}
FILES = sorted(path for path in WHEEL.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
SEEDS = [path for path in FILES if path.suffix == ".dcm" and path.stat().st_size < 40_000]


def raw_values(path: Path) -> tuple[pydicom.Dataset, dict[int, bytes]]:
    """What pydicom reads of the wanted elements, unconverted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
    values = {}
    for tag in TAGS.values():
        found = dataset.get_item(tag)
        if isinstance(found, RawDataElement) and isinstance(found.value, bytes) and found.VR != "SQ":
            values[tag] = found.value
    return dataset, values


def test_the_scanner_reads_what_pydicom_reads_in_every_file_of_its_wheel() -> None:
    scanned = 0
    for path in FILES:
        content = path.read_bytes()
        status, syntax, places, pixels, _ = scan_header(content, _WANTED)
        assert status in STATUSES
        if status != "ok":
            continue
        scanned += 1
        dataset, expected = raw_values(path)
        assert syntax == dataset.file_meta.TransferSyntaxUID, path
        for tag, value in expected.items():
            offset, length = places[tag]
            assert content[offset : offset + length] == value, (path, hex(tag))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            whole = pydicom.dcmread(path)
        found = whole.get_item(0x7FE00010)
        assert (pixels is None) == (found is None), path
        if pixels is not None and isinstance(found, RawDataElement):
            assert pixels[1] == found.value_tell
            assert pixels[2] in (found.length, -1)
    assert scanned > 120


def test_pydicom_and_scanner_paths_give_the_same_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    by_scanner = {}
    for path in FILES:
        try:
            by_scanner[path] = read_header(path)
        except HeaderError:
            continue
    monkeypatch.setattr("bedside.runtime.study.header.scan_header", lambda *_, **__: ("unusual", "", {}, None, 0))
    compared = 0
    for path, one in by_scanner.items():
        if one.transfer_syntax == pydicom.uid.DeflatedExplicitVRLittleEndian:
            continue
        try:
            other = read_header(path)
        except HeaderError:
            continue
        compared += 1
        assert (one.transfer_syntax, one.big_endian) == (other.transfer_syntax, other.big_endian)
        assert one.pixels == other.pixels
        for name in TAGS:
            if not name.endswith("Sequence") and not name.startswith("Sequence"):
                assert one.strings(name) == other.strings(name), (path, name)
    assert compared > 120


@pytest.mark.parametrize("size", [0, 1, 131, 132, 133, 200, 4000])
def test_a_buffer_that_ends_early_asks_for_more_or_says_so(tmp_path: Path, size: int) -> None:
    content = save(enhanced(30), tmp_path / "e.dcm").read_bytes()
    whole = scan_header(content, _WANTED)
    assert whole[0] == "ok"
    status, _, _, _, place = scan_header(content[:size], _WANTED, file_size=len(content))
    assert status == "more" and size < place <= len(content)
    assert scan_header(content[:size], _WANTED)[0] in ("truncated", "not dicom", "unusual")


def test_every_cut_of_a_file_grows_to_the_whole_answer(tmp_path: Path) -> None:
    content = write_slice(tmp_path / "a.dcm").read_bytes()
    whole = scan_header(content, _WANTED)
    for size in range(len(content)):
        answer = scan_header(content[:size], _WANTED, file_size=len(content))
        steps = 0
        while answer[0] == "more":
            assert answer[4] > size
            size = answer[4]
            answer = scan_header(content[:size], _WANTED, file_size=len(content))
            steps += 1
        assert answer == whole and steps < 200


def test_a_header_longer_than_the_first_read_is_read(tmp_path: Path) -> None:
    path = save(enhanced(400), tmp_path / "long.dcm")
    header = read_header(path)
    assert header.pixels is not None and header.pixels[1] > 2 * FIRST_READ
    assert len(load_study(path).series[0].frames) == 400


@pytest.mark.parametrize("encoding", ["implicit little", "explicit little", "explicit big"])
@given(data=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
@example(data=b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff")
@example(data=b"\x08\x00\x05\x00\xff\xff\xff\xff")
@example(data=b"\x08\x00\x05\x00UN\0\0\xfe\xff\xff\xff")
def test_noise_never_crashes_and_places_stay_inside(encoding: str, data: bytes) -> None:
    status, _, places, _, _ = scan_header(data, _WANTED, encoding=encoding)
    assert status in STATUSES
    for offset, length in places.values():
        assert offset + length <= len(data)


def test_depth_is_limited() -> None:
    inside = scan_header(nested_sequences(30, defined=False), _WANTED, encoding="explicit little")
    beyond = scan_header(nested_sequences(33, defined=False), _WANTED, encoding="explicit little")
    huge = scan_header(nested_sequences(100_000, defined=False), _WANTED, encoding="explicit little")
    assert (inside[0], beyond[0], huge[0]) == ("ok", "too deep", "too deep")


def test_a_transfer_syntax_that_claims_to_be_a_sequence_is_not_read_as_text() -> None:
    # Its length lies beyond the buffer, which for a sequence is allowed.
    content = bytes(128) + b"DICM" + b"\x02\x00\x10\x00SQ\x00\x00" + (1 << 20).to_bytes(4, "little") + b"1.2.840"
    assert scan_header(content, _WANTED, file_size=1 << 21)[0] == "unusual"


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="encoding"):
        scan_header(b"", WantedTags([]), encoding="middle endian")
    with pytest.raises(TypeError):
        scan_header("text", WantedTags([]))  # type: ignore[arg-type]


def mutate(content: bytes, random_: random.Random) -> bytes:
    """Change a few bytes of the header, cut, or repeat a piece."""
    data = bytearray(content)
    for _ in range(random_.randint(1, 6)):
        place = random_.randrange(min(len(data), 3000))
        choice = random_.random()
        if choice < 0.5:
            data[place] = random_.choice([0, 1, 0x7F, 0x80, 0xFE, 0xFF, random_.randrange(256)])
        elif choice < 0.7:
            data[place : place + 4] = random_.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0"])
        elif choice < 0.85:
            del data[random_.randrange(len(data)) :]
        else:
            data[place:place] = data[place : place + random_.randint(1, 64)]
        if not data:
            break
    return bytes(data)


@given(seed=st.integers(0, 2**32), which=st.integers(0, len(SEEDS) - 1))
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_mutated_file_is_read_or_refused_in_one_line(tmp_path: Path, seed: int, which: int) -> None:
    path = tmp_path / "mutated.dcm"
    path.write_bytes(mutate(SEEDS[which].read_bytes(), random.Random(seed)))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for series in load_study(path).series:
                if len(series.frames) == 1:
                    read_image(series)
                else:
                    read_cine(series)
    except BedsideError as error:
        assert "\n" not in str(error)
