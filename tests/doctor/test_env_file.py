"""A `.env` in the current folder: the doctor reads it as Dagster's commands do, the demo does not."""

import os
from pathlib import Path

import pytest
from dagster._cli.utils import get_possibly_temporary_instance_for_cli

from clopos_assets.sandbox import Sandbox
from clopos_assets.settings import Settings
from tests.doctor.test_doctor import examined, wrong
from tests.system.processes import environment, run

LINES = """
CLOPOS_BRAND=of-the-file
export CLOPOS_CLIENT_ID='quoted id'  # of the file
CLOPOS_CLIENT_SECRET="${CLOPOS_BRAND}-${CLOPOS_OF_THE_SHELL}"
CLOPOS_INTEGRATOR_ID=
CLOPOS_VENUE_IDS
CLOPOS_FOO=not shown
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and nothing else."""
    folder = tmp_path / "current"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_settings_come_from_the_file(sandbox: Sandbox, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = sandbox.settings() | {"CLOPOS_LAKE": "lake-of-the-file", "DAGSTER_HOME": os.environ["DAGSTER_HOME"]}
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    for name in settings:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    found = examined()
    assert wrong(found) == []
    assert found["settings"].text.endswith(f"personal data: keep; with what {folder}/.env sets")
    assert found["lake"].text.startswith(f"{folder}/lake-of-the-file can be written")
    assert dict(os.environ) == before


@pytest.mark.usefixtures("sandbox")
def test_the_file_wins_and_is_named_where_it_is_wrong(folder: Path) -> None:
    (folder / ".env").write_text("CLOPOS_START_DATE=never\nCLOPOS_SHIFTEND=06:00\n")
    said = examined()["settings"].text
    assert said.startswith("CLOPOS_SHIFTEND is not a setting: did you mean CLOPOS_SHIFT_END?; CLOPOS_START_DATE is mal")
    assert said.endswith(f", and got 'never'; with what {folder}/.env sets")


@pytest.mark.usefixtures("sandbox")
def test_it_is_read_as_dagster_reads_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, recorded: list[dict[str, str]]
) -> None:
    monkeypatch.setenv("CLOPOS_OF_THE_SHELL", "shell")
    (folder / ".env").write_text(LINES)
    with get_possibly_temporary_instance_for_cli():
        by_dagster = dict(os.environ)
    examined()
    assert recorded == [by_dagster]
    assert by_dagster["CLOPOS_CLIENT_SECRET"] == "of-the-file-shell"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The environments in which settings are read from now on."""
    environments: list[dict[str, str]] = []
    read = Settings.read

    def record() -> Settings:
        environments.append(dict(os.environ))
        return read()

    monkeypatch.setattr(Settings, "read", record)
    return environments


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize(
    ("content", "mend"),
    [
        ("CLOPOS_SWEEP_DAYS: 10\n", "mend line 1, or take that away"),
        ('\n# mine\n\n\nCLOPOS_FOO="abc\nDAGSTER_BAR\nOTHER=1\n', "mend lines 5, 6, or take that away"),
    ],
)
def test_lines_that_set_nothing_are_numbered_and_not_shown(folder: Path, content: str, mend: str) -> None:
    (folder / ".env").write_text(content)
    found = examined()
    assert wrong(found) == ["settings"]
    said = found["settings"].text
    assert said.endswith(f"; Dagster passes over what is not NAME=value in {folder}/.env: {mend}")
    assert "SWEEP" not in said
    assert "abc" not in said
    # A name alone leaves what is set as it is.
    (folder / ".env").write_text("CLOPOS_BRAND\n")
    assert wrong(examined()) == []


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("content", [b"CLOPOS_BRAND=\xff\n", b"CLOPOS_BRAND=\x00\n"])
def test_a_file_that_can_not_be_read_is_told(folder: Path, content: bytes) -> None:
    (folder / ".env").write_bytes(content)
    before = dict(os.environ)
    found = examined()
    assert found["settings"].text == (
        f"{folder}/.env can't be read (it takes lines of NAME=value in UTF-8), at which Dagster's commands stop: "
        "mend it, or take it away"
    )
    assert found["lake"].text == "not looked at: mend settings first"
    assert dict(os.environ) == before


def test_the_command_reads_it(sandbox: Sandbox, folder: Path, tmp_path: Path) -> None:
    settings = sandbox.settings() | {"CLOPOS_LAKE": str(tmp_path / "lake"), "DAGSTER_HOME": str(tmp_path / "home")}
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    ended = run(["clopos_assets", "doctor"], environment(), cwd=folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"with what {folder}/.env sets" in ended.stdout
