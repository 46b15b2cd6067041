"""What runs share with others: where the state lies, under which mode, and who gives way."""

import os
import stat
from pathlib import Path

import dagster as dg
import pytest

from clopos_assets.access import Access
from clopos_assets.assembly import build_definitions
from clopos_assets.clopos.quota import Priority
from clopos_assets.clopos.store import FileStore
from clopos_assets.lake import Lake
from clopos_assets.sharing import priority_of, store_of
from tests.assets.conftest import Project


def test_the_state_lies_in_the_home_of_the_instance(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert store_of(instance, Lake(tmp_path / "lake")) == FileStore(tmp_path / "clopos_shared")


def test_without_a_home_it_lies_in_the_lake(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert store_of(instance, Lake(tmp_path)) == FileStore(tmp_path / "_shared")


def test_without_a_home_and_a_folder_it_lies_among_temporary_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with dg.DagsterInstance.ephemeral() as instance:
        assert store_of(instance, Lake("s3://bucket/lake")) == FileStore(tmp_path / "clopos_shared")


@pytest.mark.parametrize(
    ("tags", "dates", "priority"),
    [
        ({}, 1, Priority.URGENT),
        ({"dagster/schedule_name": "nightly_shift_schedule"}, 1, Priority.URGENT),
        ({}, 7, Priority.URGENT),
        ({}, 8, Priority.ORDINARY),
        ({"dagster/backfill": "abc"}, 1, Priority.ORDINARY),
    ],
)
def test_backfills_give_way(tags: dict[str, str], dates: int, priority: Priority) -> None:
    assert priority_of(tags, dates) is priority


def test_two_runs_of_separate_code_authenticate_once_and_leave_no_secret(project: Project) -> None:
    assert project.run("2026-01-19").success
    project.definitions = build_definitions(project.settings)  # as another process would
    assert project.run("2026-01-20").success
    assert project.shop.sandbox.requests.count("POST", "/v2/auth") == 0
    shared = project.shop.lake.root / "_shared"
    files = sorted(shared.iterdir())
    assert [file.name.partition("-")[0] for file in files] == ["quota", "token"]
    assert {stat.S_IMODE(os.stat(file).st_mode) for file in files} == {0o600}
    credentials = project.shop.sandbox.credentials
    for file in files:
        for secret in (credentials.client_secret, credentials.client_id, credentials.brand):
            assert secret not in file.name
            assert secret.encode() not in file.read_bytes()


def test_one_store_is_one_quota_and_the_clients_of_a_run_share_its_patience(project: Project, tmp_path: Path) -> None:
    access = Access(project.settings)
    here, there = FileStore(tmp_path / "here"), FileStore(tmp_path / "there")
    one, other = access.clopos(here, run_id="a"), access.clopos(here, run_id="a")
    assert one._quota is other._quota
    assert one._patience is other._patience
    assert access.clopos(there, run_id="a")._quota is not one._quota
    assert access.clopos(here, run_id="b")._patience is not one._patience
    assert access.clopos(here)._patience is not access.clopos(here)._patience
