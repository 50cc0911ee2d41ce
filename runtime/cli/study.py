"""`bedside study`: a look at a study before anything runs on it."""

from __future__ import annotations

from typing import Annotated

import typer

from .. import console
from .options import AcceptOption, JsonOption, StudyArgument, StudyOption, accepted_kinds, one_line_errors
from .program import app

study_app = typer.Typer(help="Look at a study before anything runs on it.", no_args_is_help=True)
app.add_typer(study_app, name="study")


@study_app.command("show")
def study_show(
    study: StudyArgument,
    bundle: Annotated[str | None, typer.Option("--bundle", help="Say which series this bundle takes.")] = None,
    accept: AcceptOption = "",
    study_uid: StudyOption = None,
    json_file: JsonOption = None,
) -> None:
    """Show the series of a study, the geometry verdict on each, and what a bundle would select."""
    from ..overview import overview

    accepted = accepted_kinds(accept)
    with one_line_errors(json_file):
        shown = overview(study, bundle, accept=accepted, study_uid=study_uid)
        console.write_json(shown.to_json(), json_file)
        if str(json_file) != "-":
            console.print_overview(shown)
