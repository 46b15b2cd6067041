"""The demo's UI, where it does not come up."""

import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from clopos_assets.demo import DemoError, _serve_ui


def test_a_ui_that_ends_by_itself_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begin = subprocess.Popen

    def instead(*_: object, **__: object) -> "subprocess.Popen[bytes]":
        return begin(["false"], start_new_session=True)

    monkeypatch.setattr("clopos_assets.demo.subprocess.Popen", instead)
    monkeypatch.setattr("clopos_assets.demo.signal.signal", lambda *_: None)
    with pytest.raises(DemoError, match="ended by itself: see whether port 3777 is free"):
        _serve_ui(Console(), 3777, tmp_path)
