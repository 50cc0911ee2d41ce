"""A phantom study as a few words of JSON: what a bundle's golden case holds in place of megabytes of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .breast_us import BreastPhantom, breast_us
from .ct_chest import ChestPhantom, chest_ct
from .nodules import NoduleSpec
from .write_dicom import write_breast_us, write_chest_ct


def write_study(description: Mapping[str, Any], folder: Path) -> ChestPhantom | BreastPhantom:
    """Generate the phantom that a description asks for and write it as DICOM.

    Parameters
    ----------
    description
        ``{"phantom": {"kind": "ct_chest" | "breast_us", "seed": 7, ...}}``: the arguments of :func:`chest_ct` or
        :func:`breast_us`, with ``specs`` as a list of :class:`NoduleSpec` arguments, and ``character_set``.
    folder
        Where the files go.

    Returns
    -------
    ChestPhantom or BreastPhantom
        The phantom with its truth.

    Raises
    ------
    ValueError
        The kind is unknown or an argument does not exist.
    """
    wanted = dict(description.get("phantom", {}))
    kind, character_set = wanted.pop("kind", None), str(wanted.pop("character_set", "GB18030"))
    try:
        if kind == "ct_chest":
            if "specs" in wanted:
                wanted["specs"] = [NoduleSpec(**spec) for spec in wanted["specs"]]
            chest = chest_ct(**wanted)
            write_chest_ct(chest, folder, character_set=character_set)
            return chest
        if kind == "breast_us":
            breast = breast_us(**wanted)
            write_breast_us(breast, folder / "US0001.dcm", character_set=character_set)
            return breast
    except TypeError as error:
        raise ValueError(f"phantom of kind '{kind}': {error}") from None
    raise ValueError(f"phantom kind '{kind}' is not known: ct_chest or breast_us")
