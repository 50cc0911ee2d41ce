"""What every kernel asks of its arguments: refused by name, and what gives its memory by DLPack is taken."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside import kernels
from bedside.kernels import _cpu

F32, NAN = np.float32, float("nan")


class Lent:
    """Memory of another library: not a numpy array, but lent by DLPack."""

    def __init__(self, array: NDArray[Any], device: tuple[int, int] = (1, 0)) -> None:
        self.array, self.device, self.ndim = array, device, array.ndim

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


def misaligned(values: NDArray[Any]) -> NDArray[Any]:
    view = np.frombuffer(bytearray(values.nbytes + 1), values.dtype, values.size, 1).reshape(values.shape)
    view[...] = values
    assert not view.flags.aligned
    return view


def unpickled(values: NDArray[Any]) -> NDArray[Any]:
    """Equal, of a dtype object of its own."""
    copy = pickle.loads(pickle.dumps(values))
    return copy.view(pickle.loads(pickle.dumps(copy.dtype.newbyteorder("=")))) if copy.flags.writeable else copy


def volume(dtype: Any = F32, shape: tuple[int, ...] = (2, 3, 4)) -> NDArray[Any]:
    return np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype)


def ones(n: int) -> NDArray[Any]:
    return np.ones(n, F32)


# Of each kernel: what it is called with; arrays under names, nested where an argument is a tuple of arrays.
CALLS: dict[str, Callable[[], dict[str, Any]]] = {
    "rescale": lambda: {"src": volume(), "out": volume(), "slope": ones(2), "intercept": ones(2)},
    "sigmoid_window": lambda: {"src": volume(), "out": volume(), "center": 1.0, "width": 2.0},
    "to_planes": lambda: {
        "src": volume(F32, (1, 2, 3, 3)),
        "out": volume(F32, (1, 3, 2, 3)),
        "slope": ones(3),
        "intercept": ones(3),
    },
    "to_gray": lambda: {"src": volume(F32, (1, 2, 3, 3)), "out": volume(F32, (1, 2, 3)), "photometric": "RGB"},
    "crop_pad": lambda: {"src": volume(np.int32), "out": volume(np.int32), "start": (0, 0, 0), "fill": -1},
    "look_up": lambda: {"src": volume(np.int16), "out": volume(np.uint16), "table": volume(np.uint16, (9,))},
    "extract_bits": lambda: {"src": volume(np.int16), "out": volume(np.int16), "shift": 1, "bits": 3},
    "resize": lambda: {"src": volume(), "out": volume(F32, (2, 5, 6)), "scale": ones(1), "offset": ones(1)},
    "take": lambda: {"src": volume(), "out": volume(F32, (2, 2, 2)), "index": (np.arange(2, dtype=np.int32),) * 3},
    "correlate": lambda: {"src": volume(), "out": volume(), "weights": ones(3), "axis": 1},
    "resample": lambda: {"src": volume(), "out": volume(), "matrix": np.eye(4)[:3]},
    "nms": lambda: {
        "boxes": np.array([[0, 0, 2, 2], [1, 1, 3, 3]], F32),
        "scores": ones(2),
        "out": np.zeros(2, np.int64),
        "threshold": 0.5,
    },
    "minmax": lambda: {"src": volume()},
    "moments": lambda: {"src": volume()},
    "histogram": lambda: {"src": volume(np.int16)},
    "percentiles": lambda: {"src": volume(), "percents": [10.0, 50.0]},
    "bounding_box": lambda: {"src": volume()},
    "standardise": lambda: {"src": volume(), "out": volume(), "mean": 1.0, "deviation": 2.0},
    "gather": lambda: {"src": volume(F32, (1, 2, 3, 4)), "out": volume(F32, (1, 2, 2, 2)), "start": (0, 0, 0)},
    "accumulate": lambda: {
        "patch": volume(F32, (1, 2, 2, 2)),
        "bells": (ones(2),) * 3,
        "total": volume(F32, (1, 2, 3, 4)),
        "start": (0, 0, 0),
    },
    "window_norm": lambda: {"out": volume(), "bells": (ones(2),) * 3, "starts": (np.zeros(1, np.int64),) * 3},
    "divide": lambda: {"total": volume(F32, (1, 2, 3, 4)), "norm": volume(), "out": volume(F32, (1, 2, 3, 4))},
    "argmax": lambda: {"src": volume(F32, (1, 2, 3, 4)), "out": volume(np.uint8)},
    "threshold": lambda: {"src": volume(F32, (1, 2, 3, 4)), "out": volume(np.uint8), "level": 3.0, "norm": volume()},
    "softmax": lambda: {"src": volume(F32, (1, 2, 3, 4)), "out": volume(F32, (1, 2, 3, 4))},
    "sigmoid": lambda: {"src": volume(F32, (1, 2, 3, 4)), "out": volume(F32, (1, 2, 3, 4))},
}
WRITTEN = ("out", "total")
ARRAYS = [
    (kernel, name)
    for kernel, make in CALLS.items()
    for name, value in make().items()
    if isinstance(value, np.ndarray) or (isinstance(value, tuple) and isinstance(value[0], np.ndarray))
]


def call(kernel: str, arguments: dict[str, Any]) -> Any:
    return getattr(kernels, kernel)(**arguments)


def each(value: Any, change: Callable[[NDArray[Any]], Any]) -> Any:
    return tuple(change(one) for one in value) if isinstance(value, tuple) else change(value)


def refused(kernel: str, name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"'{name}'") as error:
        call(kernel, CALLS[kernel]() | {name: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("kernel", "name"), ARRAYS)
def test_refusals_of_arrays(kernel: str, name: str) -> None:
    value = CALLS[kernel]()[name]
    refused(kernel, name, each(value, lambda _: "three"))
    refused(kernel, name, each(value, lambda a: np.ma.masked_array(a, a == 2)))
    refused(kernel, name, each(value, lambda a: Lent(a, (2, 0))))
    if each(value, lambda a: a)[0].dtype.itemsize > 1 and name != "matrix":  # that is copied
        refused(kernel, name, each(value, misaligned))


@pytest.mark.parametrize("kernel", sorted(CALLS))
@pytest.mark.parametrize("change", [unpickled, Lent, lambda a: a])
def test_arrays_of_any_origin_are_taken(kernel: str, change: Callable[[NDArray[Any]], Any]) -> None:
    expected, given = CALLS[kernel](), CALLS[kernel]()
    names = [name for of, name in ARRAYS if of == kernel]
    result = call(kernel, expected)
    np.testing.assert_equal(call(kernel, given | {name: each(given[name], change) for name in names}), result)
    if change is Lent:  # written in place
        for name in set(names).intersection(WRITTEN):
            np.testing.assert_array_equal(given[name], expected[name])


@pytest.mark.parametrize("kernel", ["rescale", "standardise", "sigmoid_window"])
def test_in_place_by_another_dtype_object(kernel: str) -> None:
    given = CALLS[kernel]()
    dtype = np.dtype(F32, metadata={"origin": "elsewhere"})
    call(kernel, given | {"out": given["src"].view(dtype)})


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    src, out = torch.arange(24.0).reshape(2, 3, 4), torch.zeros(2, 4, 3).transpose(1, 2)
    kernels.rescale(src, out, slope=torch.tensor(2.0), intercept=torch.tensor([1.0, 3.0]))
    expected = src.numpy() * 2 + np.array([1, 3], F32)[:, None, None]
    np.testing.assert_array_equal(out.numpy(), expected)
    with pytest.raises(ValueError, match="'src'"):
        kernels.rescale(torch.zeros((2, 3, 4), device="meta"), out, slope=1.0, intercept=0.0)


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (kernel, name)
        for kernel, names in {
            "rescale": "slope intercept low high scale offset padding_value",
            "sigmoid_window": "center slope intercept scale offset",
            "to_planes": "slope intercept low high scale offset",
            "to_gray": "slope intercept low high scale offset",
            "look_up": "slope intercept",
            "resize": "slope intercept low high scale offset",
            "gather": "slope intercept low high scale offset",
            "standardise": "mean deviation",
        }.items()
        for name in names.split()
    ],
)
def test_nan_is_no_number(kernel: str, name: str) -> None:
    refused(kernel, name, NAN)


@pytest.mark.parametrize(
    ("kernel", "name"),
    [("rescale", "slope"), ("to_planes", "intercept"), ("resize", "scale"), ("resize", "offset")],
)
def test_numbers_for_all_or_each(kernel: str, name: str) -> None:
    count = len(CALLS[kernel]()[name])
    for value in ("2", None, 1j, [1.0], object(), np.array([NAN] * count, F32), np.ones(count)):
        refused(kernel, name, value)
    expected = CALLS[kernel]()
    call(kernel, expected)
    for value in (1, 1.0, True, F32(1), np.int64(1), np.array(1.0), np.broadcast_to(F32(1), count)):
        given = CALLS[kernel]() | {name: value}
        call(kernel, given)
        np.testing.assert_array_equal(given["out"], expected["out"])


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (kernel, name)
        for kernel, names in {
            "rescale": "slope low high scale offset quant_scale zero_point padding_value padding_out",
            "sigmoid_window": "center width slope intercept scale offset quant_scale zero_point",
            "to_planes": "low high scale offset quant_scale zero_point",
            "to_gray": "slope intercept low high scale offset quant_scale zero_point",
            "crop_pad": "fill slope intercept low high scale offset quant_scale zero_point",
            "look_up": "slope intercept",
            "gather": "fill slope intercept low high scale offset",
            "accumulate": "floor",
            "window_norm": "floor",
            "threshold": "level",
            "resample": "fill slope intercept low high scale offset quant_scale zero_point",
            "resize": "slope intercept low high scale offset quant_scale zero_point",
            "standardise": "mean deviation",
            "percentiles": "percents",
            "bounding_box": "above equal",
            "nms": "threshold",
        }.items()
        for name in names.split()
    ],
)
def test_what_is_no_number(kernel: str, name: str) -> None:
    for value in ("2", 1j, [1.0, None], object(), np.ones((2, 2))):
        refused(kernel, name, value)


def test_objects_that_were_not_initialised() -> None:
    empty = kernels.Components.__new__(kernels.Components)
    for use in (len, lambda it: it.label, lambda it: it.shape, lambda it: it.select(np.ones(1, np.uint32))):
        with pytest.raises(TypeError, match="__init__"):
            use(empty)
    tags = _cpu.WantedTags.__new__(_cpu.WantedTags)
    with pytest.raises(TypeError, match="__init__"):
        _cpu.scan_header(b"", tags)


def test_standardise_by_nothing() -> None:
    refused("standardise", "deviation", 0.0)
    refused("standardise", "deviation", 1e-60)
    refused("standardise", "mean", float("inf"))


def test_indices_that_change_meanwhile() -> None:
    index, zero, stop = np.zeros(4000, np.int32), np.zeros(1, np.int32), threading.Event()

    def change() -> None:
        while not stop.is_set():
            index[:] = 2**30
            index[:] = 0

    other = threading.Thread(target=change)
    other.start()
    try:
        for _ in range(300):
            try:
                kernels.take(np.ones((1, 1, 8), F32), np.empty((1, 1, 4000), F32), (zero, zero, index), threads=2)
            except ValueError:
                continue
    finally:
        stop.set()
        other.join()
