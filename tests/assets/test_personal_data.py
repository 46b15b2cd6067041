"""The setting reaches the lake, and no personal value reaches Dagster's records."""

import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS
from clopos_assets.tables.privacy import Privacy, derive_key
from tests.assets.conftest import Project

ADDRESS = "Nizami 5"


@pytest.mark.parametrize("handling", ["keep", "hash", "drop"])
def test_a_run_stores_what_the_setting_says(project: Project, monkeypatch: pytest.MonkeyPatch, handling: str) -> None:
    monkeypatch.setenv("CLOPOS_PERSONAL_DATA", handling)
    project.shop.world.update_receipt(1, address=ADDRESS, customer_address=ADDRESS)
    project.settings = Settings.read()
    project.definitions = build_definitions(project.settings)
    result = project.run("2026-01-19")
    assert result.success
    rows = project.shop.lake.read(RECEIPTS, "2026-01-19", ["address"])
    assert rows is not None
    credentials = project.shop.sandbox.credentials
    hashed = Privacy("hash", derive_key(credentials.client_secret, credentials.brand)).stored({"address": ADDRESS})
    expected = {"keep": ADDRESS, "hash": hashed["address"], "drop": None}
    assert rows.column("address").to_pylist() == [expected[handling], None]
    told = [str(entry) for entry in project.instance.all_logs(result.run_id)]
    assert [text for text in told if ADDRESS in text] == []
