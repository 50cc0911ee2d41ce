"""The sentences of a report: the bundle's finding text with its numbers filled in, and one line of measures per
lesion.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import BundleError

if TYPE_CHECKING:
    from ..findings import Findings, Lesion

PLACEHOLDERS = ("count", "names", "largest", "volume", "class", "probability")
"""What a finding text may use in braces.

``count`` of lesions, their ``names``, ``largest`` diameter and total ``volume`` with units; most probable ``class`` and
its ``probability`` in percent."""


def length(lesion: Lesion) -> str:
    """The longest diameter with its unit."""
    if lesion.longest_diameter_mm is not None:
        return f"{lesion.longest_diameter_mm:.1f} mm"
    return f"{lesion.longest_diameter_px:.1f} pixels"


def size(volume_mm3: float) -> str:
    """A volume with its unit: ml from 1 ml on."""
    return f"{volume_mm3 / 1000:.1f} ml" if volume_mm3 >= 1000 else f"{volume_mm3:.0f} mm³"


def measures(lesion: Lesion) -> str:
    """Diameter and volume, or area in a 2D image."""
    parts = [length(lesion)]
    if lesion.volume_mm3 is not None:
        parts.append(size(lesion.volume_mm3))
    elif lesion.area_mm2 is not None:
        parts.append(f"{lesion.area_mm2:.0f} mm²")
    return ", ".join(parts)


def finding_text(template: str, findings: Findings) -> str:
    """Fill in a bundle's finding text; an empty template gives an empty text.

    Raises
    ------
    BundleError
        The template has a placeholder other than :data:`PLACEHOLDERS`, or unpaired braces.
    """
    lesions, scores = findings.lesions, findings.scores
    longest = max(lesions, key=lambda one: one.longest_diameter_mm or one.longest_diameter_px or 0.0, default=None)
    top = max(scores, key=lambda score: score.probability, default=None)
    volumes = [lesion.volume_mm3 for lesion in lesions if lesion.volume_mm3 is not None]
    values = {
        "count": str(len(lesions)),
        "names": ", ".join(dict.fromkeys(lesion.name for lesion in lesions)) or "-",
        "largest": length(longest) if longest else "-",
        "volume": size(sum(volumes)) if volumes else "-",
        "class": top.name if top else "-",
        "probability": f"{100 * top.probability:.1f} %" if top else "-",
    }
    try:
        return template.format_map(values)
    except (KeyError, ValueError, IndexError, AttributeError) as error:
        raise BundleError(
            f"bedside.result.finding '{template}' cannot be filled in: {error}",
            mend="use only {" + "}, {".join(PLACEHOLDERS) + "}, and {{ }} for braces",
        ) from None
