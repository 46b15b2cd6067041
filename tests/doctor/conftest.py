"""A Clopos to ask, and an environment in which everything is in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clopos_assets.sandbox import LimitOptions, Sandbox, World
from clopos_assets.settings import Settings, variable
from tests.ingest.shop import NOW


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """Two venues, the environment of which everything is in order, and nothing else of Clopos in it."""
    for field in Settings.model_fields:
        monkeypatch.delenv(variable(field), raising=False)
    venues: list[dict[str, Any]] = [
        {"id": i, "name": f"Filial {i}", "is_main": int(i == 1), "media": []} for i in (1, 2)
    ]
    home = tmp_path / "home"
    home.mkdir()
    with Sandbox(World(venues, now=NOW), limits=LimitOptions(requests=300)) as sandbox:
        for name, value in sandbox.settings().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("CLOPOS_LAKE", str(tmp_path / "lake"))
        monkeypatch.setenv("CLOPOS_VENUE_IDS", "all")
        monkeypatch.setenv("DAGSTER_HOME", str(home))
        yield sandbox
