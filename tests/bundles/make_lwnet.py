"""Put the bundle lwnet together: its configs are kept here, weights and golden study come from the real data.

``python tests/bundles/make_lwnet.py ../shared/data /tmp/lwnet``
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

KEPT = Path(__file__).resolve().parent / "lwnet"
WEIGHTS = "lwnet/lwnet_wnet_drive.onnx"
PHOTOGRAPH = "fundus-ihc-skimage/retina.jpg"


def make_lwnet(data: Path, root: Path) -> Path:
    """Copy the kept files to ``root``, add the weights, and the photograph as the golden case's DICOM file."""
    from tests.dicom.make_photograph import make_photograph

    shutil.copytree(KEPT, root)
    (root / "models").mkdir()
    shutil.copyfile(data / WEIGHTS, root / "models" / "model.onnx")
    make_photograph(root / "golden" / "case-1.dcm", np.asarray(Image.open(data / PHOTOGRAPH).convert("RGB")))
    return root


if __name__ == "__main__":
    sys.path.insert(0, str(KEPT.parents[2]))
    print(make_lwnet(Path(sys.argv[1]), Path(sys.argv[2])))
