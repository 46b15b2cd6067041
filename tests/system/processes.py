"""Real processes of the product: a sandbox, Dagster's command line, the command line of the package."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

ROOT = Path(__file__).parents[2]
SECONDS = 600


def environment(**more: str) -> dict[str, str]:
    """This process' environment without what would make the tests depend on the machine's settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CLOPOS_", "DAGSTER_", "PYTEST_"))}
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def run(arguments: Sequence[str], env: Mapping[str, str], cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m …` to its end; bounded."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for(address: str) -> None:
    """Wait until an address answers; bounded."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except OSError:
            assert time.monotonic() < deadline, "it did not start"
            time.sleep(0.5)
        else:
            return


async def until_set(event: threading.Event) -> None:
    """Wait in an event loop for what another thread sets; bounded."""
    for _ in range(SECONDS * 20):
        if event.is_set():
            return
        await asyncio.sleep(0.05)


def answers(port: int) -> bool:
    """Whether a code location serves at a port of this machine, as `dagster api grpc-health-check` asks it."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            answer = HealthStub(channel).Check(HealthCheckRequest(service="DagsterApi"), timeout=30)
        except grpc.RpcError:
            return False
    return bool(answer.status == HealthCheckResponse.SERVING)


@dataclass
class Home:
    """A Dagster home and lake of their own, with the settings of a running sandbox."""

    path: Path
    env: dict[str, str]

    def dagster(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Dagster's own command line."""
        return run(["dagster", *arguments], self.env)

    def materialize(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Materialize every asset as the documents say."""
        return self.dagster("asset", "materialize", "-m", "clopos_assets.definitions", "--select", "*", *arguments)


def new_home(path: Path, settings: Mapping[str, str]) -> Home:
    """A home as the repository has it, in a folder that is not there yet."""
    path.mkdir(parents=True)
    (path / "dagster.yaml").write_text((ROOT / "dagster_home" / "dagster.yaml").read_text())
    return Home(path, environment(DAGSTER_HOME=str(path), **settings))


@contextmanager
def sandbox_process(*arguments: str) -> Iterator[dict[str, str]]:
    """A sandbox in a process of its own, and the settings that it prints."""
    command = [sys.executable, "-m", "clopos_assets", "sandbox", "--port", "0", *arguments]
    with subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True) as sandbox:
        try:
            assert sandbox.stdout is not None
            settings: dict[str, str] = {}
            for line in sandbox.stdout:
                if not line.startswith("export "):
                    break
                name, _, value = line.removeprefix("export ").strip().partition("=")
                settings[name] = value
            assert settings, "the sandbox printed no settings"
            yield settings
        finally:
            sandbox.terminate()
