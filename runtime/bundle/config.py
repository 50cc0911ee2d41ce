"""Reading of a bundle's configs/inference.json: MONAI's references, transform lists and inferer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..errors import BundleError
from ..transforms import registry
from ..transforms.registry import Section, Transform
from ..validation import first_problem
from .schema import InfererSpec

FILE = "configs/inference.json"

_DTYPE = re.compile(r"\$(?:np|numpy|torch)\.(bool|u?int(?:8|16|32|64)|float(?:16|32|64)?)")
_META_KEYS = {"_target_", "_disabled_", "_desc_"}
_INFERER_IGNORED = {
    "sw_device",
    "device",
    "progress",
    "cache_roi_weight_map",
    "cpu_thresh",
    "buffer_steps",
    "buffer_dim",
}
"""SlidingWindowInferer arguments that say where and how fast, not what."""


def read_json(path: Path, name: str) -> dict[str, Any]:
    """Read a JSON object, or raise a one-line BundleError that calls the file ``name``."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{name} is missing") from None
    except OSError as error:
        raise BundleError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BundleError(f"{name} is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise BundleError(f"{name} is not valid JSON: {error.msg} at line {error.lineno}") from None
    except ValueError as error:  # a number of more digits than Python converts
        raise BundleError(f"{name} is not valid JSON: {str(error).partition(';')[0]}") from None
    except RecursionError:
        raise BundleError(f"{name} is not valid JSON: nested too deeply") from None
    if not isinstance(content, dict):
        raise BundleError(f"{name} must hold a JSON object")
    return content


class InferenceConfig:
    """configs/inference.json with MONAI's ``@id`` references followed (``@a::b`` or ``@a#b``)."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content

    def transforms(self, section: Section) -> tuple[Transform, ...]:
        """The transforms of ``preprocessing`` or ``postprocessing``; an absent section is an empty chain.

        Raises
        ------
        BundleError
            Anything in the section that is not understood.
        """
        parsed = []
        for where, raw in self.entries(section):
            entry = self.resolved(raw, where)
            if entry is not None:
                parsed.append(registry.parse(entry, section, where))
        return tuple(parsed)

    def entries(self, section: Section) -> list[tuple[str, Any]]:
        """The entries of a section as they stand, each with the words that say where it stands."""
        value = self._follow(self.content.get(section, []), section, ())
        entries: Any = value
        if isinstance(value, Mapping):
            if registry.canonical(value.get("_target_")) not in ("Compose", "monai.transforms.Compose"):
                raise BundleError(f"{FILE}: '{section}' must be a Compose, got '{value.get('_target_')}'")
            for key in set(value) - {"_target_", "transforms", "_desc_"}:
                if key != "lazy" or value[key] not in (False, None):
                    raise BundleError(f"{FILE}: {section}: Compose argument '{key}' is not supported")
            entries = self._follow(value.get("transforms", []), section, ())
        if not isinstance(entries, list):
            raise BundleError(f"{FILE}: '{section}' must hold a list of transforms")
        return [(f"{FILE}: {section}[{index}]", raw) for index, raw in enumerate(entries)]

    def inferer(self) -> InfererSpec:
        """The ``inferer``; SimpleInferer (the whole image at once) where the bundle names none.

        Raises
        ------
        BundleError
            Unknown inferer or argument.
        """
        where = f"{FILE}: inferer"
        entry = self.resolved(self.content.get("inferer", {"_target_": "SimpleInferer"}), where, _INFERER_IGNORED)
        if entry is None:
            raise BundleError(f"{where} is disabled")
        name = str(entry.pop("_target_")).removeprefix("monai.inferers.")
        kinds = {"SlidingWindowInferer": "sliding", "SimpleInferer": "simple"}
        if name not in kinds:
            raise BundleError(f"{where} '{name}' is not supported", mend="supported: " + ", ".join(kinds))
        arguments = {key: value for key, value in entry.items() if key not in _INFERER_IGNORED}
        if arguments.pop("with_coord", False):
            raise BundleError(f"{where} {name}: with_coord=true is not supported")
        if kinds[name] == "simple" and arguments:
            raise BundleError(f"{where} {name}: unknown argument '{next(iter(arguments))}'")
        roi_size = arguments.get("roi_size")
        if kinds[name] == "sliding" and roi_size is None:
            raise BundleError(f"{where} {name}: argument 'roi_size' is missing")
        if isinstance(roi_size, int) and not isinstance(roi_size, bool):
            arguments["roi_size"] = [roi_size]
        try:
            return InfererSpec.model_validate_json(json.dumps({"kind": kinds[name], **arguments}), strict=True)
        except ValidationError as error:
            raise BundleError(f"{where} {name}: argument {first_problem(error)}") from None

    def resolved(self, raw: Any, where: str, ignored: set[str] | None = None) -> dict[str, Any] | None:
        """One ``_target_`` object with the references in its arguments followed; None where it is disabled.

        ``ignored`` are arguments to leave as they are.
        """
        entry = self._follow(raw, where, ())
        if not isinstance(entry, Mapping) or "_target_" not in entry:
            raise BundleError(f"{where} must be an object with a '_target_'")
        unknown = sorted(key for key in entry if key.startswith("_") and key not in _META_KEYS)
        if unknown:
            raise BundleError(f"{where}: '{unknown[0]}' is not supported")
        disabled = self._resolve(entry.get("_disabled_", False), where)
        if not isinstance(disabled, bool):
            raise BundleError(f"{where}: '_disabled_' must be true or false")
        if disabled:
            return None
        raw_keys = registry.raw_arguments(entry["_target_"]) | (ignored or set())
        arguments = {
            key: value if key in raw_keys else self._resolve(value, f"{where}: argument '{key}'")
            for key, value in entry.items()
            if not key.startswith("_")
        }
        return {"_target_": entry["_target_"], **arguments}

    def _resolve(self, value: Any, where: str) -> Any:
        """Follow references inside a value and refuse expressions in it."""
        value = self._follow(value, where, ())
        if isinstance(value, str):
            constant = _DTYPE.fullmatch(value)
            if constant:
                return constant[1]
            if value.startswith("$"):
                raise BundleError(
                    f"{where}: python expression '{value}' is not evaluated", mend="write the value itself"
                )
            if value.startswith("%"):
                raise BundleError(f"{where}: macro '{value}' is not supported", mend="write the value itself")
        if isinstance(value, Mapping):
            return {key: self._resolve(item, where) for key, item in value.items()}
        if isinstance(value, list):
            return [self._resolve(item, where) for item in value]
        return value

    def _follow(self, value: Any, where: str, seen: tuple[str, ...]) -> Any:
        """The value behind ``@id``, followed to its end."""
        while isinstance(value, str) and value.startswith("@"):
            if value in seen:
                raise BundleError(f"{where}: reference '{value}' leads back to itself")
            seen = (*seen, value)
            target: Any = self.content
            for part in re.split(r"::|#", value[1:]):
                if isinstance(target, str):
                    target = self._follow(target, where, seen)
                if isinstance(target, Mapping) and part in target:
                    target = target[part]
                elif isinstance(target, Sequence) and part.isdigit() and int(part) < len(target):
                    target = target[int(part)]
                else:
                    raise BundleError(f"{where}: reference '{value}' points to nothing in {FILE}")
            value = target
        return value
