"""Types of the compiled module; what the functions do stands in their docstrings."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

def rescale(
    src: NDArray[Any],
    out: NDArray[Any],
    *,
    truncate: bool = False,
    padding_value: float | None = None,
    padding_out: float = 0.0,
    slope: float | NDArray[np.float32] = 1.0,
    intercept: float | NDArray[np.float32] = 0.0,
    low: float = ...,
    high: float = ...,
    scale: float = 1.0,
    offset: float = 0.0,
    quant_scale: float = 1.0,
    zero_point: int = 0,
    threads: int = 0,
) -> None: ...
def sigmoid_window(
    src: NDArray[Any],
    out: NDArray[Any],
    *,
    center: float,
    width: float,
    slope: float = 1.0,
    intercept: float = 0.0,
    scale: float = 1.0,
    offset: float = 0.0,
    quant_scale: float = 1.0,
    zero_point: int = 0,
    threads: int = 0,
) -> None: ...
def to_planes(
    src: NDArray[Any],
    out: NDArray[Any],
    *,
    slope: float | NDArray[np.float32] = 1.0,
    intercept: float | NDArray[np.float32] = 0.0,
    low: float = ...,
    high: float = ...,
    scale: float = 1.0,
    offset: float = 0.0,
    quant_scale: float = 1.0,
    zero_point: int = 0,
    threads: int = 0,
) -> None: ...
def to_gray(
    src: NDArray[Any],
    out: NDArray[Any],
    *,
    photometric: Literal["RGB", "YBR_FULL"] = "RGB",
    slope: float = 1.0,
    intercept: float = 0.0,
    low: float = ...,
    high: float = ...,
    scale: float = 1.0,
    offset: float = 0.0,
    quant_scale: float = 1.0,
    zero_point: int = 0,
    threads: int = 0,
) -> None: ...
def ybr_to_rgb(src: NDArray[np.uint8], out: NDArray[np.uint8], *, threads: int = 0) -> None: ...
def crop_pad(
    src: NDArray[Any],
    out: NDArray[Any],
    start: tuple[int, int, int],
    *,
    fill: float = 0.0,
    slope: float = 1.0,
    intercept: float = 0.0,
    low: float = ...,
    high: float = ...,
    scale: float = 1.0,
    offset: float = 0.0,
    quant_scale: float = 1.0,
    zero_point: int = 0,
    threads: int = 0,
) -> None: ...
def look_up(
    src: NDArray[Any],
    out: NDArray[Any],
    table: NDArray[Any],
    *,
    first: int = 0,
    slope: float = 1.0,
    intercept: float = 0.0,
    threads: int = 0,
) -> None: ...
def extract_bits(src: NDArray[Any], out: NDArray[Any], *, shift: int, bits: int, threads: int = 0) -> None: ...
def mirror(values: NDArray[Any], total: int, *, padding_value: float | None = None, threads: int = 0) -> None: ...
def resample(
    src: NDArray[Any],
    out: NDArray[Any],
    matrix: NDArray[np.float64],
    *,
    mode: Literal["linear", "cubic", "nearest"] = "linear",
    padding: Literal["border", "constant"] = "border",
    fill: float = 0.0,
    slope: float = 1.0,
    intercept: float = 0.0,
    low: float = ...,
    high: float = ...,
    scale: float = 1.0,
    offset: float = 0.0,
    quant_scale: float = 1.0,
    zero_point: int = 0,
    threads: int = 0,
) -> None: ...
def spline_coefficients(
    src: NDArray[Any], out: NDArray[Any], *, padding: Literal["border", "constant"] = "border", threads: int = 0
) -> None: ...
def resize(
    src: NDArray[Any],
    out: NDArray[Any],
    *,
    mode: Literal["nearest", "linear", "cubic", "area", "coverage"] = "linear",
    coordinates: Literal["half_pixel", "align_corners", "asymmetric"] = "half_pixel",
    antialias: bool = False,
    gray: bool = False,
    slope: float = 1.0,
    intercept: float = 0.0,
    low: float = ...,
    high: float = ...,
    scale: float | NDArray[np.float32] = 1.0,
    offset: float | NDArray[np.float32] = 0.0,
    quant_scale: float = 1.0,
    zero_point: int = 0,
    threads: int = 0,
) -> None: ...
def take(
    src: NDArray[Any],
    out: NDArray[Any],
    index: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]],
    *,
    threads: int = 0,
) -> None: ...
def correlate(
    src: NDArray[Any], out: NDArray[np.float32], weights: NDArray[np.float32], axis: int, *, threads: int = 0
) -> None: ...
def gather(
    src: NDArray[Any],
    out: NDArray[np.float32],
    start: tuple[int, int, int],
    *,
    padding: Literal["constant", "reflect", "replicate", "circular"] = "constant",
    fill: float = 0.0,
    slope: float = 1.0,
    intercept: float = 0.0,
    low: float = ...,
    high: float = ...,
    scale: float = 1.0,
    offset: float = 0.0,
    threads: int = 0,
) -> None: ...
def accumulate(
    patch: NDArray[np.float32],
    bells: Sequence[NDArray[np.float32]],
    total: NDArray[np.float32],
    start: tuple[int, int, int],
    *,
    floor: float = 0.0,
    planes: int | None = None,
    fresh: tuple[int, int, int] | None = None,
    threads: int = 0,
) -> float: ...
def window_norm(
    out: NDArray[np.float32],
    bells: Sequence[NDArray[np.float32]],
    starts: Sequence[NDArray[np.int64]],
    *,
    floor: float = 0.0,
    first: int = 0,
    threads: int = 0,
) -> None: ...
def divide(
    total: NDArray[np.float32], norm: NDArray[np.float32], out: NDArray[np.float32], *, threads: int = 0
) -> None: ...
def argmax(src: NDArray[np.float32], out: NDArray[np.uint8], *, threads: int = 0) -> None: ...
def threshold(
    src: NDArray[Any],
    out: NDArray[np.uint8],
    level: float,
    *,
    norm: NDArray[np.float32] | None = None,
    first_label: int = 1,
    threads: int = 0,
) -> None: ...
def softmax(src: NDArray[np.float32], out: NDArray[np.float32], *, threads: int = 0) -> None: ...
def sigmoid(src: NDArray[np.float32], out: NDArray[np.float32], *, threads: int = 0) -> None: ...
def pack_bits(
    mask: NDArray[np.uint8], out: NDArray[np.uint8], label: int, *, threads: int = 0
) -> NDArray[np.bool_]: ...
def minmax(src: NDArray[Any], *, threads: int = 0) -> tuple[float, float, int, int]: ...
def moments(src: NDArray[Any], *, nonzero: bool = False, threads: int = 0) -> tuple[int, float, float]: ...
def histogram(src: NDArray[Any], *, threads: int = 0) -> NDArray[np.int64]: ...
def percentiles(
    src: NDArray[Any], percents: Sequence[float], *, nonzero: bool = False, threads: int = 0
) -> NDArray[np.float64]: ...
def bounding_box(
    src: NDArray[Any], *, above: float | None = None, equal: float | None = None, threads: int = 0
) -> tuple[slice, ...] | None: ...
def standardise(
    src: NDArray[Any],
    out: NDArray[np.float32],
    *,
    mean: float,
    deviation: float,
    nonzero: bool = False,
    threads: int = 0,
) -> None: ...
def connected_components(
    src: NDArray[np.uint8],
    out: NDArray[Any],
    *,
    connectivity: int,
    groups: NDArray[np.uint8] | None = None,
    threads: int = 0,
) -> int: ...
def keep_largest(
    labels: NDArray[np.uint8],
    *,
    connectivity: int,
    groups: NDArray[np.uint8] | None = None,
    count: int = 1,
    threads: int = 0,
) -> None: ...
def fill_holes(labels: NDArray[np.uint8], of: NDArray[np.uint8], *, connectivity: int, threads: int = 0) -> None: ...
def draw_outline(
    slice: NDArray[np.uint8],
    picture: NDArray[np.uint8],
    *,
    groups: NDArray[np.uint8],
    rows: NDArray[np.int32],
    columns: NDArray[np.int32],
    color: tuple[int, int, int],
    width: int,
    threads: int = 0,
) -> None: ...
def nms(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    out: NDArray[np.int64],
    *,
    threshold: float,
    most: int | None = None,
    threads: int = 0,
) -> int: ...

class Components:
    def __init__(
        self,
        src: NDArray[np.uint8],
        *,
        connectivity: int | None,
        groups: NDArray[np.uint8] | None = None,
        channels: bool = False,
        threads: int = 0,
    ) -> None: ...
    def __len__(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def label(self) -> NDArray[np.uint8]: ...
    @property
    def voxels(self) -> NDArray[np.int64]: ...
    @property
    def sums(self) -> NDArray[np.int64]: ...
    @property
    def box(self) -> NDArray[np.int32]: ...
    @property
    def key_slice(self) -> NDArray[np.int32]: ...
    @property
    def key_area(self) -> NDArray[np.int64]: ...
    def select(self, numbers: NDArray[np.uint32], *, threads: int = 0) -> Components: ...
    def paint(
        self, out: NDArray[Any], values: NDArray[np.uint32] | None = None, *, clear: bool = True, threads: int = 0
    ) -> None: ...
    def statistics(
        self,
        stored: NDArray[Any],
        *,
        slope: float | NDArray[np.float32] = 1.0,
        intercept: float | NDArray[np.float32] = 0.0,
        padding_value: float | None = None,
        threads: int = 0,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...
    def longest_diameters(
        self, pixel: NDArray[np.float64], *, slices: NDArray[np.int32] | None = None, threads: int = 0
    ) -> tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]: ...

def active_isa() -> str: ...
def thread_budget() -> int: ...
def set_thread_budget(threads: int) -> None: ...

class WantedTags:
    def __init__(self, tags: list[int]) -> None: ...

def scan_header(
    buffer: bytes, tags: WantedTags, *, file_size: int = 0, encoding: str = ""
) -> tuple[str, str, dict[int, tuple[int, int]], tuple[int, int, int, str] | None, int]: ...
def decode_rle(stream: bytes, out: NDArray[Any], *, samples: int = 1) -> None: ...
def read_planes(
    paths: list[bytes], offsets: list[int], out: NDArray[Any], *, threads: int = 0
) -> list[tuple[int, int, int]]: ...
