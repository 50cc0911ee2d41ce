"""C++ pre- and post-processing kernels; they know numpy arrays and nothing else of bedside.

Every kernel takes arrays, writes into the caller's, releases the GIL and takes ``threads`` (0 is every core of the
process's affinity mask). A wrong argument is a ValueError that names it.
"""

from __future__ import annotations

from ._cpu import (
    Components,
    accumulate,
    active_isa,
    argmax_blend,
    bounding_box,
    connected_components,
    correlate,
    draw_outline,
    fill_holes,
    histogram,
    keep_largest,
    minmax,
    moments,
    nms,
    pack_bits,
    percentiles,
    resample,
    rescale,
    resize,
    standardise,
    take,
    threshold_blend,
)

__all__ = [
    "Components",
    "accumulate",
    "active_isa",
    "argmax_blend",
    "bounding_box",
    "connected_components",
    "correlate",
    "draw_outline",
    "fill_holes",
    "histogram",
    "keep_largest",
    "minmax",
    "moments",
    "nms",
    "pack_bits",
    "percentiles",
    "resample",
    "rescale",
    "resize",
    "standardise",
    "take",
    "threshold_blend",
]
