"""Putting a variant into a bundle: its metadata.json changes in one step, and until then nothing it lists does."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..bundle.config import read_json
from ..bundle.load import METADATA, Bundle, sha256_of
from ..errors import BundleError, DeliveryError

_MODELS = "models"
_ELSEWHERE = "name a folder for the quantised bundle with -o"


@contextmanager
def writable_copy(bundle: Bundle, out: Path | None) -> Iterator[Path]:
    """The folder that a variant goes into: the bundle's own, or a copy that is moved to ``out`` when all is done.

    Raises
    ------
    BundleError
        The bundle came as a .zip and no ``out`` is given.
    DeliveryError
        ``out`` exists and is not empty, or cannot be written; or the bundle's own folder cannot be.
    """
    if out is None:
        if bundle.zipped:
            raise BundleError("a zipped bundle is not changed", mend=_ELSEWHERE)
        if not os.access(bundle.root / "configs", os.W_OK) or not os.access(bundle.root / _MODELS, os.W_OK):
            raise DeliveryError(f"{bundle.root} cannot be written", mend=_ELSEWHERE)
        yield bundle.root
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DeliveryError(f"{out} exists and is not empty", mend="give a new folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            folder = Path(scratch) / "bundle"
            shutil.copytree(bundle.root, folder, ignore=shutil.ignore_patterns("__pycache__"))
            yield folder
            if out.exists():
                out.rmdir()
            folder.rename(out)
    except OSError as error:
        raise DeliveryError(f"{out} cannot be written: {error.strerror}") from error


def install(root: Path, made: Path, card: Mapping[str, Any], spec: Mapping[str, Any], precision: str, of: str) -> Path:
    """Put a model and its accuracy card into a bundle as its variant of a precision; returns the card's place.

    The two are written under names that metadata.json does not list, then metadata.json is replaced, which is the one
    step that counts, then the files of the variant before are removed. Whatever ends the process, the bundle is as it
    was or whole.

    Parameters
    ----------
    root
        The bundle's folder.
    made
        The ONNX file, anywhere; it stays.
    spec
        What else the bundle's metadata says of the variant, e.g. ``reduced_range``.
    of
        SHA-256 of the f32 model that it was made from.

    Raises
    ------
    BundleError
        The bundle was changed meanwhile, so that the variant is of another model.
    DeliveryError
        It cannot be written.
    """
    try:
        with _locked(root):
            content = read_json(root / METADATA, METADATA)
            bedside = content["bedside"]
            if of not in bedside["files"].values():
                raise BundleError(f"{METADATA} was changed meanwhile: the f32 model is another", mend="try again")
            before = bedside.get("variants", {}).get(precision, {})
            old = {before.get("model"), before.get("card")} - {None}
            model, shown = _free(root, precision, set(bedside["files"]))
            _write(root / model, made.read_bytes())
            _write(root / shown, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
            files = {name: digest for name, digest in bedside["files"].items() if name not in old}
            files |= {name: sha256_of(root / name) for name in (model, shown)}
            variants = {**bedside.get("variants", {}), precision: {"model": model, "card": shown, "of": of, **spec}}
            content["bedside"] = _with_variants(bedside, files, variants)
            _write(root / METADATA, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
            for name in old:
                with suppress(OSError):
                    (root / name).unlink()
    except OSError as error:
        raise DeliveryError(f"{root} cannot be written: {error.strerror}", mend=_ELSEWHERE) from error
    return root / shown


def _with_variants(bedside: Mapping[str, Any], files: Mapping[str, str], variants: Mapping[str, Any]) -> dict[str, Any]:
    """The ``bedside`` object with its keys in the order they had; new variants stand before ``domain``."""
    changed: dict[str, Any] = {}
    for key, value in {**bedside, "files": files}.items():
        if key == "domain" and "variants" not in bedside:
            changed["variants"] = variants
        changed[key] = value
    return {**changed, "variants": variants}


def _free(root: Path, precision: str, listed: set[str]) -> tuple[str, str]:
    """Names of model and card that the bundle does not list; a file there is what an interrupted run left."""
    for number in range(1, 1 + 2 + len(listed)):
        stem = f"{_MODELS}/model.{precision}" + (f"-{number}" if number > 1 else "")
        if not {f"{stem}.onnx", f"{stem}.json"} & listed:
            return f"{stem}.onnx", f"{stem}.json"
    raise AssertionError("more names are listed than there are")


def _write(path: Path, content: bytes) -> None:
    """Write a file whole and make it last, or leave what was there."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One change of a bundle at a time; the lock goes with the process."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
