"""What the commands share: their options, and how a refusal is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

import typer

from .. import console
from ..errors import BedsideError, DeliveryError
from ..geometry import ACCEPTABLE
from ..instruction_set import require_instruction_set

JsonOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the answer as JSON; - is standard output.")
]
AcceptOption = Annotated[
    str,
    typer.Option(
        "--accept",
        metavar="KIND,...",
        help="Go on in spite of these findings of the geometry gate: " + ", ".join(sorted(ACCEPTABLE)) + ".",
    ),
]
# Not Path, which makes the current folder of an empty text, as an unset variable of the shell gives it.
StudyArgument = Annotated[str, typer.Argument(help="A DICOM file, a folder of them, or a DICOMDIR.")]
BundleArgument = Annotated[str, typer.Argument(help="A bundle folder, or the name of one that ships with bedside.")]
StudyOption = Annotated[str | None, typer.Option("--study", metavar="UID", help="Which study, if there are several.")]


@contextmanager
def one_line_errors(json_file: Path | None = None, *, computes: bool = True) -> Iterator[None]:
    """Turn a refusal into one line on standard error, an object where JSON was asked for, and an exit code.

    What ``computes`` is refused at once where the kernels do not run.
    """
    try:
        console.require_json_target(json_file)
        if computes:
            require_instruction_set()
        yield
    except BedsideError as error:
        console.print_error(error)
        with suppress(DeliveryError):
            console.require_json_target(json_file)
            console.write_json(console.describe_error(error), json_file)
        raise typer.Exit(error.exit_code) from None


def accepted_kinds(kinds: str) -> frozenset[str]:
    """The findings named by ``--accept``."""
    accepted = frozenset(kind.strip() for kind in kinds.split(",") if kind.strip())
    unknown = sorted(accepted - set(ACCEPTABLE))
    if unknown:
        raise typer.BadParameter(f"'{unknown[0]}' is none of: {', '.join(sorted(ACCEPTABLE))}", param_hint="--accept")
    return accepted
