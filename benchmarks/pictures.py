"""Pictures for the pages: windowed slices, outlines, and stacks of them that a browser can leaf through."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

FOUND, TRUE = (232, 89, 12), (18, 165, 181)
"""sRGB of what was found and of the truth, the same in every picture and table."""


def data_uri(content: bytes, kind: str) -> str:
    """``content`` as a data URI, so that a page is one file and works offline."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def windowed(values: NDArray[Any], center: float, width: float) -> NDArray[np.uint8]:
    """Modality units to 0..255 through a linear window (DICOM PS3.3 C.11.2.1.2)."""
    scaled = (values.astype(np.float32) - (center - width / 2)) * (255.0 / width)
    grey: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return grey


def jpeg(pixels: NDArray[np.uint8], size: tuple[int, int]) -> str:
    """An image [y, x] or [y, x, 3] as a JPEG data URI of ``size`` (width, height)."""
    buffer = io.BytesIO()
    Picture.fromarray(pixels).resize(size, Picture.Resampling.BILINEAR).save(buffer, "JPEG", quality=78)
    return data_uri(buffer.getvalue(), "jpeg")


def outline(mask: NDArray[np.bool_], color: tuple[int, int, int], size: tuple[int, int]) -> str:
    """The edge of ``mask`` [y, x] as a transparent PNG of ``size`` (width, height); empty where the mask is."""
    if not mask.any():
        return ""
    large = np.asarray(Picture.fromarray(mask.astype(np.uint8) * 255).resize(size, Picture.Resampling.BILINEAR)) > 127
    edge = ndimage.binary_dilation(large, iterations=2) & ~large
    pixels = np.zeros((*edge.shape, 4), np.uint8)
    pixels[edge] = (*color, 255)
    buffer = io.BytesIO()
    Picture.fromarray(pixels).quantize(4).save(buffer, "PNG", optimize=True)
    return data_uri(buffer.getvalue(), "png")


def fitted(rows: int, columns: int, aspect: float = 1.0, longest: int = 448) -> tuple[int, int]:
    """Width and height of a picture of ``rows`` x ``columns`` pixels that are ``aspect`` times as high as wide."""
    height, width = rows * aspect, float(columns)
    scale = longest / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass
class Stack:
    """Frames with captions and overlay layers, for the page's viewer."""

    id: str
    alt: str
    size: tuple[int, int]
    start: int = 0
    play_ms: float = 0.0
    """Interval of the Play button; 0 has no button."""
    frames: list[str] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    layers: dict[str, list[str]] = field(default_factory=dict)
    titles: dict[str, tuple[str, tuple[int, int, int]]] = field(default_factory=dict)

    def add(self, pixels: NDArray[np.uint8], caption: str, masks: Sequence[tuple[str, NDArray[np.bool_]]] = ()) -> None:
        """Append a frame with the masks of its layers, which must have been named in ``titles``."""
        self.frames.append(jpeg(pixels, self.size))
        self.captions.append(caption)
        for name, mask in masks:
            self.layers.setdefault(name, []).append(outline(mask, self.titles[name][1], self.size))

    def context(self) -> dict[str, Any]:
        """What the template needs to draw the viewer."""
        return {
            "id": self.id,
            "alt": self.alt,
            "width": self.size[0],
            "height": self.size[1],
            "count": len(self.frames),
            "start": self.start,
            "play_ms": self.play_ms,
            "layers": [
                {"id": name, "title": title, "color": "#{:02x}{:02x}{:02x}".format(*color)}
                for name, (title, color) in self.titles.items()
            ],
        }

    def data(self) -> dict[str, Any]:
        """What the viewer's script needs."""
        return {
            "frames": self.frames,
            "captions": self.captions,
            "layers": self.layers,
            "play_ms": self.play_ms,
        }
