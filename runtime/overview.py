"""What `bedside study show` tells: the series of a study, the geometry verdict on each, what a bundle would take."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import geometry
from .bundle.load import Bundle, load_bundle
from .pipeline import kinds
from .select import Selection, weigh_series
from .study import Series, Study, load_study


@dataclass(frozen=True)
class SeriesOverview:
    """One series and what the geometry gate says of it."""

    series: Series
    verdict: geometry.Verdict | None
    """None where the series is not a volume, so that no geometry is asked of it."""

    def to_json(self) -> dict[str, Any]:
        series = self.series
        return {
            "series_instance_uid": series.uid,
            "number": series.number,
            "modality": series.modality,
            "description": series.description,
            "body_part": series.body_part,
            "kind": series.kind,
            "frames": len(series.frames),
            "rows": series.frames[0].rows,
            "columns": series.frames[0].columns,
            "photometric_interpretation": series.photometric,
            "transfer_syntaxes": list(series.transfer_syntaxes),
            "image_type": list(series.image_type),
            "damaged": [{"file": lost.name, "reason": lost.reason} for lost in series.damaged],
            "geometry": None if self.verdict is None else self.verdict.to_json(),
        }


@dataclass(frozen=True)
class Overview:
    """A study as it would be judged."""

    study: Study
    series: tuple[SeriesOverview, ...]
    bundle: Bundle | None = None
    selection: Selection | None = None

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = {
            "study_instance_uid": self.study.study_uid,
            "description": self.study.description,
            "series": [one.to_json() for one in self.series],
            "skipped": [{"file": skipped.name, "reason": skipped.reason} for skipped in self.study.skipped],
            "notes": list(self.study.notes),
        }
        if self.bundle is not None:
            content["bundle"] = {"name": self.bundle.name, "version": self.bundle.version}
            content["selection"] = None if self.selection is None else self.selection.to_json()
        return content


def overview(
    study: Study | Path | str,
    bundle: Bundle | Path | str | None = None,
    *,
    accept: Collection[str] = (),
    study_uid: str | None = None,
) -> Overview:
    """Judge every series of a study without reading pixels.

    Parameters
    ----------
    study
        A loaded study, or where it lies.
    bundle
        Whose selection is shown; None shows the study only.
    accept
        Geometry findings to go on in spite of, as for :func:`bedside.runtime.pipeline.run`.
    study_uid
        Which study, where there are several.

    Raises
    ------
    StudyRejected, BundleError
        As :func:`load_study` and :func:`load_bundle`; that the bundle takes no series is part of the answer.
    """
    if not isinstance(study, Study):
        study = load_study(study, study_uid=study_uid)
    if bundle is not None and not isinstance(bundle, Bundle):
        bundle = load_bundle(bundle)
    judged = tuple(
        SeriesOverview(series, geometry.check(series.frames, accept) if series.kind == "volume" else None)
        for series in study.series
    )
    if bundle is None:
        return Overview(study, judged)
    return Overview(study, judged, bundle, weigh_series(study, bundle.meta.accepts, kinds(bundle)))
