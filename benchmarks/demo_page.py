"""The page of the demonstration: what was found beside what is true, stage times, agreement, and the files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup
from numpy.typing import NDArray

from bedside.phantoms import BreastPhantom, ChestPhantom
from bedside.runtime import Bundle, Result
from bedside.runtime.image import Cine, Volume

from .pictures import FOUND, TRUE, Stack, data_uri, fitted, windowed

STAGE_COLORS = {
    "bundle": "#adb5bd",
    "read": "#74c0fc",
    "select": "#ced4da",
    "open": "#b197fc",
    "geometry": "#63e6be",
    "decode": "#339af0",
    "prepare": "#ffd43b",
    "infer": "#e8590c",
    "finish": "#f783ac",
    "measure": "#a9e34b",
    "report": "#12a5b5",
}
KINDS = {
    "seg": "DICOM Segmentation: the mask, read back and compared",
    "sr": "DICOM Comprehensive 3D SR, TID 1500: measurements",
    "key-image": "DICOM Secondary Capture: key image",
    "png": "the same picture as PNG",
    "json": "everything, with provenance",
}


@dataclass(frozen=True)
class Match:
    """A true nodule and the lesion that overlaps it most, if any."""

    nodule: Any
    lesion: Any | None


@dataclass(frozen=True)
class Demonstration:
    """What was run; results by device, the first device first."""

    out: Path
    devices: tuple[str, ...]
    chest: ChestPhantom
    breasts: tuple[BreastPhantom, ...]
    ct: dict[str, Result]
    us: tuple[dict[str, Result], ...]
    cine: dict[str, Result]
    bundles: tuple[Bundle, Bundle]
    when: datetime
    host: str

    def matches(self) -> tuple[list[Match], list[Any]]:
        """True nodules with what was found there, largest first, and lesions that overlap none."""
        findings = next(iter(self.ct.values())).findings
        parts = findings.parts
        assert parts is not None
        taken: set[int] = set()
        rows = []
        for nodule in sorted(self.chest.nodules, key=lambda n: -n.diameter_mm):
            counts = np.bincount(parts[self.chest.mask == nodule.number], minlength=256)
            counts[0] = 0
            number = int(counts.argmax())
            lesion = next((one for one in findings.lesions if one.number == number), None) if counts.any() else None
            if lesion is not None:
                taken.add(number)
            rows.append(Match(nodule, lesion))
        return rows, [lesion for lesion in findings.lesions if lesion.number not in taken]

    def agreement(self) -> list[dict[str, Any]]:
        """How far every other device is from the first."""
        rows = []
        first, *others = self.devices
        for device in others:
            pair = f"{first} and {device}"
            a, b = (self.ct[d].findings.mask for d in (first, device))
            assert a is not None and b is not None
            both = int(np.count_nonzero((a > 0) & (b > 0)))
            total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
            dice = 2 * both / total if total else 1.0
            rows.append(_row("chest CT", pair, "Dice of the masks", f"{dice:.6f}", "above 0.999", dice > 0.999))
            apart = max(
                abs(x.probability - y.probability)
                for case in self.us
                for x, y in zip(case[first].findings.scores, case[device].findings.scores, strict=True)
            )
            rows.append(
                _row(
                    "breast ultrasound",
                    pair,
                    "largest difference of a probability",
                    f"{apart:.1e}",
                    "below 1e-4",
                    apart < 1e-4,
                )
            )
        return rows

    def summary(self) -> Iterator[str]:
        """A few lines for the terminal."""
        matched, extra = self.matches()
        found = sum(match.lesion is not None for match in matched)
        yield f"chest CT phantom: {found} of {len(matched)} nodules found, {len(extra)} found where there is none"
        for phantom, case in zip(self.breasts, self.us, strict=True):
            score = _worst(next(iter(case.values())))
            yield f"breast phantom built as {phantom.lesion}: {score.name} {score.probability:.2f}"
        for row in self.agreement():
            yield f"{row['study']}, {row['pair']}: {row['measure']} {row['value']} (goal {row['goal']})"
        for device, result in self.ct.items():
            whole, network = sum(result.stage_ms.values()) / 1e3, result.stage_ms["infer"] / 1e3
            yield f"chest CT on {device}: {whole:.1f} s, of it the network {network:.1f} s"


def render(demonstration: Demonstration, out: Path) -> Path:
    """Write ``out/index.html``: one file that needs nothing else, with links to the results beside it."""
    stacks = [_ct_stack(demonstration), _cine_stack(demonstration)]
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("demo.html.j2").render(
        **_context(demonstration, stacks[0], stacks[1]),
        stacks_json=_script_safe(json.dumps({stack.id: stack.data() for stack in stacks})),
    )
    target = out / "index.html"
    target.write_text(page, encoding="utf-8")
    return target


def _script_safe(text: str) -> Any:
    return Markup(text.replace("</", "<\\/"))


def _context(demo: Demonstration, ct: Stack, cine: Stack) -> dict[str, Any]:
    matched, extra = demo.matches()
    found = sum(match.lesion is not None for match in matched)
    agreement = demo.agreement()
    first = demo.ct[demo.devices[0]]
    files = _files(demo)
    checked = [row for row in files if row["check"] not in ("", "not installed")]
    tiles = [
        {"value": f"{found} of {len(matched)}", "label": f"phantom nodules found, {len(extra)} found elsewhere"},
        {
            "value": " / ".join(f"{sum(demo.ct[d].stage_ms.values()) / 1e3:.1f} s" for d in demo.devices),
            "label": f"CT of {first.source.voxels.shape[0]} slices, DICOM to DICOM, on {' / '.join(demo.devices)}",  # type: ignore[union-attr]
        },
        {"value": agreement[0]["value"] if agreement else "one backend", "label": "Dice between the backends' masks"},
        {
            "value": f"{sum(row['check'] == 'no error' for row in checked)} of {len(checked)}"
            if checked
            else "not checked",
            "label": "DICOM results listed below without an error in dciodvfy"
            if checked
            else "dciodvfy is not installed: apt-get install dicom3tools",
        },
    ]
    return {
        "bundles": " and ".join(f"{bundle.name} {bundle.version}" for bundle in demo.bundles),
        "first": demo.devices[0],
        "tiles": tiles,
        "ct": _ct(demo, ct, matched, extra),
        "us": _us(demo),
        "cine": _cine(demo, cine),
        "agreement": agreement,
        "files": files,
        "facts": [
            f"{demo.when:%Y-%m-%d %H:%M}",
            demo.host,
            f"{len(os.sched_getaffinity(0))} cores",
            *(f"{name} {version(name)}" for name in ("bedside", "openvino", "onnxruntime", "highdicom", "pydicom")),
        ],
    }


def _ct(demo: Demonstration, stack: Stack, matched: Sequence[Match], extra: Sequence[Any]) -> dict[str, Any]:
    rows = []
    inverse = np.linalg.inv(demo.chest.affine)
    for match in matched:
        nodule, lesion = match.nodule, match.lesion
        z = int(np.clip(round(float((inverse @ (*nodule.centroid_lps, 1.0))[0])), 0, len(demo.chest.voxels) - 1))
        row = {
            "slice": z,
            "true": f"{nodule.number}: {nodule.kind}, {nodule.site}",
            "true_mm": f"{nodule.diameter_mm:.1f} mm",
            "true_ml": f"{nodule.volume_mm3 / 1e3:.2f} ml",
        }
        if lesion is not None:
            apart = float(np.linalg.norm(np.subtract(lesion.centroid_lps, nodule.centroid_lps)))
            row |= {
                "found": f"yes, no. {lesion.number}",
                "found_mm": f"{lesion.longest_diameter_mm:.1f} mm",
                "found_ml": f"{lesion.volume_mm3 / 1e3:.2f} ml",
                "apart": f"{apart:.1f} mm",
            }
        rows.append(row)
    others = [
        {
            "slice": lesion.key_slice,
            "found": f"no. {lesion.number}",
            "found_mm": f"{lesion.longest_diameter_mm:.1f} mm",
            "found_ml": f"{lesion.volume_mm3 / 1e3:.2f} ml",
        }
        for lesion in extra
    ]
    shape = demo.chest.voxels.shape
    return {
        "slices": shape[0],
        "rows": shape[1],
        "columns": shape[2],
        "step": f"{demo.chest.spacing[0]:g}",
        "viewer": stack.context(),
        "matches": rows,
        "extra": others,
        "runs": _timelines(demo.ct),
        "pictures": _keys(demo, demo.ct[demo.devices[0]]),
    }


def _us(demo: Demonstration) -> dict[str, Any]:
    cases = []
    for number, (phantom, results) in enumerate(zip(demo.breasts, demo.us, strict=True), start=1):
        result = results[demo.devices[0]]
        score = _worst(result)
        said = score.name if score.positive else f"not {score.name}"
        picture = next(file.path for file in result.files if file.kind == "png")
        cases.append(
            {
                "name": f"phantom {number}",
                "truth": phantom.lesion,
                "percent": f"{score.probability * 100:.0f}",
                "said": said,
                "right": score.positive == (phantom.lesion == score.name),
                "src": data_uri(picture.read_bytes(), "png"),
                "href": picture.relative_to(demo.out).as_posix(),
                "alt": f"key image of phantom {number}",
            }
        )
    return {
        "cases": cases,
        "runs": _timelines(demo.us[0]),
    }


def _cine(demo: Demonstration, stack: Stack) -> dict[str, Any]:
    rows = []
    for device, result in demo.cine.items():
        frames = len(stack.frames)
        whole = sum(ms for stage, ms in result.stage_ms.items() if stage not in ("bundle", "open"))
        network = result.stage_ms["infer"]
        rows.append(
            {
                "device": device,
                "frames": frames,
                "network": f"{network / frames:.2f}",
                "whole": f"{whole / frames:.2f}",
                "rate": f"{1e3 * frames / whole:.0f}",
            }
        )
    return {
        "viewer": stack.context(),
        "note": next(note for note in result.provenance.notes if "body part" in note),
        "rows": rows,
    }


def _ct_stack(demo: Demonstration) -> Stack:
    result = demo.ct[demo.devices[0]]
    source, parts = result.source, result.findings.parts
    assert isinstance(source, Volume) and parts is not None
    _, y, x = source.spacing
    depth, rows, columns = source.voxels.shape
    stack = Stack("ct", "axial slice of the phantom chest CT", fitted(rows, columns, y / x))
    stack.titles = {"true": ("true", TRUE), "found": ("found", FOUND)}
    largest = max(result.findings.lesions, key=lambda lesion: lesion.voxels, default=None)
    stack.start = largest.key_slice if largest else depth // 2
    for index in range(depth):
        values = source.voxels[index] * source.slope[index] + source.intercept[index]
        masks = [("true", demo.chest.mask[index] > 0), ("found", parts[index] > 0)]
        stack.add(windowed(values, -450, 1500), f"slice {index + 1} of {depth}, lung window", masks)
    return stack


def _cine_stack(demo: Demonstration) -> Stack:
    result = demo.cine[demo.devices[0]]
    source = result.source
    assert isinstance(source, Cine)
    pixels: NDArray[Any] = source.pixels
    stack = Stack("cine", "frame of an ultrasound cine", fitted(*pixels.shape[1:3]))
    stack.play_ms = source.frame_time_ms or 40.0
    for index, frame in enumerate(pixels):
        stack.add(frame.astype(np.uint8, copy=False), f"frame {index + 1} of {len(pixels)}")
    return stack


def _timelines(results: dict[str, Result]) -> list[dict[str, Any]]:
    """Stacked bars of the stage times, all on one scale."""
    longest = max(sum(result.stage_ms.values()) for result in results.values())
    rows = []
    for device, result in results.items():
        total = sum(result.stage_ms.values())
        parts = [
            {
                "name": stage,
                "ms": f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}",
                "share": f"{100 * ms / total:.2f}",
                "color": STAGE_COLORS[stage],
            }
            for stage, ms in result.stage_ms.items()
        ]
        rows.append(
            {"device": device, "total": _duration(total), "width": f"{100 * total / longest:.1f}", "parts": parts}
        )
    return rows


def _keys(demo: Demonstration, result: Result) -> list[dict[str, str]]:
    pictures = [file.path for file in result.files if file.kind == "png"]
    return [
        {
            "src": data_uri(path.read_bytes(), "png"),
            "href": path.relative_to(demo.out).as_posix(),
            "alt": f"key image {number}",
        }
        for number, path in enumerate(pictures, start=1)
    ]


def _files(demo: Demonstration) -> list[dict[str, str]]:
    """The files of the first device, CT and the first ultrasound study, with dciodvfy's word where it is installed."""
    program = shutil.which("dciodvfy")
    rows = []
    for result in (demo.ct[demo.devices[0]], demo.us[0][demo.devices[0]]):
        for file in result.files:
            if file.kind == "png":
                continue
            check, css = "", ""
            if file.path.suffix == ".dcm":
                check, css = _dciodvfy(program, file.path) if program else ("not installed", "")
            rows.append(
                {
                    "href": file.path.relative_to(demo.out).as_posix(),
                    "what": KINDS[file.kind],
                    "size": f"{file.size / 1024:,.0f} kB",
                    "check": check,
                    "css": css,
                }
            )
    return rows


def _dciodvfy(program: str, path: Path) -> tuple[str, str]:
    done = subprocess.run([program, str(path)], capture_output=True, text=True, errors="replace", check=False)
    errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
    return (f"{len(errors)} errors", "no") if errors else ("no error", "yes")


def _worst(result: Result) -> Any:
    """The score of the class that a reader would worry about: the last that the bundle lists."""
    return result.findings.scores[-1]


def _row(study: str, pair: str, measure: str, value: str, goal: str, met: bool) -> dict[str, Any]:
    return {"study": study, "pair": pair, "measure": measure, "value": value, "goal": goal, "met": met}


def _duration(ms: float) -> str:
    return f"{ms / 1e3:.1f} s" if ms >= 1000 else f"{ms:.0f} ms"
