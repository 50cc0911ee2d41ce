"""What the classifier says of breast phantoms, which it has never seen: ``python models/us-breast-lesion/evaluate.py``.

The phantoms go the whole way of the runtime, from DICOM. The test split's figures come from train.py.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

from bedside.phantoms import breast_us, write_breast_us
from bedside.runtime import load_bundle, run

BUNDLE = Path(__file__).resolve().parent


def main() -> None:
    """Print the probability of malignant for phantoms of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--device", default="openvino:CPU")
    options = parser.parse_args()
    bundle = load_bundle(BUNDLE)
    report = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in ("benign", "malignant", "none"):
            chances = []
            for seed in range(options.count):
                path = write_breast_us(breast_us(seed, kind), Path(folder) / f"{kind}-{seed}" / "us.dcm")
                scores = run(path.parent, bundle, options.device).findings.scores
                chances.append(next(s.probability for s in scores if s.name == "malignant"))
            report[kind] = {
                "n": len(chances),
                "called malignant": int(np.sum(np.array(chances) >= 0.5)),
                "probability of malignant, quartiles": [
                    round(float(q), 3) for q in np.quantile(chances, [0.25, 0.5, 0.75])
                ],
            }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
