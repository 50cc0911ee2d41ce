"""`bedside run`: a bundle on a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .. import console
from .options import (
    AcceptOption,
    BundleArgument,
    JsonOption,
    StudyArgument,
    StudyOption,
    accepted_kinds,
    one_line_errors,
)
from .program import app


@app.command()
def run(
    bundle: BundleArgument,
    study: StudyArgument,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FOLDER", help="Folder for the results; made if it is not there.")
    ],
    device: Annotated[
        str | None,
        typer.Option("--device", help="This device or an error; see `bedside devices`.", show_default="openvino:CPU"),
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="f32, or what `bedside quantize` made: f16, int8.")
    ] = "f32",
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy",
            metavar="POLICY",
            help="Let a policy choose the device, and another one take over when it fails: fastest, least-energy, "
            "deadline:33ms (of one run of the network) or pin:DEVICE.",
        ),
    ] = None,
    require_proof: Annotated[
        bool | None,
        typer.Option(
            "--require-proof/--no-require-proof",
            help="Run only on a device that is proved on this host (`bedside prove`); default with --policy.",
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--table", metavar="FILE", help="Let the policy go by this file of `bedside measure --json`."),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", min=0.001, metavar="SECONDS", help="How long one run of the network may take."),
    ] = None,
    accept: AcceptOption = "",
    series: Annotated[str | None, typer.Option("--series", metavar="UID", help="Take this series.")] = None,
    study_uid: StudyOption = None,
    instance: Annotated[
        str | None, typer.Option("--instance", metavar="UID", help="Take this image or cine of the series.")
    ] = None,
    label_map: Annotated[bool, typer.Option("--label-map", help="Write the SEG as LABELMAP, not BINARY.")] = False,
    threads: Annotated[int, typer.Option("--threads", min=0, help="Host threads; 0 is every core.")] = 0,
    json_file: JsonOption = None,
) -> None:
    """Run a bundle on a study and write DICOM SEG, SR, key images and result.json."""
    from ..pipeline import run as run_study

    accepted = accepted_kinds(accept)
    with one_line_errors(json_file):
        with console.progress_on_terminal() as progress:
            result = run_study(
                study,
                bundle,
                device,
                precision=precision,
                policy=policy,
                require_proof=require_proof,
                table=table,
                timeout=timeout,
                out=out,
                accept=accepted,
                series_uid=series,
                study_uid=study_uid,
                instance_uid=instance,
                label_map=label_map,
                threads=threads,
                progress=progress,
            )
        console.write_json(result.to_json(), json_file)
        if str(json_file) != "-":
            console.print_result(result)
