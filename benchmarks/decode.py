"""Decoding a 512 x 512 slice in every transfer syntax beside named peers: ``python -m bedside.benchmarks.decode``.

A few slices are decoded with the same number of threads by every candidate: ours is the decoder that the runtime chose,
from the file to the volume as ``read_volume`` does it; the peers have the code stream in memory. These are the figures
the choice rests on.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import imagecodecs
import numpy as np
import pydicom
import typer
from numpy.typing import NDArray
from pydicom import uid
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder

from bedside.runtime.study import load_study
from bedside.runtime.study.pixels import read_volume

from .read_study import REAL, _header
from .rows import Row, compare, document, interleaved, markdown, write

COUNT, EDGE = 8, 512
PLUGINS = ("pydicom", "pylibjpeg", "gdcm", "pyjpegls", "pillow")

Pixels = NDArray[np.uint16]


def slices() -> list[Pixels]:
    """Slices of the real chest CT where it is, else of smooth shapes with noise; 12 bits."""
    if REAL.is_dir():
        files = sorted(path for path in REAL.iterdir() if path.suffix == ".dcm")[20 : 20 + COUNT]
        return [pydicom.dcmread(path).pixel_array.astype(np.uint16) for path in files]
    rng = np.random.default_rng(0)
    base = np.add.outer(np.arange(EDGE), np.arange(EDGE)) * 3
    return [((base + 50 * i) % 3000 + rng.integers(0, 60, base.shape)).astype(np.uint16) for i in range(COUNT)]


def _rle(pixels: Pixels) -> bytes:
    return get_encoder(uid.RLELossless).encode(
        pixels.tobytes(),
        rows=EDGE,
        columns=EDGE,
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=16,
        bits_stored=16,
        pixel_representation=0,
        photometric_interpretation="MONOCHROME2",
    )


SYNTAXES: dict[str, tuple[uid.UID, Callable[[Pixels], bytes | bytearray], dict[str, Callable[[bytes], Any]]]] = {
    "RLE": (
        uid.RLELossless,
        _rle,
        {"imagecodecs dicomrle": lambda s: imagecodecs.dicomrle_decode(s, np.dtype("<u2"))},
    ),
    "JPEG baseline, 8 bit": (
        uid.JPEGBaseline8Bit,
        lambda p: imagecodecs.jpeg8_encode((p >> 4).astype(np.uint8), level=90),
        {},
    ),
    "JPEG extended, 12 bit": (
        uid.JPEGExtended12Bit,
        lambda p: imagecodecs.jpeg8_encode(p, level=90, bitspersample=12),
        {},
    ),
    "JPEG lossless": (
        uid.JPEGLosslessSV1,
        lambda p: imagecodecs.jpeg8_encode(p, lossless=True, predictor=1, bitspersample=16),
        {
            "imagecodecs jpegsof3": imagecodecs.jpegsof3_decode,
            "imagecodecs ljpeg": imagecodecs.ljpeg_decode,
        },
    ),
    "JPEG-LS": (uid.JPEGLSLossless, imagecodecs.jpegls_encode, {}),
    "JPEG-LS near-lossless": (uid.JPEGLSNearLossless, lambda p: imagecodecs.jpegls_encode(p, level=2), {}),
    "JPEG 2000 lossless": (
        uid.JPEG2000Lossless,
        lambda p: imagecodecs.jpeg2k_encode(p, level=0, reversible=True, codecformat="j2k"),
        {},
    ),
    "HTJ2K lossless": (
        uid.HTJ2KLossless,
        lambda p: imagecodecs.htj2k_encode(p, reversible=True),
        {"imagecodecs OpenJPH": imagecodecs.htj2k_decode},
    ),
}


def rows(rounds: int, threads: int) -> Iterator[Row]:
    """A group of rows a syntax."""
    images = slices()
    for name, (syntax, encode, others) in SYNTAXES.items():
        streams = [bytes(encode(image)) for image in images]
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(threads) as pool:
            found = _candidates(Path(folder), syntax, streams, others, pool, threads)
            times = interleaved(found, rounds)
        title = f"{name}, a slice on {threads} threads"
        if len(times) == 1:
            yield Row(title, times["ours"] / COUNT, "ms", n=rounds)
        yield from compare(title, times, rounds, per=COUNT)


def _candidates(
    folder: Path,
    syntax: uid.UID,
    streams: list[bytes],
    others: dict[str, Callable[[bytes], Any]],
    pool: ThreadPoolExecutor,
    threads: int,
) -> dict[str, Callable[[], object]]:
    datasets = [_write(folder, index, syntax, stream) for index, stream in enumerate(streams)]
    series = load_study(folder).series[0]

    def on_all(call: Callable[[Any], Any], items: list[Any]) -> Callable[[], object]:
        return lambda: list(pool.map(call, items))

    found: dict[str, Callable[[], object]] = {
        "ours": lambda: read_volume(series, series.frames, np.eye(4), threads=threads)
    }
    for other, call in others.items():
        found[other] = on_all(call, streams)
    decoder = get_decoder(syntax)
    for plugin in PLUGINS:
        if plugin not in decoder.available_plugins:
            continue

        def decode(ds: pydicom.Dataset, plugin: str = plugin) -> Any:
            return decoder.as_array(ds, decoding_plugin=plugin, raw=True)

        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                decode(datasets[0])
        except Exception:  # a plug-in that is installed and cannot do this one
            continue
        found[f"pydicom with {plugin}"] = on_all(decode, datasets)
    return found


def _write(folder: Path, index: int, syntax: uid.UID, stream: bytes) -> pydicom.Dataset:
    ds = _header(index)
    if syntax == uid.JPEGBaseline8Bit:
        ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.file_meta.TransferSyntaxUID = syntax
    ds.PixelData = encapsulate([stream])
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    ds.save_as(folder / f"{index}.dcm", enforce_file_format=True)
    return pydicom.dcmread(io.BytesIO((folder / f"{index}.dcm").read_bytes()))


def main(
    json: Annotated[Path | None, typer.Option(help="Write the rows and the environment to this file.")] = None,
    rounds: Annotated[int, typer.Option(help="Timed rounds a candidate.", min=1)] = 5,
    threads: Annotated[int, typer.Option(help="Threads of every candidate.", min=1)] = 2,
) -> None:
    """Time the decoders beside their peers."""
    found = list(rows(rounds, threads))
    gdcm = import_module("gdcm").Version.GetVersion() if _has("gdcm") else "not installed"
    print(f"imagecodecs {imagecodecs.__version__}, gdcm {gdcm}")
    content = document(found)
    typer.echo(markdown(content), nl=False)
    write(json, content)


def _has(module: str) -> bool:
    try:
        import_module(module)
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    typer.run(main)
