"""Whether this host computes INT8 rightly, and whether it can be expected to be fast at it.

x86-64 processors without VNNI multiply uint8 by int8 and add pairs of products in int16, which saturates: measured
there with ONNX Runtime's default settings, a quarter of a layer's outputs were wrong, by up to 131 of 255. So before
a device runs an INT8 model, small quantised layers whose every output is known as an integer are run on it, opened in
the same way as the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from bedside.backends.contract import Options

from .bundle.load import Variant
from .devices import open_program
from .errors import DeviceUnavailable

_PROBES = Path(__file__).resolve().parent / "int8_probe"
_TIE = -1
_DOT_PRODUCTS = ("amx_int8", "avx512_vnni", "avx_vnni", "i8mm", "asimddp")
"""CPU flags, as Linux has them, of instructions that add products of 8-bit integers in 32 bits."""


@dataclass(frozen=True)
class Exactness:
    """How a device's INT8 compares with integer arithmetic."""

    device: str
    outputs: int
    """Numbers compared."""
    wrong: int
    worst: int
    """Largest difference, in steps of the quantised output, of which there are 256."""

    @property
    def exact(self) -> bool:
        return self.wrong == 0

    def __str__(self) -> str:
        if self.exact:
            return f"{self.device} computes INT8 exactly ({self.outputs} outputs of test layers)"
        share = 100 * self.wrong / self.outputs
        return (
            f"{self.device} computes INT8 wrongly here: {share:.1f} % of outputs are off, by up to {self.worst} of 255"
        )


def dot_product() -> str:
    """The CPU flag of this host's best 8-bit dot product; empty where it has none, and INT8 gains next to nothing."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    lines = (line.partition(":") for line in text.splitlines())
    flags = next((set(value.split()) for key, _, value in lines if key.strip() in ("flags", "Features")), set())
    return next((flag for flag in _DOT_PRODUCTS if flag in flags), "")


def exactness(device: str, *, reduced_range: bool = False) -> Exactness:
    """Run the test layers on a device, with weights of 7 bits where ``reduced_range``; asked again, it remembers.

    Raises
    ------
    DeviceUnavailable, DeviceFault
        The device is not there, or cannot load or run quantised layers.
    """
    return _exactness(device, reduced_range)


@cache
def _exactness(device: str, reduced_range: bool) -> Exactness:
    bits = 7 if reduced_range else 8
    with np.load(_PROBES / f"weights-{bits}-bit.npz") as stored:
        known = {name: stored[name].astype(np.int64) for name in stored.files}
    image = (known.pop("image") / 256).astype(np.float32)
    program = open_program(_PROBES / f"weights-{bits}-bit.onnx", device, Options())
    try:
        given = program.run({program.inputs[0].name: image})
    finally:
        program.close()
    wrong = worst = outputs = 0
    for name, right in known.items():
        off = np.abs(np.rint(given[name].astype(np.float64) * 256).astype(np.int64) + 128 - right)[right != _TIE]
        outputs += off.size
        wrong += int(np.count_nonzero(off))
        worst = max(worst, int(off.max()))
    return Exactness(device, outputs, wrong, worst)


def require_exact(device: str, variant: Variant) -> Exactness:
    """Refuse an INT8 model on a device of this host that computes its kind of weights wrongly.

    Raises
    ------
    DeviceUnavailable
        It does; or the device is not there.
    DeviceFault
        The device cannot load or run quantised layers.
    """
    found = exactness(device, reduced_range=variant.reduced_range)
    if not found.exact:
        again = "" if variant.reduced_range else ", or bedside quantize --reduced-range for weights of 7 bits"
        raise DeviceUnavailable(str(found), mend=f"--precision f32{again}")
    return found
