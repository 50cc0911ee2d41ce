"""Makes the golden arrays of the transforms with MONAI, which is the oracle and no dependency of the project.

Made with MONAI 1.6.1 and torch 2.13 (CPU): ``python tests/golden/make_monai_golden.py``. Each monai_*.npz holds, by
name, inputs ([C, x, y(, z)] and RAS affine), and cases: the transforms as JSON, MONAI's output and its affine.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import Compose

HERE = Path(__file__).parent
Config = dict[str, Any]
Arrays = dict[str, np.ndarray]


def affine(
    spacing: tuple[float, ...], *, degrees: float = 0.0, axis: int = 2, flips: str = "", order: str = ""
) -> np.ndarray:
    """RAS affine: rotated about one axis, index axes flipped and permuted."""
    rank = len(spacing)
    matrix = np.diag([*spacing, 1.0])
    turn = np.eye(rank + 1)
    a, b = [i for i in range(3) if i != axis][:2] if rank == 3 else (0, 1)
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn[a, a], turn[a, b], turn[b, a], turn[b, b] = c, -s, s, c
    matrix = turn @ matrix
    matrix[:rank, -1] = [-11.3, 7.9, -40.25][:rank]
    for index in flips:
        matrix[:, int(index)] *= -1
    if order:
        matrix[:, :rank] = matrix[:, [int(index) for index in order]]
    return matrix


def smooth(shape: tuple[int, ...], seed: int, channels: int = 1) -> np.ndarray:
    """Integer-valued noise with a gradient, CT-like, -1100..500."""
    rng = np.random.default_rng(seed)
    ramp = sum(
        np.linspace(-200, 200, n).reshape([-1 if i == k else 1 for i in range(len(shape))]) for k, n in enumerate(shape)
    )
    return np.stack([np.round(ramp + rng.normal(-300, 260, shape)).clip(-1100, 500) for _ in range(channels)])


def blob(shape: tuple[int, ...]) -> np.ndarray:
    """0 with two boxes of positive values away from the border."""
    out = np.zeros((1, *shape))
    rng = np.random.default_rng(7)
    box = (0, *(slice(n // 4, n - n // 3) for n in shape))
    out[box] = rng.integers(1, 900, out[box].shape)
    return out


INPUTS: dict[str, tuple[np.ndarray, np.ndarray, str]] = {
    "ct": (smooth((11, 9, 7), 1), affine((0.8, 0.8, 2.5)), "int16"),
    "lps": (smooth((8, 10, 5), 2), affine((0.7, 0.9, 3.0), flips="01"), "int16"),
    "oblique": (smooth((9, 8, 7), 3), affine((1.1, 0.9, 1.7), degrees=17, axis=0, flips="2"), "float32"),
    "sagittal": (smooth((7, 9, 6), 4), affine((0.6, 1.3, 2.0), degrees=-8, axis=1, order="120", flips="0"), "int16"),
    "single": (smooth((9, 8, 1), 5), affine((0.9, 0.9, 5.0)), "int16"),
    "blob": (blob((12, 11, 9)), affine((1.0, 1.2, 2.0), flips="1"), "int16"),
    "plane": (smooth((19, 14), 6), affine((0.3, 0.4)), "float32"),
    "photo": (smooth((17, 13), 8, channels=3).clip(0, 255), affine((1.0, 1.0)), "uint8"),
    "flat": (np.full((1, 5, 6, 4), 37.0), affine((1.0, 1.0, 1.0)), "int16"),
    "two": (np.concatenate([smooth((6, 7, 5), 9), blob((6, 7, 5))]), affine((1.0, 1.0, 1.0)), "float32"),
}


def step(name: str, **arguments: Any) -> Config:
    return {"_target_": name, "keys": "image", **arguments}


def spatial() -> dict[str, tuple[str, list[Config]]]:
    cases: dict[str, tuple[str, list[Config]]] = {}
    for source in ("ct", "lps", "oblique", "sagittal"):
        for codes in ("RAS", "LPS", "SPL", "ARI"):
            cases[f"orientation-{source}-{codes}"] = (source, [step("Orientationd", axcodes=codes)])
    cases["orientation-canonical"] = ("sagittal", [step("Orientationd", as_closest_canonical=True)])
    for source in ("ct", "oblique", "sagittal"):
        cases[f"spacing-{source}"] = (source, [step("Spacingd", pixdim=[1.5, 1.5, 1.5])])
        cases[f"spacing-zeros-{source}"] = (source, [step("Spacingd", pixdim=[1.3, 0.7, 1.1], padding_mode="zeros")])
        cases[f"spacing-nearest-{source}"] = (source, [step("Spacingd", pixdim=[0.61, 1.37, 1.21], mode="nearest")])
        cases[f"spacing-cubic-{source}"] = (source, [step("Spacingd", pixdim=[1.3, 0.7, 1.1], mode=3)])
        cases[f"spacing-diagonal-{source}"] = (source, [step("Spacingd", pixdim=[1.5, 1.4, 1.9], diagonal=True)])
    cases |= {
        "spacing-keep": ("ct", [step("Spacingd", pixdim=[-1, 0.8004, 1.0])]),
        "spacing-one-number": ("ct", [step("Spacingd", pixdim=1.25, mode=["bilinear"])]),
        "spacing-same": ("ct", [step("Spacingd", pixdim=[0.8, 0.8, 2.5])]),
        "spacing-range": ("ct", [step("Spacingd", pixdim=[1, 1, 1], min_pixdim=[0.5, 0.9, 0.5], max_pixdim=[2, 2, 2])]),
        "spacing-range-one": ("lps", [step("Spacingd", pixdim=[1, 1, 1], min_pixdim=0.5, max_pixdim=[1.5])]),
        "spacing-corners": ("ct", [step("Spacingd", pixdim=[1.3, 0.7, 1.1], align_corners=True)]),
        "spacing-cubic-plane": ("plane", [step("Spacingd", pixdim=[0.5, 0.25, 9.0], mode=3)]),
        "spacing-cubic-single": ("single", [step("Spacingd", pixdim=[1.4, 1.4, 2.0], mode=[3])]),
        "spacing-cubic-zeros": ("ct", [step("Spacingd", pixdim=[1.3, 0.7, 1.1], mode=3, padding_mode="zeros")]),
        "spacing-single": ("single", [step("Spacingd", pixdim=[1.4, 1.4, 2.0])]),
        "spacing-plane": ("plane", [step("Spacingd", pixdim=[0.5, 0.25, 9.0])]),
        "spacing-zeros-diagonal": (
            "oblique",
            [step("Spacingd", pixdim=[1.5, 1.4, 1.9], diagonal=True, padding_mode="zeros")],
        ),
    }
    for source, size in (("ct", [7, 13, 5]), ("plane", [9, 21]), ("photo", [28, 6])):
        for mode in ("area", "nearest", "nearest-exact", "bilinear", "trilinear"):
            cases[f"resize-{source}-{mode}"] = (source, [step("Resized", spatial_size=size, mode=mode)])
        cases[f"resize-{source}-corners"] = (
            source,
            [step("Resized", spatial_size=size, mode="bilinear", align_corners=True)],
        )
        cases[f"resize-{source}-smooth"] = (
            source,
            [step("Resized", spatial_size=size, mode="bilinear", anti_aliasing=True)],
        )
    cases |= {
        "resize-longest": ("plane", [step("Resized", spatial_size=12, size_mode="longest", mode="bilinear")]),
        "resize-keep": ("ct", [step("Resized", spatial_size=[-1, 6, 7])]),
        "resize-sigma": (
            "ct",
            [step("Resized", spatial_size=[5, 5, 9], mode="trilinear", anti_aliasing=True, anti_aliasing_sigma=0.7)],
        ),
        "resize-one": ("plane", [step("Resized", spatial_size=[1, 5], mode="bilinear", align_corners=True)]),
        "pad": ("ct", [step("SpatialPadd", spatial_size=[14, 9, 16])]),
        "pad-end": ("ct", [step("SpatialPadd", spatial_size=[14, 5, -1], method="end", value=-1024)]),
        "pad-edge": ("oblique", [step("SpatialPadd", spatial_size=[12, 13, 10], mode="edge")]),
        "pad-replicate": ("plane", [step("SpatialPadd", spatial_size=[25, 15], mode="replicate")]),
        "pad-reflect": ("ct", [step("SpatialPadd", spatial_size=[14, 12, 10], mode="reflect")]),
        "pad-symmetric": ("ct", [step("SpatialPadd", spatial_size=[14, 12, 10], mode="symmetric")]),
        "pad-wrap": ("ct", [step("SpatialPadd", spatial_size=[14, 12, 10], mode="wrap")]),
        "crop-centre": ("ct", [step("CenterSpatialCropd", roi_size=[6, 5, 20])]),
        "crop-centre-plane": ("photo", [step("CenterSpatialCropd", roi_size=8)]),
        "crop-pad": ("ct", [step("ResizeWithPadOrCropd", spatial_size=[6, 14, 7])]),
        "crop-pad-end": (
            "lps",
            [step("ResizeWithPadOrCropd", spatial_size=[9, 6, 8], method="end", constant_values=3.5)],
        ),
        "foreground": ("blob", [step("CropForegroundd", source_key="image")]),
        "foreground-margin": ("blob", [step("CropForegroundd", source_key="image", margin=[1, 6, 0])]),
        "foreground-smaller": ("blob", [step("CropForegroundd", source_key="image", margin=9, allow_smaller=True)]),
        "foreground-divisible": (
            "blob",
            [step("CropForegroundd", source_key="image", margin=2, k_divisible=[8, 4, 16], mode="edge")],
        ),
        "foreground-channel": ("two", [step("CropForegroundd", source_key="image", channel_indices=1)]),
        "transpose": ("ct", [step("Transposed", indices=[0, 3, 1, 2])]),
        "transpose-spacing": (
            "ct",
            [step("Transposed", indices=[0, 2, 1, 3]), step("Spacingd", pixdim=[1.5, 1.1, 2.0])],
        ),
    }
    return cases


def intensity() -> dict[str, tuple[str, list[Config]]]:
    return {
        "range": ("ct", [step("ScaleIntensityRanged", a_min=-1024, a_max=324, b_min=0.0, b_max=1.0, clip=True)]),
        "range-open": ("ct", [step("ScaleIntensityRanged", a_min=-500, a_max=200, b_min=-1.0, b_max=2.0)]),
        "range-none": ("ct", [step("ScaleIntensityRanged", a_min=-500, a_max=200, b_min=0.25, clip=True)]),
        "range-zero": ("ct", [step("ScaleIntensityRanged", a_min=5, a_max=5, b_min=-1.0, b_max=1.0, clip=True)]),
        "range-down": ("ct", [step("ScaleIntensityRanged", a_min=0, a_max=100, b_min=1.0, b_max=0.0)]),
        "range-twice": (
            "ct",
            [
                step("ScaleIntensityRanged", a_min=-1024, a_max=324, b_min=0.0, b_max=1.0, clip=True),
                step("ScaleIntensityRanged", a_min=0.2, a_max=0.7, b_min=-1.0, b_max=1.0, clip=True),
            ],
        ),
        "scale": ("ct", [step("ScaleIntensityd")]),
        "scale-to": ("photo", [step("ScaleIntensityd", minv=-1.0, maxv=3.0)]),
        "scale-channels": ("photo", [step("ScaleIntensityd", channel_wise=True)]),
        "scale-factor": ("oblique", [step("ScaleIntensityd", minv=None, maxv=None, factor=-0.25)]),
        "scale-flat": ("flat", [step("ScaleIntensityd", minv=0.5, maxv=1.0)]),
        "scale-half": ("ct", [step("ScaleIntensityd", minv=0.5, maxv=None)]),
        "percentiles": (
            "ct",
            [step("ScaleIntensityRangePercentilesd", lower=5, upper=95, b_min=0.0, b_max=1.0, clip=True)],
        ),
        "percentiles-relative": (
            "oblique",
            [step("ScaleIntensityRangePercentilesd", lower=10, upper=87.5, b_min=-2.0, b_max=3.0, relative=True)],
        ),
        "percentiles-channels": (
            "photo",
            [step("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0, b_max=1, channel_wise=True)],
        ),
        "percentiles-flat": (
            "flat",
            [step("ScaleIntensityRangePercentilesd", lower=1, upper=99, b_min=0.5, b_max=1, clip=True)],
        ),
        "normalise": ("ct", [step("NormalizeIntensityd")]),
        "normalise-nonzero": ("blob", [step("NormalizeIntensityd", nonzero=True)]),
        "normalise-channels": ("photo", [step("NormalizeIntensityd", channel_wise=True, nonzero=True)]),
        "normalise-given": ("photo", [step("NormalizeIntensityd", subtrahend=12.5, divisor=40.0)]),
        "normalise-given-channels": (
            "photo",
            [
                step(
                    "NormalizeIntensityd",
                    subtrahend=[123.7, 116.3, 103.5],
                    divisor=[58.4, 57.1, 57.4],
                    channel_wise=True,
                )
            ],
        ),
        "normalise-flat": ("flat", [step("NormalizeIntensityd")]),
        "repeat": ("two", [step("RepeatChanneld", repeats=3)]),
        "cast": ("oblique", [step("ScaleIntensityd", minv=-3.7, maxv=9.9), step("CastToTyped", dtype="int16")]),
        "ensure": ("ct", [step("EnsureTyped", dtype="float32")]),
    }


CHAIN = [
    step("Orientationd", axcodes="RAS"),
    step("Spacingd", pixdim=[1.5, 1.5, 1.5], mode="bilinear"),
    step("ScaleIntensityRanged", a_min=-1024, a_max=324, b_min=0.0, b_max=1.0, clip=True),
    step("CropForegroundd", source_key="image", margin=1),
]


def chains() -> dict[str, tuple[str, list[Config]]]:
    return {f"chain-{source}": (source, CHAIN) for source in ("ct", "lps", "oblique", "sagittal")} | {
        "chain-brats": (
            "blob",
            [
                step("NormalizeIntensityd", nonzero=True, channel_wise=True),
                step("CropForegroundd", source_key="image", k_divisible=4),
                step("Spacingd", pixdim=[0.9, 1.7, 1.1], mode="bilinear"),
                step("SpatialPadd", spatial_size=[12, 12, 12]),
            ],
        ),
        "chain-photo": (
            "photo",
            [
                step("ScaleIntensityRanged", a_min=0, a_max=255, b_min=0.0, b_max=1.0),
                step("Resized", spatial_size=[16, 16], mode="bilinear"),
                step("NormalizeIntensityd", subtrahend=[0.5, 0.4, 0.3], divisor=[0.2, 0.2, 0.3], channel_wise=True),
            ],
        ),
        "chain-crop": (
            "lps",
            [
                step("Orientationd", axcodes="LPS"),
                step("ResizeWithPadOrCropd", spatial_size=[6, 12, 5]),
                step("CenterSpatialCropd", roi_size=[5, 9, 4]),
                step("Transposed", indices=[0, 2, 1, 3]),
            ],
        ),
        "chain-cubic": (
            "lps",
            [
                step("Orientationd", axcodes="RAS"),
                step("Spacingd", pixdim=[1.1, 0.8, 1.9], mode=3),
                step("ScaleIntensityRanged", a_min=-1024, a_max=324, b_min=0.0, b_max=1.0, clip=True),
            ],
        ),
    }


def pred(name: str, **arguments: Any) -> Config:
    return {"_target_": name, "keys": "pred", **arguments}


INVERT = pred("Invertd", orig_keys="image", transform="@preprocessing")
SMOOTH = {**INVERT, "nearest_interp": False}
ARGMAX = pred("AsDiscreted", argmax=True)
SOFTMAX = pred("Activationsd", softmax=True)
SIGMOID = pred("Activationsd", sigmoid=True)
HALF = pred("AsDiscreted", threshold=0.5)

POSTS: dict[str, tuple[int, list[Config]]] = {
    "nearest-argmax": (3, [SOFTMAX, INVERT, ARGMAX]),
    "smooth-argmax": (3, [SOFTMAX, SMOOTH, ARGMAX]),
    "argmax-nearest": (3, [ARGMAX, INVERT]),
    "sigmoid-nearest": (1, [SIGMOID, INVERT, HALF]),
    "sigmoid-smooth": (1, [SIGMOID, SMOOTH, HALF]),
    "nearest-sigmoid": (1, [INVERT, SIGMOID, pred("AsDiscreted", threshold=0.4)]),
    "smooth-sigmoid": (1, [SMOOTH, SIGMOID, pred("AsDiscreted", threshold=0.6)]),
}


def postprocessing() -> dict[str, tuple[np.ndarray, list[Config]]]:
    """Steps on a prediction, without Invertd."""
    rng = np.random.default_rng(11)
    blocky = np.kron(rng.integers(0, 3, (1, 5, 4, 4)), np.ones((1, 2, 2, 2)))[..., :7]
    rings = np.zeros((1, 15, 17))
    rings[0, 1:8, 1:8], rings[0, 3:6, 3:6], rings[0, 9:14, 3:15], rings[0, 11, 6:9] = 1, 0, 2, 0
    rings[0, 2, 11:14] = rings[0, 4, 11:14] = 1
    rings[0, 3, 11] = rings[0, 3, 13] = 1
    rings[0, 11, 12] = 1
    rings[0, 8, 8] = 1
    scores = rng.normal(0, 2, (3, 6, 5, 4))
    onehot = np.concatenate([blocky == c for c in range(3)]).astype(np.float64)
    keep, fill = "KeepLargestConnectedComponentd", "FillHolesd"
    return {
        "softmax": (scores, [SOFTMAX]),
        "sigmoid": (scores, [SIGMOID]),
        "argmax": (scores, [ARGMAX]),
        "threshold": (scores, [pred("AsDiscreted", threshold=0.7)]),
        "argmax-threshold": (scores, [pred("AsDiscreted", argmax=True, threshold=1.5)]),
        "keep": (blocky, [pred(keep)]),
        "keep-one": (blocky, [pred(keep, applied_labels=[1], connectivity=1)]),
        "keep-two": (blocky, [pred(keep, num_components=2, connectivity=1)]),
        "keep-union": (blocky, [pred(keep, independent=False, applied_labels=[1, 2], connectivity=1)]),
        "keep-channels": (onehot, [pred(keep, connectivity=1)]),
        "keep-channels-union": (onehot, [pred(keep, applied_labels=[1, 2], independent=False, connectivity=1)]),
        "keep-plane": (rings, [pred(keep)]),
        "fill": (rings, [pred(fill)]),
        "fill-one": (rings, [pred(fill, applied_labels=[2])]),
        "fill-sides": (rings, [pred(fill, connectivity=1)]),
        "fill-volume": (blocky, [pred(fill, connectivity=1)]),
        "fill-channels": (onehot, [pred(fill, connectivity=1)]),
    }


def build(configs: list[Config], compose: Compose | None = None) -> Compose:
    steps = []
    for config in configs:
        arguments = {key: value for key, value in config.items() if key != "_target_"}
        if arguments.get("transform") == "@preprocessing":
            arguments["transform"] = compose
        if arguments.get("dtype") == "int16":
            arguments["dtype"] = np.int16
        steps.append(getattr(monai.transforms, config["_target_"])(**arguments))
    return Compose(steps)


def load(source: str) -> MetaTensor:
    array, matrix, _ = INPUTS[source]
    full = np.eye(4)
    rank = len(matrix) - 1
    full[:rank, :rank], full[:rank, 3] = matrix[:rank, :rank], matrix[:rank, rank]
    return MetaTensor(torch.as_tensor(array, dtype=torch.float32), affine=torch.as_tensor(full))


def forward(cases: dict[str, tuple[str, list[Config]]]) -> Arrays:
    out: Arrays = {}
    for name, (source, configs) in cases.items():
        result = build(configs)({"image": load(source)})["image"]
        out |= {
            f"{name}/source": np.array(source),
            f"{name}/transforms": np.array(json.dumps(configs)),
            f"{name}/output": result.numpy(),
            f"{name}/affine": result.affine.numpy(),
        }
    return out


def backward() -> Arrays:
    """Chains, a prediction in the network's grid, and its label map on the source grid."""
    out: Arrays = {}
    rng = np.random.default_rng(23)
    for name, (source, configs) in chains().items():
        compose = build(configs)
        image = compose({"image": load(source)})["image"]
        out |= {
            f"{name}/source": np.array(source),
            f"{name}/preprocessing": np.array(json.dumps(configs)),
            f"{name}/input": image.numpy(),
        }
        scores = (rng.normal(0, 1.5, (3, *image.shape[1:]))).astype(np.float16)
        out[f"{name}/pred"] = scores
        for post, (channels, steps) in POSTS.items():
            tensor = MetaTensor(torch.as_tensor(scores[:channels].astype(np.float32)), meta=image.meta)
            result = build(steps, compose)({"image": image, "pred": tensor})["pred"]
            out[f"{name}/{post}"] = result.numpy().astype(np.uint8)
    out["posts"] = np.array(json.dumps({post: [channels, steps] for post, (channels, steps) in POSTS.items()}))
    return out


def post() -> Arrays:
    out: Arrays = {}
    for name, (array, steps) in postprocessing().items():
        result = build(steps)({"pred": torch.as_tensor(array, dtype=torch.float32)})["pred"]
        out |= {
            f"{name}/transforms": np.array(json.dumps(steps)),
            f"{name}/input": array.astype(np.float32),
            f"{name}/output": result.numpy(),
        }
    return out


def main() -> None:
    inputs: Arrays = {}
    for name, (array, matrix, dtype) in INPUTS.items():
        inputs |= {f"{name}/array": array.astype(dtype), f"{name}/affine": matrix}
    for name, arrays in {
        "inputs": inputs,
        "spatial": forward(spatial()),
        "intensity": forward(intensity()),
        "inverse": backward(),
        "post": post(),
    }.items():
        np.savez_compressed(HERE / f"monai_{name}.npz", **arrays)
    print(f"MONAI {monai.__version__}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
