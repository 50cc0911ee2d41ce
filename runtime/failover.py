"""A study goes on when a device fails: the next device does all of it again, and the result says so.

Nothing of what the failed device gave is used: each attempt begins with the pixels, and hands over its outcome only
when it is whole. The failed device is set aside (:mod:`.quarantine`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

from bedside.backends.contract import BedsideError, DeviceFault, DeviceUnavailable, FaultKind, Program

from . import proof, quarantine
from .bundle.load import Bundle
from .dispatch import Choice, Decision
from .errors import ProofFailed
from .stopwatch import Stopwatch
from .watchdog import Limits, WatchedProgram, open_watched

T = TypeVar("T")
Step = Literal["proof", "open", "run", "close"]
_FAULTS = (DeviceFault, DeviceUnavailable)
_MAY_BE_THE_STUDY = frozenset({"nan", "shape", "memory"})
"""Where every device fails in one of these ways, it is the model or the study, and no device is to blame."""


@dataclass(frozen=True)
class Failure:
    """What a device did instead of its work."""

    device: str
    step: Step
    kind: FaultKind
    message: str

    @property
    def note(self) -> str:
        """For the reader of a result."""
        if self.step == "close":
            return f"{self.device} failed after it had given this result: {self.message}"
        return f"another device took over after {self.device} had failed: {self.message}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


Outcome = tuple[T, tuple["Failure", ...]]
"""What the work gave, and which devices failed before it was done, or after."""


def on(
    device: str | Program | Decision,
    open_device: Callable[[str], Program],
    work: Callable[[Program], T],
    *,
    reprove: Callable[[str], str],
    clock: Stopwatch,
    timeout: float | None = None,
) -> Outcome[T]:
    """Do ``work`` on the device that is named, on the program that is given, or on the first of a decision that can.

    Parameters
    ----------
    open_device
        Loads the model on the device of that name.
    work
        What is to be done, from the beginning each time; it changes nothing outside unless it returns.
    reprove
        Proves a device again that was set aside; why not, if that fails, else an empty text.
    clock
        Loading the model is charged to "open".
    timeout
        Seconds that one run of the network may take; None is the usual limit.

    Raises
    ------
    DeviceUnavailable, DeviceFault
        The device is not to be had, or failed before the work was done; of a decision, every device did.
    BedsideError
        What ``work`` raises and no device is to blame for: it would be the same on every device.
    """

    def attempt(choice: Choice) -> tuple[T, Failure | None]:
        limits = choice.limits if timeout is None else replace(choice.limits, run=timeout)
        with clock.stage("open"):
            try:
                program = open_watched(choice.device, lambda: open_device(choice.device), limits)
            except _FAULTS as error:
                raise _Failed(choice.device, "open", error) from error
        return _work_on(program, work)

    if isinstance(device, Decision):
        return _on_best(device, attempt, reprove)
    try:
        if isinstance(device, str):
            outcome, late = attempt(Choice(device, "asked for"))
        else:
            outcome, late = work(WatchedProgram(device, Limits() if timeout is None else Limits(run=timeout))), None
    except _Failed as failed:
        raise failed.error from None
    return outcome, (late,) if late else ()


def require_computing(device: str) -> None:
    """Raise DeviceUnavailable for a device whose results may not be written."""
    if device.partition(":")[0] == "null":
        raise DeviceUnavailable(
            "device null computes nothing, so its results may not be written into a patient's study",
            mend="choose another device; in Python, run() without out measures with this one",
        )


def require_proved(bundle: Bundle, program: Program) -> None:
    """Raise ProofFailed unless the program's device gave the bundle's golden findings on this host."""
    verdict = proof.stored(bundle, program.device, bundle.precision)
    if verdict is None:
        device = program.device.id
        raise ProofFailed(
            f"{device} is not proved for {bundle.name} on this host",
            mend=f"bedside prove {bundle.root.name} --device {device}",
        )
    verdict.require()


class _Failed(Exception):
    """A device failed before the work was done."""

    def __init__(self, device: str, step: Step, error: DeviceFault | DeviceUnavailable) -> None:
        super().__init__(device)
        self.error = error
        kind: FaultKind = error.kind if isinstance(error, DeviceFault) else "lost"
        self.failure = Failure(device, step, kind, error.message)


def _work_on(program: WatchedProgram, work: Callable[[Program], T]) -> tuple[T, Failure | None]:
    """What the work gave; and how the device failed after that, if it did."""
    try:
        outcome = work(program)
    except BaseException as error:
        with suppress(BedsideError):
            program.close()  # how it closes says nothing any more
        if isinstance(error, _FAULTS):
            raise _Failed(program.device.id, "run", error) from error
        raise
    try:
        program.close()
    except _FAULTS as error:
        return outcome, _Failed(program.device.id, "close", error).failure
    return outcome, None


def _on_best(
    decision: Decision, attempt: Callable[[Choice], tuple[T, Failure | None]], reprove: Callable[[str], str]
) -> Outcome[T]:
    failures: list[Failure] = []
    for choice in _in_turn(decision):
        if choice.reserve and (why_not := reprove(choice.device)):
            failures.append(Failure(choice.device, "proof", "failed", why_not))
            continue
        try:
            outcome, late = attempt(choice)
        except _Failed as failed:
            failures.append(failed.failure)
            quarantine.note(choice.device, failed.error)
            continue  # what the attempt had made, its arrays above all, is gone before the next one begins
        if late is not None:
            failures.append(late)
            quarantine.note(choice.device, DeviceFault(late.message, kind=late.kind))
        return outcome, tuple(failures)
    if all(failure.kind in _MAY_BE_THE_STUDY for failure in failures):
        for failure in failures:
            quarantine.lift(failure.device)
    told = "; ".join(failure.message for failure in failures)
    kind = failures[-1].kind if failures else "failed"
    raise DeviceFault(f"every device failed: {told}", mend="`bedside doctor` examines this host", kind=kind)


def _in_turn(decision: Decision) -> Iterator[Choice]:
    """The choices; one that was set aside since they were made comes last, with those that were before."""
    last = []
    for choice in decision.choices:
        if choice.reserve or quarantine.held(choice.device) is not None:
            last.append(replace(choice, reserve=True))
        else:
            yield choice
    yield from last
