"""`bedside prove`: a bundle's golden cases on the devices of this host."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bedside.models import shipped

from .. import console
from ..errors import DeviceUnavailable
from .options import JsonOption, one_line_errors
from .program import app

_COMPUTE_NOTHING = ("null", "reference")


@app.command()
def prove(
    bundle: Annotated[
        str | None, typer.Argument(help="A bundle folder, or the name of one that ships; without it all that ship.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", help="Which device; without it all that are available.")
    ] = None,
    precision: Annotated[str, typer.Option("--precision", help="Which of the bundle's models.")] = "f32",
    threads: Annotated[int, typer.Option("--threads", min=0, help="Host threads; 0 is every core.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Prove devices: run golden cases from DICOM to findings and keep the verdict, which every result then carries."""
    from ..bundle.load import load_bundle
    from ..proof import prove as prove_device

    with one_line_errors(json_file):
        bundles = [load_bundle(name) for name in ([bundle] if bundle is not None else shipped())]
        devices = [device] if device is not None else _available()
        proofs = []
        for one in bundles:
            for name in devices:
                with console.progress_on_terminal() as progress:
                    proofs.append(prove_device(one, name, precision=precision, threads=threads, progress=progress))
        console.write_json(_as_rows(proofs), json_file)
        if str(json_file) != "-":
            console.print_table("Proofs on this host", _COLUMNS, [_cells(proof) for proof in proofs])
        bad = [proof for proof in proofs if not proof.proved]
        if bad:
            bad[0].require()


def _available() -> list[str]:
    """Every device that can be used, but those that compute nothing or only for tests."""
    from ..probing import list_devices

    found = [device.id for device in list_devices() if device.available and device.id not in _COMPUTE_NOTHING]
    if not found:
        raise DeviceUnavailable("no device can be used", mend="`bedside devices` says what each one wants")
    return found


_COLUMNS = (
    "bundle",
    "device",
    "precision",
    "verdict",
    "max error",
    "cosine",
    "Dice",
    "probability change",
    "AUC change",
    "cases",
    "seconds",
    "why not",
)


def _cells(proof: Any) -> tuple[str, ...]:
    return (
        proof.bundle,
        proof.identity.device,
        proof.identity.precision,
        proof.status,
        _figure(proof.max_error, ".2g"),
        _figure(proof.cosine, ".7f"),
        _figure(proof.dice, ".4f"),
        _figure(proof.probability_change, ".1g"),
        _figure(proof.auc_change, ".4f"),
        str(len(proof.cases)),
        f"{sum(case.seconds for case in proof.cases):.1f}",
        proof.reason,
    )


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _as_rows(proofs: list[Any]) -> dict[str, Any]:
    """The machine-readable form that every measurement of this project has, and the verdicts whole."""
    from datetime import datetime

    from ..doctor import describe_host, versions

    rows = []
    for proof in proofs:
        name = f"{proof.bundle}, {proof.identity.precision}, on {proof.identity.device}"
        figures = (
            ("max error", proof.max_error, "output"),
            ("cosine", proof.cosine, "1"),
            ("Dice", proof.dice, "1"),
            ("probability change", proof.probability_change, "1"),
            ("AUC change", proof.auc_change, "1"),
        )
        for what, value, unit in figures:
            if value is not None:
                rows.append({"name": f"{name}: {what}", "ours": value, "unit": unit, "n": len(proof.cases)})
        rows.append(
            {"name": f"{name}: proved", "ours": int(proof.proved), "unit": "1", "goal": 1, "met": proof.proved}
            | ({"why": proof.reason} if proof.reason else {})
        )
    when = datetime.now().astimezone().isoformat(timespec="seconds")
    return {
        "environment": {**describe_host(), "packages": versions(), "when": when},
        "rows": rows,
        "proofs": [proof.to_json() for proof in proofs],
    }
