"""Whose a lake is and which version wrote it: noted at the first write, checked by every run."""

from pathlib import Path

import msgspec
import pytest

from clopos_assets.assembly import build_definitions
from clopos_assets.doctor.finding import Finding
from clopos_assets.doctor.places import look_at_lake
from clopos_assets.lake import Lake, LakeError
from clopos_assets.origin import NOTE, SCHEMA_VERSION, Origin, bring_forward, check_origin, read_origin, sign
from clopos_assets.settings import Settings
from clopos_assets.tables import RECEIPTS
from tests.assets.conftest import Project, failure_of, project

__all__ = ["project"]


def written(lake: Lake, **says: object) -> None:
    lake.keep(NOTE, msgspec.json.encode({"brand": "plov", "schema_version": SCHEMA_VERSION} | says))


def test_an_empty_lake_is_nobodys(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    assert read_origin(lake) is None
    assert bring_forward(lake, "plov") is None
    assert not lake.root.exists()


def test_the_first_write_signs(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    sign(lake, "plov")
    assert read_origin(lake) == Origin("plov", SCHEMA_VERSION)
    assert check_origin(lake, "PLOV") == Origin("plov", SCHEMA_VERSION)
    assert check_origin(lake, None) == Origin("plov", SCHEMA_VERSION)


def test_another_brand_is_refused_in_one_line(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    sign(lake, "plov")
    for act in (check_origin, bring_forward, sign):
        with pytest.raises(LakeError) as caught:
            act(lake, "dolma")
        assert str(caught.value) == (
            f"the lake {lake.root} holds the brand 'plov', and CLOPOS_BRAND is 'dolma': set CLOPOS_LAKE to a lake of "
            "its own for each brand"
        )


def test_a_newer_lake_is_refused_in_one_line(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    written(lake, schema_version=SCHEMA_VERSION + 1, more="that this version does not know")
    with pytest.raises(LakeError) as caught:
        bring_forward(lake, None)
    assert str(caught.value) == (
        f"the lake {lake.root} was written by a newer version of this package (schema {SCHEMA_VERSION + 1}, and this "
        f"one knows {SCHEMA_VERSION}): install that version, or set CLOPOS_LAKE to another lake"
    )


@pytest.mark.parametrize("note", [b"", b"{}", b'{"brand": 1}', b"\xff", b'{"brand": "\xff"}'])
def test_a_damaged_note_is_one_line(tmp_path: Path, note: bytes) -> None:
    lake = Lake(tmp_path / "lake")
    lake.keep(NOTE, note)
    with pytest.raises(LakeError, match=r"origin\.json is damaged: remove it"):
        read_origin(lake)


def test_a_lake_of_an_older_version_is_brought_forward_once(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    written(lake, schema_version=1)
    told = bring_forward(lake, "plov")
    assert told is not None
    assert f"(schema 1, now {SCHEMA_VERSION})" in told
    assert bring_forward(lake, "plov") is None
    assert read_origin(lake) == Origin("plov", SCHEMA_VERSION)


def test_of_a_lake_without_the_note_no_version_is_claimed(project: Project) -> None:
    """Version 1 wrote none; or it was damaged, and somebody has removed it as the message says."""
    lake = project.shop.lake
    assert project.run("2026-01-19").success
    assert read_origin(lake) == Origin(project.settings.brand, SCHEMA_VERSION)
    lake.discard(NOTE)
    assert read_origin(lake) == check_origin(lake, "plov") == Origin(None, None)
    found: list[Finding] = []
    look_at_lake(project.settings, found)
    assert found[0].text.endswith(f", schema not noted, which the next run brings forward to {SCHEMA_VERSION}")
    result = project.run("2026-01-19")
    assert result.success
    said = [entry.user_message for entry in project.instance.all_logs(result.run_id)]
    assert [text for text in said if text.startswith(f"the lake {lake.root} ")] == [
        f"the lake {lake.root} has no note of which version of this package wrote it, and gets one: it is read as "
        "it is, and what an older version wrote gets the new shape when its shift date is made again"
    ]
    assert read_origin(lake) == Origin(project.settings.brand, SCHEMA_VERSION)


def test_a_run_into_the_lake_of_another_brand_stops(project: Project) -> None:
    lake = project.shop.lake
    sign(lake, "another")
    result = project.run("2026-01-19")
    assert not result.success
    assert f"the lake {lake.root} holds the brand 'another'" in failure_of(result)
    assert project.shop.asked() == {}
    assert not lake.has(RECEIPTS, "2026-01-19")


def test_a_brand_that_clopos_refuses_signs_nothing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOPOS_BRAND", "mistyped")
    project.definitions = build_definitions(Settings.read())
    assert not project.run("2026-01-19").success
    assert read_origin(project.shop.lake) is None
