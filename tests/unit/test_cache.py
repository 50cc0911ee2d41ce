"""The cache folders: where they are, what they keep, and several processes at once."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from bedside.backends import cache
from bedside.backends.contract import BedsideError


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("BEDSIDE_CACHE", raising=False)
    assert cache.root() == tmp_path / "home" / ".cache" / "bedside"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache.root() == tmp_path / "home" / ".cache" / "bedside"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.root() == tmp_path / "xdg" / "bedside"
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "own"))
    assert cache.root() == tmp_path / "own"


def test_a_folder_is_this_users_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "own"))
    folder = cache.folder("proofs")
    assert folder == cache.folder("proofs") == tmp_path / "own" / "proofs"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    with pytest.raises(BedsideError, match=r"anybody may write .*chmod 700"):
        cache.folder("proofs")


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("BEDSIDE_CACHE", str(tmp_path / "file"))
    with pytest.raises(BedsideError, match=r"cannot be made: .*BEDSIDE_CACHE"):
        cache.folder("proofs")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "entry"
    cache.write(file, b"one", b"two")
    assert file.read_bytes() == b"onetwo"
    with pytest.raises(TypeError):
        cache.write(file, b"three", "no bytes")  # type: ignore[arg-type]
    assert file.read_bytes() == b"onetwo"
    assert list(tmp_path.iterdir()) == [file]


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    files = [tmp_path / "a", tmp_path / "below" / "b", tmp_path / "c", tmp_path / "d"]
    for age, file in enumerate(files):
        file.write_bytes(b"x" * 100)
        os.utime(file, (1000 + age, 1000 + age))
    cache.trim(tmp_path, 400)
    assert all(file.exists() for file in files)
    cache.used(files[0])
    cache.trim(tmp_path, 250)
    assert [file.exists() for file in files] == [True, False, False, True]
    cache.trim(tmp_path / "nothing there", 0)


def test_many_write_and_trim_at_once(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(30):
                cache.write(tmp_path / f"{number}-{turn % 5}", bytes(1000))
                cache.trim(tmp_path, 8000)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    cache.trim(tmp_path, 8000)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 8000
