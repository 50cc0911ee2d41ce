"""Argument types that several transforms share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field


def _unwrap(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


PerKey = BeforeValidator(_unwrap)
"""MONAI takes one value or a list with one value a key; there is one key here."""

NotLazy = Annotated[Literal[False] | None, Field()]
"""Lazy resampling gives other numbers than step by step, so only the latter is offered."""

Float32 = Annotated[Literal["float32", "float"] | None, PerKey]
"""Computation or output type; None keeps the input's, which is float32."""

Sizes = int | tuple[int, ...]
Numbers = float | tuple[float, ...]


def numbers(value: Numbers | None) -> tuple[float, ...]:
    """One value or several, as a tuple; none for None."""
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)
