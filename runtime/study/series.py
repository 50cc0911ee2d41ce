"""What a study is once its headers are read: a Study of Series, and the files that are part of none."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydicom.dataset import Dataset

from ..errors import StudyRejected
from ..image import Frame, UltrasoundRegion
from . import text
from .header import HeaderError, file_name, parsing, read_dataset, read_header, shown
from .instance import Instance
from .regions import ultrasound_regions

LISTED = 6
"""How many instances or files a message names."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that is not part of any series, and why."""

    path: Path
    reason: str
    unplaced: bool = False
    """The file may be an image of any series: it does not get as far as to say which."""

    @property
    def name(self) -> str:
        """The file's name, for messages."""
        return file_name(self.path)


@dataclass(frozen=True)
class Series:
    """The image instances of one series, in file-name order of their frames.

    ``kind`` is a hint: 'volume' where the frames are slices of the patient, 'cine' where an instance has several frames
    that are not, else 'image'.
    """

    uid: str
    study_uid: str
    modality: str
    sop_class_uid: str
    frames: tuple[Frame, ...]
    instances: tuple[Instance, ...]
    kind: str
    number: int | None = None
    description: str = ""
    body_part: str = ""
    frame_of_reference_uid: str | None = None
    image_type: tuple[str, ...] = ()
    photometric: str = ""
    transfer_syntaxes: tuple[str, ...] = ()
    regions: tuple[UltrasoundRegion, ...] = ()
    """Ultrasound regions of the first instance; :meth:`regions_of` has those of another."""
    damaged: tuple[Skipped, ...] = ()
    """Files that cannot be read, of this series or perhaps of it: with any, the series is not whole."""
    charset: text.CharacterSet = field(default_factory=text.CharacterSet)

    @cached_property
    def _by_path(self) -> dict[Path, Instance]:
        return {instance.path: instance for instance in self.instances}

    def instance(self, frame: Frame) -> Instance:
        """The instance a frame belongs to."""
        return self._by_path[frame.path]

    def frames_of(self, instance: Instance) -> tuple[Frame, ...]:
        """The frames of one instance, in their order."""
        return tuple(frame for frame in self.frames if frame.path == instance.path)

    def only_instance(self, uid: str | None = None) -> Instance:
        """The one image or cine of a series that is not a volume: the one with this SOP Instance UID, or the only one.

        Views of two sides, or from two directions, often lie in one series; they are no run of frames in time, so
        nothing is chosen here, and nothing is joined.

        Raises
        ------
        StudyRejected
            ``uid`` is not in the series or twice in it, or none is given and there are several instances.
        """
        found = [one for one in self.instances if uid is None or one.sop_instance_uid == uid]
        if len(found) == 1:
            return found[0]
        if uid is not None and found:
            names = ", ".join(one.name for one in found)
            raise StudyRejected(
                f"series {self.uid} has instance {uid} {len(found)} times: {names}", mend="give one of the files"
            )
        listed = "; ".join(self._described(one) for one in self.instances[:LISTED])
        more = f"; and {len(self.instances) - LISTED} more" if len(self.instances) > LISTED else ""
        if uid is not None:
            raise StudyRejected(f"instance {shown(uid)} is not in series {self.uid}", mend=f"there: {listed}{more}")
        raise StudyRejected(
            f"series {self.uid} has {len(self.instances)} images where one is asked for: {listed}{more}",
            mend="name one with --instance UID",
        )

    def _described(self, instance: Instance) -> str:
        """Number, side, view, frames, file and UID of an instance, as far as the header has them."""
        number = self.frames_of(instance)[0].instance_number
        words = [
            "" if number is None else str(number),
            shown(instance.laterality),
            shown(instance.view_position),
            f"{instance.frames} frames" if instance.frames > 1 else "",
            f"in {instance.name}",
            f"({shown(instance.sop_instance_uid)})",
        ]
        return " ".join(word for word in words if word)

    def dataset(self, index: int = 0) -> Dataset:
        """The whole header, without pixels, of the instance of ``frames[index]``, its text decoded as :mod:`text` does.

        Raises
        ------
        StudyRejected
            The file has changed or gone since the study was loaded.
        """
        path = self.frames[index].path
        try:
            dataset = read_dataset(path)
            charset = text.charset_of(read_header(path))
            with parsing("a sequence"):
                text.correct(dataset, charset)
        except HeaderError as error:
            raise StudyRejected(
                f"{file_name(path)}: {error}", mend="leave the study's files in place during the run"
            ) from error
        return dataset

    def regions_of(self, instance: Instance) -> tuple[UltrasoundRegion, ...]:
        """The calibrated ultrasound regions of one instance (PS3.3 C.8.5.5)."""
        if instance is self.instances[0] or not self.regions:
            return self.regions
        try:
            return ultrasound_regions(read_dataset(instance.path))
        except HeaderError as error:
            raise StudyRejected(f"{instance.name}: {error}") from error

    def require_whole(self) -> None:
        """Refuse a series of which a file is damaged.

        Raises
        ------
        StudyRejected
            Naming the file.
        """
        if self.damaged:
            first = self.damaged[0]
            more = f" and {len(self.damaged) - 1} more" if len(self.damaged) > 1 else ""
            again = "send it again, or move the file away if it is no image of this study"
            raise StudyRejected(
                f"series {self.uid}: {first.name}{more}: {first.reason}",
                mend=again if first.unplaced else "send the series again from the scanner or the PACS",
            )


@dataclass(frozen=True)
class Study:
    """One study of one patient. Text is decoded; dates and times are as DICOM writes them (YYYYMMDD, HHMMSS)."""

    path: Path
    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...] = ()
    study_uid: str = ""
    patient_name: str = ""
    patient_id: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession: str = ""
    study_id: str = ""
    study_date: str = ""
    study_time: str = ""
    description: str = ""
    charset: text.CharacterSet = field(default_factory=text.CharacterSet)
    notes: tuple[str, ...] = ()
    """What was read differently from what the files say, e.g. a false character set, and files without content."""

    def series_of(self, instance_uid: str | None) -> str | None:
        """The UID of the series that holds an instance; None where none does, or none is named."""
        return next(
            (one.uid for one in self.series if any(i.sop_instance_uid == instance_uid for i in one.instances)), None
        )
