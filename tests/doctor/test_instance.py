"""What the doctor says of Dagster's instance, of what runs share in it and of the logs of their processes."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from dagster._core.storage.compute_log_manager import CapturedLogMetadata
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.runs.sql_run_storage import SqlRunStorage

from tests.doctor.test_doctor import OF_INSTANCE, examined, wrong

ROOT = Path(__file__).parents[2]
NOBODY = "postgresql+psycopg2://u:p4ss@127.0.0.1:1/d"


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster tries a database that does not answer again at once, not for ten seconds."""
    monkeypatch.setattr("dagster_postgres.utils.calculate_delay", lambda **_: 0)


@pytest.mark.usefixtures("sandbox")
def test_no_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME")
    found = examined()
    assert wrong(found) == OF_INSTANCE
    assert "DAGSTER_HOME is not set" in found["instance"].text
    assert found["logs"].text == "not looked at: mend instance first"


@pytest.mark.usefixtures("sandbox")
def test_a_home_that_is_not_there_is_told_and_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "hoem"))
    assert wrong(examined()) == OF_INSTANCE
    monkeypatch.delenv("CLOPOS_LAKE")
    found = examined()
    assert wrong(found) == ["lake", *OF_INSTANCE]
    assert found["lake"].text == "not looked at: mend instance first"
    assert f"{tmp_path}/hoem" in found["instance"].text
    assert not (tmp_path / "hoem").exists()


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("storage: [", "can't be used"),
        ("storage:\n  sqlite:\n    base_dir:\n      env: NOT_THERE_AT_ALL\n", "NOT_THERE_AT_ALL"),
        ("storage:\n  postgres: {postgres_url: 'postgresql://u:p4ss@127.0.0.1/d'}\n", "postgres"),
        ("local_artifact_storage:\n  module: no_such_module\n  class: None\n  config: {}\n", "no_such_module"),
        # Dagster itself looks at these no sooner than a run begins.
        ("run_launcher:\n  module: no_such_module\n  class: None\n  config: {}\n", "no_such_module"),
        (
            "run_coordinator:\n  module: dagster.core.run_coordinator\n  class: QueuedRunCoordinator\n"
            "  config: {max_concurrent_run: 4}\n",
            "max_concurrent_run",
        ),
    ],
)
def test_a_home_that_can_not_be_used_is_told(tmp_path: Path, config: str, said: str) -> None:
    (tmp_path / "home" / "dagster.yaml").write_text(config)
    found = examined()
    assert wrong(found) == OF_INSTANCE
    assert said in found["instance"].text
    assert "p4ss" not in found["instance"].text


@pytest.mark.usefixtures("sandbox")
def test_storage_that_takes_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its files are another user's: the tests may be root's, who may write anything."""
    assert wrong(examined()) == []

    def refuse(*_: object) -> None:
        raise sqlite3.OperationalError("attempt to write a readonly database")

    monkeypatch.setattr(SqlRunStorage, "set_cursor_values", refuse)
    found = examined()
    assert wrong(found) == OF_INSTANCE
    assert found["instance"].text.endswith("can't be used: attempt to write a readonly database")


@pytest.mark.usefixtures("sandbox", "impatience")
def test_nothing_of_a_password_with_an_at_sign_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql+psycopg2://u:p@ssw0rd@127.0.0.1:1/d")
    assert wrong(examined()) == []  # no home asks for it
    config = "storage:\n  postgres: {postgres_url: {env: DAGSTER_POSTGRES_URL}}\n"
    (tmp_path / "home" / "dagster.yaml").write_text(config)
    found = examined()
    assert wrong(found) == OF_INSTANCE
    assert "***@127.0.0.1" in found["instance"].text
    assert "ssw0rd" not in found["instance"].text
    assert found["instance"].text.endswith("; an @ in the password of DAGSTER_POSTGRES_URL is written %40")


@pytest.mark.usefixtures("sandbox", "impatience")
@pytest.mark.parametrize(
    ("address", "named"),
    [("{env: DAGSTER_POSTGRES_URL}", "DAGSTER_POSTGRES_URL"), (f"'{NOBODY}'", "storage in {home}/dagster.yaml")],
)
def test_a_database_that_does_not_answer_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, named: str
) -> None:
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", NOBODY)
    home = tmp_path / "home"
    (home / "dagster.yaml").write_text(f"storage:\n  postgres: {{postgres_url: {address}}}\n")
    found = examined()
    assert wrong(found) == OF_INSTANCE
    assert found["instance"].text.startswith(f"{home} can't be used (")
    assert "Connection refused" in found["instance"].text
    assert found["instance"].text.endswith(
        f": see that PostgreSQL runs and can be reached, and that {named.format(home=home)} has its host and port, and "
        "a database, user and password that it takes"
    )
    assert "p4ss" not in found["instance"].text


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("is_empty", [True, False])
def test_an_address_that_is_not_set_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_empty: bool) -> None:
    monkeypatch.delenv("DAGSTER_POSTGRES_URL", raising=False)
    if is_empty:
        monkeypatch.setenv("DAGSTER_POSTGRES_URL", "")
    home = tmp_path / "home"
    (home / "dagster.yaml").write_text("# env: DAGSTER_POSTGRES_URL\n")
    assert wrong(examined()) == []  # no home asks for it
    (home / "dagster.yaml").write_text((ROOT / "dagster_home" / "postgres" / "dagster.yaml").read_text())
    found = examined()
    assert wrong(found) == OF_INSTANCE
    assert found["instance"].text == (
        f"{home} keeps its records at the address in DAGSTER_POSTGRES_URL, which is not set: set it to "
        "postgresql+psycopg2://user:password@host:5432/database"
    )


@pytest.mark.usefixtures("sandbox")
def test_a_home_that_does_not_exist_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    found = examined()
    assert wrong(found) == OF_INSTANCE
    assert "is not a directory or does not exist" in found["instance"].text
    assert found["logs"].text == "not looked at: mend instance first"


@pytest.mark.usefixtures("sandbox")
def test_a_folder_that_runs_can_not_share_is_told(tmp_path: Path) -> None:
    (tmp_path / "home" / "clopos_shared").write_text("a file stands in its place")
    found = examined()
    assert wrong(found) == ["sharing"]
    assert found["sharing"].text == (
        f"{tmp_path}/home/clopos_shared, where processes share the request quota, can't be used (Not a directory): "
        "see that it is a folder in which this user can read and write, and run again"
    )


COMPUTE_LOGS = """
compute_logs:
  module: dagster._core.storage.local_compute_log_manager
  class: LocalComputeLogManager
  config: {base_dir: {env: DAGSTER_COMPUTE_LOGS}}
"""


@pytest.mark.usefixtures("sandbox")
def test_logs_without_their_folder_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_COMPUTE_LOGS", raising=False)
    (tmp_path / "home" / "dagster.yaml").write_text(COMPUTE_LOGS)
    found = examined()
    assert wrong(found) == ["logs"]
    assert found["logs"].text.startswith(f"compute_logs of {tmp_path}/home can't be used: ")
    assert '"DAGSTER_COMPUTE_LOGS" which is not set' in found["logs"].text


@pytest.mark.usefixtures("sandbox")
def test_a_folder_that_takes_no_logs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_COMPUTE_LOGS", str(tmp_path / "logs"))
    (tmp_path / "home" / "dagster.yaml").write_text(COMPUTE_LOGS)
    assert wrong(examined()) == []
    assert list((tmp_path / "logs").iterdir()) == []
    (tmp_path / "logs").rmdir()
    (tmp_path / "logs").write_text("a file stands in its place")
    found = examined()
    assert wrong(found) == ["logs"]
    assert found["logs"].text == (
        f"{tmp_path}/logs, for the logs of processes, can't be written (File exists): allow this user to write there, "
        "or set DAGSTER_COMPUTE_LOGS to another folder"
    )


@pytest.mark.usefixtures("sandbox")
def test_a_folder_of_logs_that_differs_by_process_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DAGSTER_COMPUTE_LOGS", "logs")
    (tmp_path / "home" / "dagster.yaml").write_text(COMPUTE_LOGS)
    found = examined()
    assert wrong(found) == ["logs"]
    assert found["logs"].text == (
        "DAGSTER_COMPUTE_LOGS is logs, below whichever folder a process is started in: name it from the root"
    )
    assert not (tmp_path / "logs").exists()


@pytest.mark.usefixtures("sandbox")
def test_a_folder_that_the_home_itself_names_is_told(tmp_path: Path) -> None:
    (tmp_path / "home" / "storage").write_text("a file stands in its place")
    found = examined()
    assert wrong(found) == ["logs"]
    assert found["logs"].text.endswith(f"or name another in compute_logs of {tmp_path}/home")


@pytest.mark.usefixtures("sandbox")
def test_logs_that_are_not_kept_are_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "home" / "dagster.yaml").write_text(
        "compute_logs: {module: dagster._core.storage.noop_compute_log_manager, class: NoOpComputeLogManager}"
    )
    found = examined()
    assert wrong(found) == []
    assert found["logs"].text == "of processes are kept by NoOpComputeLogManager"


class BrokenLogs(NoOpComputeLogManager):
    """Can be made, and not be used."""

    local_manager = None

    def get_log_metadata(self, log_key: Sequence[str]) -> CapturedLogMetadata:
        raise RuntimeError("no bucket")


@pytest.mark.usefixtures("sandbox")
def test_logs_of_a_manager_that_can_not_be_used(tmp_path: Path) -> None:
    (tmp_path / "home" / "dagster.yaml").write_text(f"compute_logs: {{module: {__name__}, class: BrokenLogs}}")
    found = examined()
    assert wrong(found) == ["logs"]
    assert found["logs"].text == f"compute_logs of {tmp_path}/home can't be used: no bucket"
