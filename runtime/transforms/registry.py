"""From a name in inference.json to a transform: the table of what is supported, and the reading of arguments."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from ..errors import BundleError
from ..validation import first_problem

Section = Literal["preprocessing", "postprocessing"]


class Transform(BaseModel):
    """A dictionary transform: its fields are MONAI's arguments, with MONAI's defaults.

    A value that is not supported is refused, never ignored. Arguments that change nothing here (metadata keys, devices)
    are listed in :attr:`IGNORED` of the class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    IGNORED: ClassVar[frozenset[str]] = frozenset()
    """Arguments that cannot change the numbers in this runtime; any value is taken."""

    RAW: ClassVar[frozenset[str]] = frozenset()
    """Arguments whose ``@id`` reference is the value meant."""

    keys: str | tuple[str, ...]
    allow_missing_keys: bool = False

    @field_validator("keys")
    @classmethod
    def _one_key(cls, value: str | tuple[str, ...]) -> str:
        names = (value,) if isinstance(value, str) else value
        if len(names) != 1:
            raise ValueError(f"must name exactly one tensor, got {list(names)}")
        return names[0]

    @property
    def key(self) -> str:
        """The tensor the transform works on."""
        return self.keys if isinstance(self.keys, str) else self.keys[0]

    @property
    def name(self) -> str:
        return type(self).__name__


T = TypeVar("T", bound=type[Transform])

_TABLE: dict[Section, dict[str, type[Transform]]] = {"preprocessing": {}, "postprocessing": {}}

REMOVABLE = {
    "SaveImaged": "remove it: the runtime writes the results itself",
    "SaveClassificationd": "remove it: the runtime writes the results itself",
    "DeleteItemsd": "remove it",
    "ToTensord": "remove it",
    "ToDeviced": "remove it: the device is chosen when the bundle is run",
}
"""Transforms that leave the numbers as they are, and what to do about them."""


def register(*sections: Section) -> Callable[[T], T]:
    """Class decorator: the transform may stand in these sections of inference.json."""

    def add(cls: T) -> T:
        for section in sections:
            _TABLE[section][cls.__name__] = cls
        return cls

    return add


def supported(section: Section) -> tuple[str, ...]:
    """Names of the transforms that may stand in a section."""
    return tuple(sorted(_TABLE[section]))


def parse(config: Mapping[str, Any], section: Section, where: str) -> Transform:
    """Read one transform's ``_target_`` and arguments.

    Raises
    ------
    BundleError
        Unknown transform, unknown argument or a value that is not supported; ``where`` says which entry it was.
    """
    target = config["_target_"]
    name = canonical(target)
    if name not in _TABLE[section]:
        other: Section = "postprocessing" if section == "preprocessing" else "preprocessing"
        if name in _TABLE[other]:
            raise BundleError(f"{where}: {name} belongs in '{other}', not in '{section}'")
        listing = "supported: " + ", ".join(supported(section))
        raise BundleError(f"{where}: transform '{target}' is not supported", mend=REMOVABLE.get(name, listing))
    cls = _TABLE[section][name]
    arguments = {key: value for key, value in config.items() if key != "_target_" and key not in cls.IGNORED}
    expression = next((f"{k}={v}" for k, v in arguments.items() if isinstance(v, str) and v.startswith("$")), None)
    if expression:
        raise BundleError(
            f"{where} {name}: python expression {expression} is not evaluated", mend="write the value itself"
        )
    try:
        return cls.model_validate_json(json.dumps(arguments), strict=True)
    except ValidationError as error:
        raise BundleError(f"{where} {name}: {_problem(error)}") from None


def raw_arguments(target: Any) -> set[str]:
    """Arguments of a transform that are read as they stand: references in them are not followed."""
    name = canonical(target)
    for table in _TABLE.values():
        if name in table:
            return {*table[name].IGNORED, *table[name].RAW}
    return set()


def canonical(target: Any) -> str:
    """MONAI's aliases to one name: ``monai.transforms.OrientationD`` and ``OrientationDict`` are ``Orientationd``."""
    name = str(target)
    for prefix in ("monai.transforms.", "bedside."):
        if name.startswith(prefix):
            name = name.rsplit(".", 1)[-1]
    if name.endswith("Dict"):
        return name[:-4] + "d"
    if name.endswith("D") and not name.endswith(("2D", "3D")):
        return name[:-1] + "d"
    return name


def _problem(error: ValidationError) -> str:
    text = first_problem(error)
    for have, say in (("unknown key", "unknown argument"), ("key '", "argument '")):
        if text.startswith(have):
            return say + text.removeprefix(have)
    return f"argument {text}" if text.startswith("'") else text
