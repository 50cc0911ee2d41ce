"""The accuracy card of a variant: JSON beside its model that says what was measured, on which device and cases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..errors import BundleError

if TYPE_CHECKING:
    from ..bundle.load import Bundle, Variant

SCHEMA = 1


def read_card(variant: Variant) -> dict[str, Any] | None:
    """The card of a variant; None where it has none.

    Raises
    ------
    BundleError
        It is no card.
    """
    if variant.card is None:
        return None
    try:
        content = json.loads(variant.card.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"accuracy card {variant.card.name} cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA or not isinstance(content.get("summary"), str):
        raise BundleError(f"{variant.card.name} is no accuracy card", mend="run bedside quantize again")
    return content


def precision_notes(bundle: Bundle) -> tuple[str, ...]:
    """What a reader of a result must know of the numbers that the network computed with; nothing to say of f32.

    Raises
    ------
    BundleError
        The accuracy card cannot be read.
    """
    if bundle.precision == "f32":
        return ()
    card = read_card(bundle.variant(bundle.precision))
    said = card["summary"] if card else "it has no accuracy card"
    return (f"the network ran in {bundle.precision}, not f32: {said}",)
