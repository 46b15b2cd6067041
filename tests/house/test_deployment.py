"""The files of `dagster_home`: that they are what Dagster takes, say the same, and leave out no setting."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from clopos_assets.settings import Settings, variable

ROOT = Path(__file__).parents[2]
HOME = ROOT / "dagster_home"
VARIABLES = {variable(field) for field in Settings.model_fields}
FILES = sorted(path.relative_to(HOME).as_posix() for path in HOME.rglob("*.yaml"))


def read(name: str) -> Any:
    return yaml.safe_load((HOME / name).read_text(encoding="utf-8"))


def texts_in(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts_in(inner)
    elif isinstance(value, str):
        yield value


def test_the_files_are_these() -> None:
    assert {
        "dagster.yaml",
        "postgres/dagster.yaml",
        "docker/dagster.yaml",
        "docker/docker-compose.yaml",
        "docker/workspace.yaml",
        "kubernetes/values.yaml",
    } <= set(FILES)
    for name in FILES:
        assert isinstance(read(name), dict), name


def test_the_home_of_one_machine_is_what_dagster_takes(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text((HOME / "dagster.yaml").read_text())
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert queue.max_concurrent_runs == 4
        assert queue.tag_concurrency_limits == [{"key": "dagster/backfill", "limit": 2}]
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        assert not instance.telemetry_enabled


def test_the_homes_differ_in_where_things_are_kept_alone() -> None:
    sqlite, postgres, docker = read("dagster.yaml"), read("postgres/dagster.yaml"), read("docker/dagster.yaml")
    assert postgres.keys() - sqlite.keys() == {"storage", "compute_logs"}
    assert docker.keys() - postgres.keys() == {"run_launcher"}
    assert {key: postgres[key] for key in sqlite} == sqlite
    assert {key: docker[key] for key in postgres} == postgres


def test_kubernetes_has_the_same_limits() -> None:
    values, home = read("kubernetes/values.yaml"), read("dagster.yaml")
    daemon = values["dagsterDaemon"]
    runs = daemon["runCoordinator"]["config"]["queuedRunCoordinator"]
    assert runs["maxConcurrentRuns"] == home["concurrency"]["runs"]["max_concurrent_runs"]
    assert runs["tagConcurrencyLimits"] == home["concurrency"]["runs"]["tag_concurrency_limits"]
    assert daemon["runRetries"]["maxRetries"] == home["run_retries"]["max_retries"]
    for kind in ("schedule", "sensor"):
        kept = values["retention"][kind]["purgeAfterDays"]
        assert {key: days for key, days in kept.items() if days > 0} == home["retention"][kind]["purge_after_days"]


def test_a_run_in_a_container_gets_every_setting() -> None:
    passed = set(read("docker/dagster.yaml")["run_launcher"]["config"]["env_vars"])
    given = read("docker/docker-compose.yaml")["services"]["daemon"]["environment"].keys()
    assert {name for name in passed if name.startswith("CLOPOS_")} == VARIABLES
    assert {name for name in given if name.startswith("CLOPOS_")} == VARIABLES
    assert passed <= given


def test_no_file_holds_a_secret() -> None:
    for name in FILES:
        found = [text for text in texts_in(read(name)) if re.search(r"://[^:@/\s]+:(?!\$\{)[^@\s]+@", text)]
        assert found == [], name


def test_the_image_has_the_launchers_of_the_pinned_version() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (pinned,) = (name.partition("==")[2] for name in extras["postgres"] if name.startswith("dagster-postgres=="))
    image = (HOME / "docker" / "Dockerfile").read_text()
    assert set(re.findall(r"dagster-(?:docker|k8s)==(\S+)", image)) == {pinned}
    copied = re.findall(r"^COPY (.+) \S+$", image, re.M)
    assert [name for names in copied for name in names.split() if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["docker/workspace.yaml", "docker/docker-compose.yaml"])
def test_the_code_location_is_where_it_is_looked_for(name: str) -> None:
    port = read("docker/workspace.yaml")["load_from"][0]["grpc_server"]["port"]
    assert str(port) in (HOME / name).read_text()
    assert f'"{port}", "-m", "clopos_assets.definitions"' in (HOME / "docker" / "Dockerfile").read_text()
