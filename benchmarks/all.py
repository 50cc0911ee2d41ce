"""Every benchmark: ``python -m bedside.benchmarks.all --json F --readme README.md`` writes the JSON and the table."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from . import decode, kernels, read_study, write_seg
from .rows import document, headline, markdown, write

BEGIN, END = "<!-- bench -->", "<!-- /bench -->"


def between_marks(text: str, table: str) -> str:
    """``text`` with what stands between the marks replaced by ``table``."""
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise SystemExit(f"no '{BEGIN}' and '{END}' to put the table between")
    return f"{head}{BEGIN}\n{table}{end}{tail}"


def main(
    json: Annotated[Path | None, typer.Option(help="Write the rows and the environment to this file.")] = None,
    readme: Annotated[Path | None, typer.Option(help="Put the table into this file, between its marks.")] = None,
    rounds: Annotated[int, typer.Option(help="Timed rounds a candidate.", min=1)] = 5,
) -> None:
    """Time reading, decoding, kernels and SEG writing beside their peers."""
    found = []
    for name, rows in (
        ("reading a study", read_study.rows(rounds=rounds)),
        ("decoding", decode.rows(rounds, len(os.sched_getaffinity(0)))),
        ("kernels", kernels.rows(rounds=rounds)),
        ("writing a SEG", write_seg.rows(rounds=rounds)),
    ):
        Console(stderr=True).print(f"{name} ...")
        found += list(rows)
    content = document(found)
    table = f"`make bench` on {headline(content)}; medians of {rounds} interleaved rounds.\n\n{markdown(content)}"
    typer.echo(table, nl=False)
    write(json, content)
    if readme is not None:
        readme.write_text(between_marks(readme.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
