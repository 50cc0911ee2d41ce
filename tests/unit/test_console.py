"""Tables print what a header holds, whatever it looks like."""

from __future__ import annotations

import pytest

from bedside.runtime.console import print_table


@pytest.mark.parametrize("text", ["T1 [/b]", "[red]axial", "a\x1b[31mb"])
def test_markup_and_control_characters_are_text(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_table("Series", ("description",), [(text,)])
    printed = capsys.readouterr().out
    assert text.replace("\x1b", "\ufffd") in printed
    assert "\x1b" not in printed
