"""Where the lakes of these tests are: a folder, or a bucket of an S3 server on loopback; and what keeps runs apart."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clopos_assets.lake import Lake, LakeError
from clopos_assets.storage import FileLocks, PostgresLocks
from tests.lake.sample import files_under


@dataclass(frozen=True)
class Place:
    """A lake, by what another process needs to open it too: `locks` are a folder, PostgreSQL's address, or empty."""

    root: str
    locks: str = ""
    endpoint: str = ""

    def open(self) -> Lake:
        """The lake as one more process sees it."""
        if not self.root.startswith("s3://"):
            return Lake(Path(self.root))
        lake = Lake(self.root)
        if self.locks.startswith("postgres"):
            lake.use_locks(PostgresLocks(self.locks, self.root))
        elif self.locks:
            lake.use_locks(FileLocks(Path(self.locks), lambda error: LakeError(str(error))))
        return lake

    def names(self) -> set[str]:
        """All that is there, by path below the root, in another's eyes."""
        if not self.root.startswith("s3://"):
            return files_under(Path(self.root))
        bucket, prefix = self._bucket
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return {entry["Key"].removeprefix(prefix) for page in pages for entry in page.get("Contents", ())}

    def put(self, name: str, body: bytes) -> None:
        """Put bytes under a name, as another would."""
        if self.root.startswith("s3://"):
            bucket, prefix = self._bucket
            self._client.put_object(Bucket=bucket, Key=prefix + name, Body=body)
        else:
            path = Path(self.root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)

    def get(self, name: str) -> bytes:
        """What is under a name."""
        if self.root.startswith("s3://"):
            bucket, prefix = self._bucket
            body: bytes = self._client.get_object(Bucket=bucket, Key=prefix + name)["Body"].read()
            return body
        return (Path(self.root) / name).read_bytes()

    @property
    def _client(self) -> Any:
        from tests.lake.s3 import client  # slow to load, and not needed for locks

        return client(self.endpoint)

    @property
    def _bucket(self) -> tuple[str, str]:
        bucket, _, prefix = self.root.removeprefix("s3://").partition("/")
        return bucket, prefix + "/" if prefix else ""
