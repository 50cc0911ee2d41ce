"""The demonstration runs, its page stands alone, and a browser shows it without an error."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("jinja2", reason="the page of the demonstration needs jinja2: pip install 'bedside[bench]'")

import typer

from bedside.benchmarks.demo import main

CHROMIUM = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=5000 --dump-dom"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "demo-out"
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, ["--out", str(out), "--slices", "48"])
    assert result.exit_code == 0, result.output
    return out / "index.html"


@pytest.mark.slow
def test_page_needs_nothing_from_outside(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["']?https?:""", text)
    links = set(re.findall(r'href="([^"]+)"', text))
    assert any(link.endswith("segmentation.dcm") for link in links)
    for link in links:
        assert (page.parent / link).is_file(), link


@pytest.mark.slow
def test_browser_shows_it(page: Path, tool: Callable[[str], str], tmp_path: Path) -> None:
    command = [tool("chromium"), *CHROMIUM.split(), f"--user-data-dir={tmp_path}", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert "Uncaught" not in done.stderr
    shown = re.findall(r'<img class="base"[^>]* src="data:image/jpeg', done.stdout)
    assert len(shown) == 2  # the script has put a frame into both viewers
    assert "slice" in done.stdout and "lung window" in done.stdout
