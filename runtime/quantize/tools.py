"""The quantisers, run in a child process: they are large, print as they like, and may end the process.

INT8 is made twice, as QuantizeLinear and DequantizeLinear pairs with uint8 activations and int8 weights that have a
scale a channel: by NNCF and by ONNX Runtime's static quantisation. What gives raw outputs nearer to f32's on the
calibration windows is kept, because neither is the better always (root mean square errors, NNCF and ONNX Runtime:
0.011 and 0.034, 0.085 and 0.103, 1.96 and 0.24). Ranges are the least and the largest value seen, and NNCF does not
correct biases: with its own defaults the first two were 0.25 and 0.20.
FP16 is ONNX Runtime's conversion of the graph, with float32 inputs and outputs.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..devices import open_program
from ..errors import BedsideError, BundleError
from ..stopwatch import Progress

STAGE = "quantize"
_COMPARED = 8
"""Windows that the two INT8 models are compared on."""
NEEDED = {"int8": ("nncf", "onnx", "onnxruntime"), "f16": ("onnx", "onnxruntime")}
INSTALL = "pip install 'bedside[quantize]'"
_LARGEST = 2_000_000_000
"""Bytes that one protobuf file may have."""


def require_tools(precision: str) -> None:
    """Refuse a precision that cannot be made with what is installed.

    Raises
    ------
    BedsideError
        Naming the packages that are missing.
    """
    missing = [name for name in NEEDED[precision] if find_spec(name) is None]
    if missing:
        raise BedsideError(f"{precision} needs the Python package {' and '.join(missing)}", mend=INSTALL)


def _named(tool: str) -> str:
    return f"{tool} {version(tool)}"


def int8(arguments: Mapping[str, Any], progress: Progress, note: Any) -> dict[str, Any]:
    """Quantise ``model`` with the ``windows`` (.npy files) and write it to ``made``; the task of a child process.

    Returns
    -------
    dict
        ``tool`` whose model was kept, ``rms_error`` of the raw outputs by tool, ``largest_output`` of f32.
    """
    import onnx

    made = Path(arguments["made"])
    _require_opset(onnx.load(arguments["model"], load_external_data=False))
    task = _Int8(Path(arguments["model"]), arguments["input"], arguments["windows"], arguments["reduced_range"])
    candidates = {"nncf": made.with_suffix(".nncf.onnx"), "onnxruntime": made.with_suffix(".ort.onnx")}
    shown = 0

    def watched() -> None:
        nonlocal shown
        shown += 1
        total = len(candidates) * len(task.windows)
        progress(STAGE, min(shown, total), total)

    try:
        _write(_by_nncf(task, watched), candidates["nncf"])
        _by_onnxruntime(task, candidates["onnxruntime"], watched)
    except BundleError:
        raise
    except Exception as error:  # of a graph that they do not know they say so in many ways
        raise BundleError(f"the model cannot be quantised: {' '.join(str(error).split())[:200]}") from error
    probes = [np.load(path) for path in task.windows[:: -(-len(task.windows) // _COMPARED)]]
    right = _outputs(task.model, task.input, probes)
    errors = {}
    for tool, path in candidates.items():
        given = _outputs(path, task.input, probes)
        squares = [float(np.mean((a.astype(np.float64) - b) ** 2)) for a, b in zip(given, right, strict=True)]
        errors[tool] = float(np.sqrt(np.mean(squares)))
    best = min(errors, key=lambda tool: errors[tool])
    _write(onnx.load(candidates[best]), made)
    return {
        "tool": _named(best),
        "rms_error": {_named(tool): error for tool, error in errors.items()},
        "largest_output": max(float(np.abs(one).max()) for one in right),
    }


@dataclass(frozen=True)
class _Int8:
    model: Path
    input: str
    windows: list[str]
    reduced_range: bool


def _by_nncf(task: _Int8, watched: Callable[[], None]) -> Any:
    os.environ["NNCF_CI"] = "1"  # else it reports that it is used to its makers, over the internet
    import nncf
    import onnx
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    def fed(path: str) -> dict[str, Any]:
        watched()
        return {task.input: np.load(path)}

    nncf.set_log_level(logging.ERROR)
    made = nncf.quantize(
        onnx.load(task.model),
        nncf.Dataset(task.windows, fed),
        preset=nncf.QuantizationPreset.MIXED,
        target_device=nncf.TargetDevice.CPU,
        subset_size=len(task.windows),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE if task.reduced_range else nncf.OverflowFix.DISABLE,
            disable_bias_correction=True,
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
        ),
    )
    _make_unsigned(made)
    return made


def _by_onnxruntime(task: _Int8, made: Path, watched: Callable[[], None]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Windows(CalibrationDataReader):  # type: ignore[misc]
        """Reads a window when it is asked for the next."""

        def __init__(self) -> None:
            self._left = iter(task.windows)

        def get_next(self) -> dict[str, Any] | None:
            path = next(self._left, None)
            if path is None:
                return None
            watched()
            return {task.input: np.load(path)}

    quantize_static(
        str(task.model),
        str(made),
        Windows(),
        per_channel=True,
        reduce_range=task.reduced_range,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )


def _outputs(model: Path, name: str, windows: list[Any]) -> list[Any]:
    """The first output of each window, computed by ONNX Runtime in its exact mode."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.add_session_config_entry("session.x64quantprecision", "1")
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(model), settings, providers=["CPUExecutionProvider"])
    return [session.run(None, {name: window})[0] for window in windows]


def attempt(arguments: Mapping[str, Any], progress: Progress, note: Any) -> None:
    """Open ``model`` on ``device`` and run the window in ``window`` once; the task of a child process.

    OpenVINO 2026.4.1 ends the process while it compiles some quantised graphs.
    """
    program = open_program(Path(arguments["model"]), arguments["device"])
    program.run({program.inputs[0].name: np.load(arguments["window"])})
    program.close()


def f16(arguments: Mapping[str, Any], progress: Progress, note: Any) -> dict[str, Any]:
    """Convert ``model`` and write it to ``made``; the task of a child process."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    progress(STAGE, 0, 1)
    made = OnnxModel(convert_float_to_float16(onnx.load(arguments["model"]), keep_io_types=True))
    made.topological_sort()  # the casts of the inputs were put at the end
    _write(made.model, Path(arguments["made"]))
    progress(STAGE, 1, 1)
    return {"tool": _named("onnxruntime")}


def _make_unsigned(model: Any) -> None:
    """Turn int8 activations into uint8 by a zero point that is 128 larger, which gives the same numbers.

    ONNX Runtime is faster so, and OpenVINO 2026.4.1 computes wrongly with int8 activations whose zero point is not 0:
    by up to 11.7 where outputs reach 9.6, in a network of 36 convolutions.
    """
    from onnx import TensorProto, numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    changed = set()
    for node in model.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[0] in constants:
            continue
        zero = constants.get(node.input[2]) if len(node.input) > 2 else None
        if zero is None:
            raise BundleError(f"the quantiser left {node.op_type} '{node.name}' without a constant zero point")
        if zero.data_type == TensorProto.INT8:
            moved = numpy_helper.to_array(zero).astype(np.int16) + 128
            zero.CopyFrom(numpy_helper.from_array(moved.astype(np.uint8), zero.name))
            changed.update(node.output if node.op_type == "QuantizeLinear" else node.input[:1])
    kept = [info for info in model.graph.value_info if info.name not in changed]
    del model.graph.value_info[:]
    model.graph.value_info.extend(kept)


def _require_opset(model: Any) -> None:
    least = 13  # DequantizeLinear has an axis from here on
    found = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if found < least:
        raise BundleError(
            f"the model has ONNX opset {found}; scales a channel need {least} or newer", mend="export it again"
        )


def _write(model: Any, path: Path) -> None:
    import onnx

    size = model.ByteSize()
    if size > _LARGEST:
        raise BundleError(f"the quantised model has {size / 1e9:.1f} GB; one file may have {_LARGEST / 1e9:.1f} GB")
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
