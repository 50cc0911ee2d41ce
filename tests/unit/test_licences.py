"""Nothing under the GPL or AGPL ships: the licences of the base install and of every extra a user may install."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution

import pytest
from packaging.requirements import Requirement

SHIPPED_EXTRAS = ("", "ort", "cuda", "webgpu", "fpga", "bench", "serve", "cluster")

COPYLEFT = re.compile(r"(?<![A-Za-z])A?GPL|GNU (Affero )?General Public", re.IGNORECASE)
LIBRARY_OR_EXCEPTION = re.compile(
    r"LGPL|Lesser General Public|Library General Public|GCC Runtime Library Exception|WITH GCC-exception", re.IGNORECASE
)


def licence_lines(dist: Distribution) -> list[str]:
    """What a distribution says of its licence: the SPDX expression, the classifiers, a short License field."""
    meta = dist.metadata
    lines = [*meta.get_all("License-Expression", []), *meta.get_all("License", [])]
    lines += [line for line in meta.get_all("Classifier", []) if line.startswith("License ::")]
    return [line for text in lines for line in text.splitlines()[:3]]


def forbidden(lines: list[str]) -> list[str]:
    """The lines that name the GPL or AGPL; the LGPL and the runtime exception are allowed.

    An expression with OR leaves the choice to us, so one permissive arm is enough.
    """
    return [
        line
        for line in lines
        if all(COPYLEFT.search(arm) and not LIBRARY_OR_EXCEPTION.search(arm) for arm in re.split(r"\bOR\b", line))
    ]


def closure(extra: str) -> dict[str, Distribution]:
    """What installing bedside with an extra brings, by name; PackageNotFoundError where a part is not installed."""
    found: dict[str, Distribution] = {}
    waiting = [("bedside", extra)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        found[name] = dist = distribution(name)
        for text in dist.requires or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": wanted}):
                waiting += [(requirement.name, ""), *((requirement.name, e) for e in requirement.extras)]
    return found


@pytest.mark.parametrize("extra", SHIPPED_EXTRAS)
def test_no_gpl_in_what_ships(extra: str) -> None:
    try:
        dists = closure(extra)
    except PackageNotFoundError as missing:
        assert extra, "the base install is incomplete"
        pytest.skip(f"extra '{extra}' is not installed here: {missing.name} is missing")
    assert {"bedside", "numpy", "pydicom", "highdicom", "openvino"} <= set(dists)
    guilty = {name: lines for name, dist in dists.items() if (lines := forbidden(licence_lines(dist)))}
    assert guilty == {}


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("GPL-3.0-only", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("License :: OSI Approved :: GNU Affero General Public License v3", True),
        ("AGPL-3.0-or-later", True),
        ("MIT OR GPL-2.0-or-later", False),
        ("LGPL-3.0-only", False),
        ("BSD-3-Clause", False),
        ("Apache-2.0", False),
    ],
)
def test_the_check_can_fail(line: str, refused: bool) -> None:
    assert bool(forbidden([line])) is refused
