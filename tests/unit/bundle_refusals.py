"""A bundle that must be refused, and edits that make it so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bedside.runtime.bundle.load import load_bundle
from bedside.runtime.errors import BundleError

from .bundle_maker import IMAGE, PRED, Content

Edit = Callable[[Content, Content], None]


def refuse(path: Path, *parts: str) -> BundleError:
    with pytest.raises(BundleError) as caught:
        load_bundle(path)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text
    return caught.value


def step(name: str, **arguments: Any) -> Content:
    return {"_target_": name, **IMAGE, **arguments}


def post(name: str, **arguments: Any) -> Content:
    return {"_target_": name, **PRED, **arguments}


INVERT = post("Invertd", transform="@preprocessing", orig_keys="image")
ARGMAX = post("AsDiscreted", argmax=True)
