"""``ort:cpu``: ONNX Runtime's own kernels for the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..contract import Device, DeviceUnavailable, Options
from ..library import one_line
from ..onnx_file import check_file
from . import session as sessions
from . import settings, wheels
from .program import OrtProgram

ID = "ort:cpu"
INSTALL = "pip install 'bedside[ort]'"
_NAME = "ONNX Runtime on the CPU"


def probe() -> list[Device]:
    """The one device of this family."""
    try:
        return [_describe(wheels.with_provider(ID, INSTALL, sessions.CPU))]
    except DeviceUnavailable as error:
        return [Device(ID, _NAME, False, error.message.removeprefix(f"{ID}: "), error.mend or "")]
    except Exception as error:
        return [Device(ID, _NAME, False, one_line(error), INSTALL)]


def open(model: Path, options: Options) -> OrtProgram:
    """Load a model; ``options.extra`` takes the options of every family (:data:`.settings.SESSION`)."""
    library = wheels.with_provider(ID, INSTALL, sessions.CPU)
    values = settings.read(options, settings.SESSION, ID)
    check_file(model, ID)
    session = sessions.on_the_cpu(library, model, settings.session_options(library, options, values), ID)
    sessions.check_providers(session.get_providers(), [], ID)
    inputs, outputs = sessions.specs(session, model, ID)
    return OrtProgram(session, _describe(library), inputs, outputs, options)


def _describe(library: Any) -> Device:
    return Device(ID, _NAME, True, versions={"onnxruntime": library.__version__})
