"""The model bundles that ship with bedside, one folder each; see each one's card.md."""

from __future__ import annotations

from pathlib import Path


def shipped() -> dict[str, Path]:
    """Folder of every bundle that ships with bedside, by name."""
    here = Path(__file__).resolve().parent
    return {path.parent.parent.name: path.parent.parent for path in sorted(here.glob("*/configs/metadata.json"))}
