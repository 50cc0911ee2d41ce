"""Text around a key image: fonts, wrapping, the warning below, the letters of the patient's directions.

Pillow carries a scalable font for Latin text. Chinese needs a font of the host; where there is none, the line is left
out here and stands in the SR.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

Color = tuple[int, ...]
Font = ImageFont.FreeTypeFont
Mark = tuple[str, tuple[float, float]]

WARNING = "NOT FOR DIAGNOSIS"
WARNING_RED = (110, 0, 0)
MIN_WIDTH = 420
"""A narrower picture gets black sides, so that the warning can be read."""
MAX_TEXT_LINES = 4
"""Lines below the headline."""

_FONT_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
)
_CJK_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "SourceHanSansSC-Regular.otf",
    "wqy-microhei.ttc",
    "wqy-zenhei.ttc",
    "DroidSansFallbackFull.ttf",
    "DroidSansFallback.ttf",
    "PingFang.ttc",
)
_SUPERSCRIPTS = str.maketrans("²³", "23")
"""Pillow's own font lacks them."""
_WORDS = re.compile(r"[\u2e80-\uffef]|[^\s\u2e80-\uffef]+|\s+")
"""A line may break around every Chinese character, and between words."""


def frame(
    picture: NDArray[np.uint8],
    headline: str,
    lines: Sequence[str],
    footer: str,
    color: Color,
    marks: Sequence[Mark] = (),
) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Put text above and the warning below a picture.

    Parameters
    ----------
    picture
        RGB, [y, x, 3].
    headline
        First line, in ``color``; made smaller if it is too long.
    lines
        Further lines, wrapped.
    footer
        Small line below the warning.
    marks
        Letters to draw on the picture, with their centre (x, y).

    Returns
    -------
    The whole, [y, x, 3], and which rows of it are the picture.
    """
    height, narrow = picture.shape[:2]
    width = max(narrow, MIN_WIDTH)
    left = (width - narrow) // 2
    size = max(16, min(26, width // 26))
    margin, step, room = size // 2, round(size * 1.35), width - size
    small = max(14, round(size * 0.72))
    text = [part for line in lines if printable(line) for part in _wrap(line.translate(_SUPERSCRIPTS), small, room)]
    text = text[:MAX_TEXT_LINES]
    small_step = round(small * 1.4)
    top = step + small_step * len(text) + margin
    bottom = round(step * 2.2) + margin
    canvas = Pillow.new("RGB", (width, height + top + bottom))
    canvas.paste(Pillow.fromarray(picture), (left, top))
    drawing = ImageDraw.Draw(canvas)
    bright = tuple(max(c, 90) for c in color)
    _write(drawing, (margin, size // 4), headline.translate(_SUPERSCRIPTS), size, bright, room)
    for row, line in enumerate(text):
        drawing.text((margin, size // 4 + step + row * small_step), line, fill=(225, 225, 225), font=_font(line, small))
    origin = height + top
    drawing.rectangle((0, origin, width, origin + bottom), fill=WARNING_RED)
    _write(drawing, (margin, origin + size // 4), WARNING, round(size * 1.15), (255, 255, 255), room)
    place = (margin, origin + size // 4 + round(step * 1.15))
    _write(drawing, place, footer, round(size * 0.8), (240, 210, 210), room)
    for letter, (x, y) in marks:
        # A dark rim keeps the letter readable on any picture.
        drawing.text(
            (x + left, y + top),
            letter,
            fill=(255, 255, 0),
            font=_font(letter, size),
            anchor="mm",
            stroke_width=1,
            stroke_fill=0,
        )
    return np.asarray(canvas), (top, top + height)


def printable(text: str) -> bool:
    """Whether a font of this host has the text's characters."""
    return _is_latin(text) or _cjk_font() is not None


def _wrap(text: str, size: int, room: int) -> list[str]:
    """Break a text into lines that fit."""
    font, lines = _font(text, size), [""]
    for word in _WORDS.findall(text):
        if font.getlength(lines[-1] + word) <= room:
            lines[-1] += word
        else:
            lines.append(word.strip())
    return [line.strip() for line in lines if line.strip()]


def _write(drawing: ImageDraw.ImageDraw, place: tuple[int, int], text: str, size: int, fill: Color, room: int) -> None:
    """One line, made smaller until it fits into ``room`` pixels, and cut if that is not enough."""
    while _font(text, size).getlength(text) > room and size > 12:
        size -= 1
    while _font(text, size).getlength(text) > room and len(text) > 4:
        text = text[:-4] + "..."
    drawing.text(place, text, fill=fill, font=_font(text, size))


def _is_latin(text: str) -> bool:
    return all(ord(c) < 0x250 for c in text.translate(_SUPERSCRIPTS))


def _font(text: str, size: int) -> Font:
    path = None if _is_latin(text) else _cjk_font()
    return _latin(size) if path is None else _truetype(path, size)


@lru_cache(maxsize=64)
def _latin(size: int) -> Font:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)  # Pillow's wheels have FreeType
    return font


@lru_cache(maxsize=64)
def _truetype(path: str, size: int) -> Font:
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=1)
def _cjk_font() -> str | None:
    """Path of a font with Chinese characters, in the order of ``_CJK_FONTS``."""
    found: dict[str, str] = {}
    for folder in _FONT_FOLDERS:
        for path in Path(folder).expanduser().rglob("*.[to]t[cf]"):
            found.setdefault(path.name, str(path))
    return next((found[name] for name in _CJK_FONTS if name in found), None)
