"""Every benchmark, and the tables of the documents: ``python -m bedside.benchmarks.all README.md docs/bench.md``.

Each benchmark writes its JSON object to a file of its name in one folder; the tables are made from those files alone. A
document has a table between ``<!-- bench:kernels -->`` and ``<!-- /bench -->``: names of benchmarks with commas between
them and, after one more colon, what a row's name must contain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from . import decode, kernels, overhead, read_study, whole_path, write_seg
from .limits import cores
from .rows import document, headline, markdown, write

BENCHMARKS: Mapping[str, Callable[[int], dict[str, Any]]] = {
    "read": lambda rounds: document(read_study.rows(rounds=rounds)),
    "decode": lambda rounds: document(decode.rows(rounds, cores())),
    "seg": lambda rounds: document(write_seg.rows(rounds=rounds)),
    "kernels": lambda rounds: kernels.bench(rounds=rounds),
    "path": lambda rounds: whole_path.bench(rounds=rounds),
    "overhead": lambda rounds: overhead.bench(rounds=rounds),
}
_MARKS = re.compile(r"(<!-- bench:([\w,]+)(?::([^>]+?))? -->\n).*?(<!-- /bench -->)", re.DOTALL)


def filled(text: str, contents: Mapping[str, Any]) -> str:
    """``text`` with each table between its marks made anew; one whose benchmarks are not in ``contents`` stays."""

    def table(found: re.Match[str]) -> str:
        begin, names, part, end = found.groups()
        chosen = [contents[name] for name in names.split(",") if name in contents]
        if not chosen:
            return found.group()
        rows = [row for content in chosen for row in content["rows"] if (part or "") in row["name"]]
        head = f"On {headline(chosen[-1])}; medians of n interleaved rounds."
        return f"{begin}{head}\n\n{markdown({'rows': rows})}{end}"

    return _MARKS.sub(table, text)


def main(
    documents: Annotated[list[Path] | None, typer.Argument(help="Documents whose tables are made anew.")] = None,
    folder: Annotated[Path, typer.Option("--json", help="Folder of the JSON objects.")] = Path("build/bench"),
    only: Annotated[str, typer.Option(help=f"Which of {', '.join(BENCHMARKS)} to run; none: tables only.")] = ",".join(
        BENCHMARKS
    ),
    rounds: Annotated[int, typer.Option(help="Timed rounds a candidate.", min=1)] = 5,
) -> None:
    """Time everything beside its peers, and put the figures into the documents."""
    for name, run in BENCHMARKS.items():
        if name in only.split(","):
            Console(stderr=True).print(f"{name} ...")
            write(folder / f"{name}.json", run(rounds))
    files = {name: folder / f"{name}.json" for name in BENCHMARKS}
    contents = {name: json.loads(file.read_text(encoding="utf-8")) for name, file in files.items() if file.is_file()}
    for path in documents or []:
        path.write_text(filled(path.read_text(encoding="utf-8"), contents), encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
