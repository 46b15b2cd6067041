"""The files of `dagster_home`: that they are what Dagster takes, say the same, and leave out no setting."""

import re
import subprocess
import tomllib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from packaging.requirements import Requirement

from clopos_assets.lake import Lake
from clopos_assets.settings import Settings, variable
from tests.lake.s3 import ENVIRONMENT, new_bucket, s3_server

ROOT = Path(__file__).parents[2]
HOME = ROOT / "dagster_home"
OBJECT_STORE = {
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
}
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
    assert {name for name in passed if name.startswith("AWS_")} == OBJECT_STORE
    assert {"HTTPS_PROXY", "NO_PROXY"} <= passed
    assert passed <= given


def composed(**given: str) -> dict[str, str]:
    """The environment of the daemon, and so of runs, where these variables are set."""
    texts = read("docker/docker-compose.yaml")["services"]["daemon"]["environment"]
    pattern = re.compile(r"\$\{(\w+):([-?])([^}]*)\}")
    assert not [text for text in texts.values() if "$" in pattern.sub("", text)]
    return {
        name: pattern.sub(lambda found: given.get(found[1]) or (found[3] if found[2] == "-" else "needed"), text)
        for name, text in texts.items()
    }


def test_what_is_left_out_of_the_compose_file_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in composed().items():
        monkeypatch.setenv(name, value)
    settings = Settings.read()
    told = {"client_id", "client_secret", "brand", "integrator_id", "venue_ids", "lake"}
    assert settings.model_dump(exclude=told) == Settings.model_construct().model_dump(exclude=told)
    assert (settings.venue_ids, str(settings.lake)) == ("all", "/lake")


def test_the_compose_file_leads_to_an_object_store(monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_server() as endpoint:
        bucket = new_bucket(endpoint)
        keys = {name: ENVIRONMENT[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
        given = composed(CLOPOS_LAKE=f"s3://{bucket}/lake", AWS_ENDPOINT_URL=endpoint, **keys)
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        store = Lake(Settings.read().lake).store
        name = uuid.uuid4().hex
        store.write(name, b"here")
        assert store.read(name) == b"here"


def test_the_compose_file_names_what_it_has() -> None:
    composition = read("docker/docker-compose.yaml")
    for service in composition["services"].values():
        assert set(service["networks"]) <= composition["networks"].keys()
        assert set(service.get("depends_on", ())) <= composition["services"].keys()
        mounted = {volume.partition(":")[0] for volume in service.get("volumes", ())}
        assert {name for name in mounted if not name.startswith("/")} <= composition["volumes"].keys()
    # The containers of runs are not Compose's: they use its names from outside.
    launched = read("docker/dagster.yaml")["run_launcher"]["config"]
    assert launched["network"] in {network["name"] for network in composition["networks"].values()}
    volumes = {volume["name"] for volume in composition["volumes"].values()}
    assert {volume.partition(":")[0] for volume in launched["container_kwargs"]["volumes"]} <= volumes


def test_kubernetes_gets_secrets_from_secrets_and_the_file_says_which() -> None:
    text = (HOME / "kubernetes" / "values.yaml").read_text(encoding="utf-8")
    (location,) = read("kubernetes/values.yaml")["dagster-user-deployments"]["deployments"]
    values = {each["name"]: each["value"] for each in location["env"]}
    assert not {name for name in values if re.search("SECRET|KEY|TOKEN", name)}
    assert values.keys() <= VARIABLES | OBJECT_STORE
    assert Settings.read(lake=values["CLOPOS_LAKE"]).lake == values["CLOPOS_LAKE"]
    before = text.partition("\nglobal:")[0]
    for secret in location["envSecrets"]:
        assert f"secret `{secret['name']}`" in before
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"} <= set(re.findall(r"AWS_\w+", before))


def test_the_readme_makes_every_secret_of_kubernetes() -> None:
    values = read("kubernetes/values.yaml")
    (location,) = values["dagster-user-deployments"]["deployments"]
    needed = {each["name"] for each in location["envSecrets"]} | {values["global"]["postgresqlSecretName"]}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^kubectl create secret generic (\S+)", readme, re.M)) == needed
    assert f"generic {values['global']['postgresqlSecretName']} --from-literal=postgresql-password=" in readme


def test_the_webserver_of_kubernetes_needs_no_root() -> None:
    webserver = read("kubernetes/values.yaml")["dagsterWebserver"]
    port = webserver["service"]["port"]
    assert port >= 1024
    assert webserver["readinessProbe"]["httpGet"] == {"path": "/server_info", "port": port}


def test_postgresql_is_asked_where_its_initialisation_does_not_answer() -> None:
    asked = read("docker/docker-compose.yaml")["services"]["postgres"]["healthcheck"]["test"]
    assert asked[asked.index("-h") + 1] == "127.0.0.1"


def test_no_file_holds_a_secret() -> None:
    for name in FILES:
        found = [text for text in texts_in(read(name)) if re.search(r"://[^:@/\s]+:(?!\$\{)[^@\s]+@", text)]
        assert found == [], name


def test_the_image_has_the_launchers_of_the_pinned_version() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (pinned,) = (name.partition("==")[2] for name in extras["postgres"] if name.startswith("dagster-postgres=="))
    image = (HOME / "docker" / "Dockerfile").read_text()
    assert set(re.findall(r"dagster-(?:docker|k8s)==(\S+)", image)) == {pinned}
    installed = re.search(r"'\.\[(.+)\]'", image)
    assert installed is not None
    assert set(installed[1].split(",")) == extras.keys() - {"test", "benchmarks"}
    copied = re.findall(r"^COPY (.+) \S+$", image, re.M)
    assert [name for names in copied for name in names.split() if not (ROOT / name).exists()] == []


def test_the_image_has_all_versions_of_the_lock() -> None:
    """Its own command, on the lock: as constraints they keep their markers, and may not have extras."""
    command = re.search(r"^RUN (sed .+) > /tmp/constraints", (HOME / "docker" / "Dockerfile").read_text(), re.M)
    assert command is not None
    made = subprocess.run(["sh", "-c", command[1]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    constraints = [Requirement(line) for line in made.stdout.splitlines()]
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = [Requirement(line.rstrip(" \\")) for line in lock if line and not line.startswith((" ", "#"))]
    assert {"gql", "numpy", "uvicorn"} <= {each.name for each in constraints}
    assert not [each for each in constraints if each.extras]
    for each in locked:
        each.extras = set()
    assert constraints == locked


@pytest.mark.parametrize("name", ["docker/workspace.yaml", "docker/docker-compose.yaml"])
def test_the_code_location_is_where_it_is_looked_for(name: str) -> None:
    port = read("docker/workspace.yaml")["load_from"][0]["grpc_server"]["port"]
    assert str(port) in (HOME / name).read_text()
    assert f'"{port}", "-m", "clopos_assets.definitions"' in (HOME / "docker" / "Dockerfile").read_text()


def test_the_code_location_is_one_process_whose_end_is_seen() -> None:
    """What `dagster code-server` runs is behind it: when that has ended, it stays, and its health check is good."""
    image = (HOME / "docker" / "Dockerfile").read_text()
    (command,) = re.findall(r"^CMD (.+)$", image, re.M)
    assert yaml.safe_load(command)[:3] == ["dagster", "api", "grpc"]
    (location,) = read("kubernetes/values.yaml")["dagster-user-deployments"]["deployments"]
    assert "clopos_assets.definitions" in location["dagsterApiGrpcArgs"]
    assert "codeServerArgs" not in location
    assert "\ndagster api grpc " in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_image_says_that_its_user_is_not_root() -> None:
    """By a number: Kubernetes starts no other image where it has to know."""
    image = (HOME / "docker" / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\d+)$", image, re.M)
    assert f"useradd --uid {user} " in image
    assert f"fsGroup: {user}" in (HOME / "kubernetes" / "values.yaml").read_text()
