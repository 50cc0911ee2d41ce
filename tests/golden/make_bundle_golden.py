"""Write what a bundle's golden cases must give: ``python tests/golden/make_bundle_golden.py models/ct-lung-nodule``.

Each case is generated, goes the whole way of the runtime on every device named, and its findings are written only where
the devices agree. Run it after a new export, and look at the difference before committing it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from bedside.phantoms import write_study
from bedside.runtime import Result, load_bundle, run


def expectation(result: Result) -> dict[str, Any]:
    """The findings of a run, rounded to what a comparison needs."""
    return {
        "lesions": [
            {
                "label": lesion.label,
                "centroid_lps": [round(v, 2) for v in lesion.centroid_lps],
                "volume_mm3": round(float(lesion.volume_mm3), 1),
                "longest_diameter_mm": round(float(lesion.longest_diameter_mm), 2),
            }
            for lesion in result.findings.lesions
            if lesion.centroid_lps is not None
            and lesion.volume_mm3 is not None
            and lesion.longest_diameter_mm is not None
        ],
        "scores": [{"name": s.name, "probability": round(s.probability, 5)} for s in result.findings.scores],
    }


def agree(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two expectations are the same but for rounding: 1 % of a volume, 0.2 mm, 0.001 of a probability."""
    if len(a["lesions"]) != len(b["lesions"]):
        return False
    for x, y in zip(a["lesions"], b["lesions"], strict=True):
        if abs(x["volume_mm3"] - y["volume_mm3"]) > 0.01 * x["volume_mm3"]:
            return False
        if any(abs(p - q) > 0.2 for p, q in zip(x["centroid_lps"], y["centroid_lps"], strict=True)):
            return False
    return all(abs(x["probability"] - y["probability"]) < 1e-3 for x, y in zip(a["scores"], b["scores"], strict=True))


def main() -> None:
    """Write the expectation of every golden case of a bundle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--device", nargs="+", default=["openvino:CPU", "ort:cpu"])
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    for case in bundle.meta.golden:
        with tempfile.TemporaryDirectory() as folder:
            write_study(json.loads((bundle.root / case.study).read_text(encoding="utf-8")), Path(folder))
            found = [expectation(run(folder, bundle, device)) for device in options.device]
        if not all(agree(found[0], other) for other in found[1:]):
            raise SystemExit(f"{case.study}: the devices disagree: {json.dumps(found)}")
        (bundle.root / case.expect).write_text(json.dumps(found[0], indent=1) + "\n", encoding="utf-8")
        print(f"{case.expect}: {len(found[0]['lesions'])} lesions, {found[0]['scores']}")


if __name__ == "__main__":
    main()
