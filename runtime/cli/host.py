"""What this host has: `bedside devices` and `bedside doctor`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from .. import console
from .options import JsonOption, one_line_errors
from .program import app


@app.command()
def devices(json_file: JsonOption = None) -> None:
    """List the devices of this host: which can be used, and what would make the others usable."""
    from ..probing import list_devices

    with one_line_errors(json_file):
        found = list_devices()
        console.write_json({"devices": [asdict(device) for device in found]}, json_file)
        if str(json_file) != "-":
            console.print_devices(found)


@app.command()
def doctor(json_file: JsonOption = None) -> None:
    """Examine this installation: host, kernels, devices, and every DICOM transfer syntax by decoding an image."""
    from ..doctor import examine

    with one_line_errors(json_file):
        report = examine()
        console.write_json(report.to_json(), json_file)
        if str(json_file) != "-":
            console.print_doctor(report)
    if not report.healthy:
        raise typer.Exit(1)
