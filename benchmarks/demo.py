"""The demonstration: both shipped bundles on phantom studies, on every CPU backend, and one page that shows it all.

``python -m bedside.benchmarks.demo --out demo-out``; `make demo` sets up what it needs.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from pydicom.data import get_testdata_file
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from bedside.backends.contract import Device
from bedside.phantoms import NoduleSpec, breast_us, chest_ct, write_breast_us, write_chest_ct
from bedside.runtime import BedsideError, DeviceUnavailable, Result, list_devices, load_bundle, prove, run
from bedside.runtime.console import print_error
from bedside.runtime.proof import stored

from .demo_page import Demonstration, render

DEVICES = ("openvino:CPU", "ort:cpu")
BUNDLES = ("ct-lung-nodule", "us-breast-lesion")
CT_SEED = 2026
CT_NODULES = (
    NoduleSpec(28.0, "solid", "pleura"),
    NoduleSpec(20.0, "part-solid", "parenchyma"),
    NoduleSpec(14.0, "solid", "vessel"),
    NoduleSpec(10.0, "soft", "parenchyma"),
    NoduleSpec(8.0, "solid", "parenchyma"),
    NoduleSpec(5.5, "solid", "pleura"),
)
"""Sizes from what nobody should miss to what the model's card says it mostly does."""
US_CASES: tuple[tuple[int, str], ...] = ((11, "benign"), (12, "malignant"), (13, "benign"), (14, "malignant"))
CINE = "examples_ybr_color.dcm"


def main(
    out: Annotated[Path, typer.Option(help="Folder for results and index.html.")] = Path("demo-out"),
    slices: Annotated[int, typer.Option(help="Slices of the phantom CT, 2 mm each.", min=40)] = 160,
) -> None:
    """Run the demonstration."""
    try:
        usable = {device.id: device for device in list_devices() if device.available}
        devices = [usable[device] for device in DEVICES if device in usable]
        if not devices:
            raise DeviceUnavailable("no CPU backend is installed", mend="pip install 'bedside[ort]'")
        demonstration = demonstrate(out, devices, slices)
        page = render(demonstration, out)
    except BedsideError as error:
        print_error(error)
        raise typer.Exit(error.exit_code) from None
    for line in demonstration.summary():
        typer.echo(line)
    typer.echo(f"open {page}")


def demonstrate(out: Path, usable: list[Device], slices: int) -> Demonstration:
    """Generate the studies, run the bundles, and collect what the page shows."""
    out.mkdir(parents=True, exist_ok=True)
    for folder in ("studies", "results"):
        shutil.rmtree(out / folder, ignore_errors=True)
    studies, devices = out / "studies", [device.id for device in usable]
    columns = (SpinnerColumn(), TextColumn("{task.description:<58}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        task = bars.add_task("Generating the phantom chest CT", total=None)
        chest = chest_ct(CT_SEED, slices=slices, specs=CT_NODULES)
        write_chest_ct(chest, studies / "chest-ct")
        bars.update(task, description="Generating the breast ultrasound phantoms")
        breasts = [breast_us(seed, lesion) for seed, lesion in US_CASES]  # type: ignore[arg-type]
        for (seed, lesion), phantom in zip(US_CASES, breasts, strict=True):
            write_breast_us(phantom, studies / f"breast-us-{lesion}-{seed}")
        bars.update(task, total=1, completed=1, description="Phantom studies generated")
        for name in BUNDLES:
            for device in usable:
                if stored(load_bundle(name), device) is None:
                    title = f"Proving {name} on {device.id}"
                    bar = bars.add_task(title, total=None)
                    prove(name, device.id, progress=_listen(bars, bar, title))  # results say how it ended
                    bars.update(bar, total=1, completed=1, description=title)

        def go(bundle: str, study: Path, label: str) -> dict[str, Result]:
            results = {}
            for device in devices:
                name = f"{label} on {device}"
                bar = bars.add_task(name, total=None)
                target = out / "results" / label.replace(" ", "-") / device.replace(":", "-")
                results[device] = run(study, bundle, device, out=target, progress=_listen(bars, bar, name))
                bars.update(bar, total=1, completed=1, description=name)
            return results

        ct = go("ct-lung-nodule", studies / "chest-ct", "chest CT")
        us = [
            go("us-breast-lesion", studies / f"breast-us-{lesion}-{seed}", f"breast US {lesion} {seed}")
            for seed, lesion in US_CASES
        ]
        cine = go("us-breast-lesion", Path(str(get_testdata_file(CINE))), "echo cine")
    return Demonstration(
        out=out,
        devices=tuple(devices),
        chest=chest,
        breasts=tuple(breasts),
        ct=ct,
        us=tuple(us),
        cine=cine,
        bundles=(load_bundle(BUNDLES[0]), load_bundle(BUNDLES[1])),
        when=datetime.now(),
        host=f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
    )


def _listen(bars: Progress, bar: object, name: str) -> Callable[[str, int, int], None]:
    def listen(stage: str, done: int, total: int) -> None:
        bars.update(bar, description=f"{name}: {stage}", completed=done, total=total or None)  # type: ignore[arg-type]

    return listen


if __name__ == "__main__":
    typer.run(main)
