"""What a pydantic validation found, in one line."""

from __future__ import annotations

import json

from pydantic import ValidationError

_SHOWN = 80
"""Characters of a wrong value that a message quotes: it may be a whole file."""


def first_problem(error: ValidationError) -> str:
    """The first fault a validation found, as one line that names the key."""
    fault = error.errors(include_url=False)[0]
    where = ""
    for part in fault["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif part not in ("float", "int", "str", "bool") and not str(part).startswith(("tuple[", "literal[")):
            where += f".{part}" if where else str(part)
    kind = fault["type"]
    if kind == "missing":
        return f"key '{where}' is missing"
    if kind == "extra_forbidden":
        return f"unknown key '{where}'"
    message = str(fault["msg"]).removeprefix("Value error, ")
    message = " ".join(message.split())
    if kind != "value_error" and isinstance(fault["input"], str | int | float | None):
        given = json.dumps(fault["input"])
        message += f", got {given if len(given) <= _SHOWN else given[:_SHOWN] + '...'}"
    return f"'{where}': {message}" if where else message
