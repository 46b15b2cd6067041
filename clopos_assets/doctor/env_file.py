"""The `.env` of the current folder, as Dagster's commands read it: what runs get from there, the doctor has to see."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from clopos_assets.settings import SettingsError


@dataclass(frozen=True)
class EnvFile:
    """A file's place, whether it sets anything, and the lines that are to set something and do not."""

    path: Path
    sets_some: bool
    idle_lines: tuple[int, ...]


@contextmanager
def env_file() -> Iterator[EnvFile | None]:
    """The environment with the file's variables, which win over those that are set; None where there is no file.

    Dagster does so at the start of each of its commands, whose processes inherit it:
    https://docs.dagster.io/guides/deploy/using-environment-variables-and-secrets. Raises SettingsError
    where the file can't be read.
    """
    file = Path.cwd() / ".env"
    before = dict(os.environ)
    values: dict[str, str] = {}
    try:
        try:
            is_there = file.is_file()  # of what is none, as a pipe, nobody knows when it ends
            text = file.read_text(encoding="utf-8") if is_there else ""
            idle_lines = tuple(_idle_lines(text))
            values = {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}
            os.environ.update(values)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it takes lines of NAME=value in UTF-8"
            raise SettingsError(
                f"{file} can't be read ({reason}), at which Dagster's commands stop: mend it, or take it away"
            ) from None
        yield EnvFile(file, bool(values), idle_lines) if is_there else None
    finally:
        for name in values:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


def _idle_lines(text: str) -> Iterator[int]:
    """Lines that are not NAME=value, which Dagster passes over; a name alone does no harm where it is set already."""
    for binding in parse_stream(StringIO(text)):
        is_name_alone = binding.key is not None and binding.value is None
        if binding.error or (is_name_alone and binding.key not in os.environ):
            before = binding.original.string.partition(binding.original.string.lstrip())[0]
            yield binding.original.line + before.count("\n")
