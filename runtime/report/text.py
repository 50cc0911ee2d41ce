"""The sentences of a report: the bundle's finding text with its numbers filled in, and one line of measures per
lesion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..image import Cine, Image

if TYPE_CHECKING:
    from ..bundle.schema import SegmentSpec
    from ..findings import Findings, Lesion
    from .context import ReportInput


def length(lesion: Lesion) -> str:
    """The longest diameter with its unit."""
    if lesion.longest_diameter_mm is not None:
        return f"{lesion.longest_diameter_mm:.1f} mm"
    return f"{lesion.longest_diameter_px:.1f} pixels"


def size(volume_mm3: float) -> str:
    """A volume with its unit: ml from 1 ml on."""
    return f"{volume_mm3 / 1000:.1f} ml" if volume_mm3 >= 1000 else f"{volume_mm3:.0f} mm³"


def measures(lesion: Lesion, spec: SegmentSpec) -> str:
    """Volume, or area in a 2D image; of a part that is a lesion of its own, the longest diameter before it."""
    parts = [length(lesion)] if spec.instances else []
    if lesion.volume_mm3 is not None:
        parts.append(size(lesion.volume_mm3))
    elif lesion.area_mm2 is not None:
        parts.append(f"{lesion.area_mm2:.0f} mm²")
    return ", ".join(parts)


def source_place(data: ReportInput, index: int) -> str:
    """A slice or frame of the source as a person finds it again: its place, and its Instance Number if it has one."""
    source = data.source
    if isinstance(source, Image):
        return ""
    if isinstance(source, Cine):
        return f"frame {index + 1} of {len(source.frames)}"
    where, frame = f"slice {index + 1} of {len(source.frames)}", source.frames[index]
    if frame is None:
        return f"{where}, resampled"
    if frame.instance_number is not None:
        where += f", instance {frame.instance_number}"
    number = data.frame_number(frame)
    return where if number is None else f"{where}, frame {number}"


def finding_text(template: str, findings: Findings) -> str:
    """Fill in a bundle's finding text, whose placeholders were checked when the bundle was loaded."""
    lesions, scores = findings.lesions, findings.scores
    longest = max(lesions, key=lambda one: one.longest_diameter_mm or one.longest_diameter_px or 0.0, default=None)
    top = max(scores, key=lambda score: score.probability, default=None)
    volumes = [lesion.volume_mm3 for lesion in lesions if lesion.volume_mm3 is not None]
    values: dict[str, str] = {
        "count": str(len(lesions)),
        "names": ", ".join(dict.fromkeys(lesion.name for lesion in lesions)) or "-",
        "largest": length(longest) if longest else "-",
        "volume": size(sum(volumes)) if volumes else "-",
        "class": top.name if top else "-",
        "probability": f"{100 * top.probability:.1f} %" if top else "-",
    }
    return template.format_map(values)
