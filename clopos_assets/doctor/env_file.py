"""The `.env` of the current folder, as Dagster's commands read it: what runs get from there, the doctor has to see."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

from clopos_assets.settings import SettingsError


@contextmanager
def env_file() -> Iterator[Path | None]:
    """The environment with the file's variables, which win over those that are set; None where it sets none.

    Dagster does so at the start of each of its commands, whose processes inherit it:
    https://docs.dagster.io/guides/deploy/using-environment-variables-and-secrets. Raises SettingsError
    where the file can't be read.
    """
    file = Path.cwd() / ".env"
    before = dict(os.environ)
    values: dict[str, str] = {}
    try:
        try:
            # Of what is no file, as a pipe, nobody knows when it ends.
            found = dotenv_values(file) if file.is_file() else {}
            values = {name: value for name, value in found.items() if value is not None}
            os.environ.update(values)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it takes lines of NAME=value in UTF-8"
            raise SettingsError(
                f"{file} can't be read ({reason}), at which Dagster's commands stop: mend it, or take it away"
            ) from None
        yield file if values else None
    finally:
        for name in values:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
