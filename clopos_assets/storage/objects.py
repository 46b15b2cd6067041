"""An object store (`s3://`) as a store: an object is put whole by one call, and read whole by one.

Credentials, region and endpoint are those of the environment, as every AWS tool reads them (`AWS_ACCESS_KEY_ID`,
`AWS_PROFILE`, `AWS_ENDPOINT_URL` …; https://docs.aws.amazon.com/sdkref/latest/guide/environment-variables.html).
S3 gives reads and listings the last version that was written
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pyarrow as pa

from clopos_assets.storage.errors import LakeError
from clopos_assets.storage.store import Stamp

if TYPE_CHECKING:
    from s3fs import S3FileSystem

T = TypeVar("T")
_AT_ONCE = 16
# botocore tries a call AWS_MAX_ATTEMPTS times, and s3fs so often what botocore gave up.
_TRIES = 2
# All tries of a call together. A store that takes a connection and never asks for the body of a write is waited for
# without end otherwise; a sensor's tick, which begins with a listing, has a minute.
_LONGEST_SECONDS = 300.0
_LOOK_SECONDS = 40.0
_ONE_CALL = 5 * 2**30 // 2
"""Bytes. s3fs puts by one call what is shorter than twice this, and twice this, 5 GiB, is the most that S3 takes."""
_MOST_REMOVED = 1000
"""https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html"""


class ObjectStore:
    """See `Store`. `url` is `s3://bucket` or `s3://bucket/prefix`. Objects have no folders: names just have slashes.

    Stamps are ETags: the same bytes put again may have the same; `changed_at` is in whole seconds.
    """

    at_once = _AT_ONCE

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._path = self.url.removeprefix("s3://")
        self._bucket, _, self._prefix = self._path.partition("/")
        self._opened: S3FileSystem | None = None
        self._opening = Lock()

    def uri(self, name: str = "") -> str:
        """See `Store`."""
        return f"{self.url}/{name}" if name else self.url

    def local(self, name: str) -> None:
        """See `Store`."""

    def read(self, name: str) -> bytes | None:
        """See `Store`."""

        async def get(files: "S3FileSystem") -> bytes | None:
            try:
                body: bytes = await files._cat_file(f"{self._path}/{name}")
            except FileNotFoundError as error:
                if _code_of(error) == "NoSuchBucket":
                    raise
                return None
            return body

        return self._ask("read", get)

    def write(self, name: str, body: bytes | pa.Buffer, *, durable: bool = True) -> None:
        """See `Store`."""
        whole = body if isinstance(body, bytes) else body.to_pybytes()
        self._ask("written", lambda files: files._pipe_file(f"{self._path}/{name}", whole, chunksize=_ONE_CALL))

    def stamp(self, name: str) -> Stamp | None:
        """See `Store`."""

        async def head(files: "S3FileSystem") -> Stamp | None:
            try:
                return _stamp_of(await files._call_s3("head_object", Bucket=self._bucket, Key=self._key(name)))
            except FileNotFoundError:
                return None

        return self._ask("read", head, _LOOK_SECONDS)

    def list(self, folder: str, ending: str = "", *, unfinished: bool = False) -> dict[str, Stamp]:
        """See `Store`. No write is ever seen unfinished."""
        found = {
            name.removesuffix(ending): stamp for name, stamp in self._below(folder).items() if name.endswith(ending)
        }
        return {name: stamp for name, stamp in found.items() if name and "/" not in name}

    def remove(self, names: Iterable[str]) -> None:
        """See `Store`."""
        keys = [{"Key": self._key(name)} for name in names]

        async def delete(files: "S3FileSystem") -> list[str]:
            refused: list[str] = []
            for first in range(0, len(keys), _MOST_REMOVED):
                some = {"Objects": keys[first : first + _MOST_REMOVED], "Quiet": True}
                answer = await files._call_s3("delete_objects", Bucket=self._bucket, Delete=some)
                refused += [str(each.get("Code")) for each in answer.get("Errors", ())]
            return refused

        refused = self._ask("written", delete)
        if refused:
            raise self._failure("written", refused[0])

    def remove_folder(self, folder: str) -> None:
        """See `Store`."""
        self.remove([f"{folder}/{name}" for name in self._below(folder)])

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    def _below(self, folder: str) -> dict[str, Stamp]:
        """All names below a folder, as seen from there, by as many listings as there are pages of a thousand."""
        start = f"{self._path}/{folder}/"
        # Asked for by a beginning of names: for a folder, s3fs would look twice more where there is nothing.
        found = self._ask(
            "read", lambda files: files._find(self._path, prefix=f"{folder}/", detail=True), _LOOK_SECONDS
        )
        return {path.removeprefix(start): _stamp_of(info) for path, info in found.items() if path.startswith(start)}

    def _ask(
        self,
        what: Literal["read", "written"],
        act: "Callable[[S3FileSystem], Coroutine[Any, Any, T]]",
        seconds: float | None = None,
    ) -> T:
        files = self._files()
        from aiohttp import ClientError as ConnectionFailed  # s3fs brings both, and is slow to load
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            try:
                files.connect()
            except ValueError:  # botocore's word for an endpoint, a region or another setting that is malformed
                raise self._failure(what, "Endpoint") from None
            return _wait_for(act(files), files.loop, seconds or _LONGEST_SECONDS)
        except (OSError, BotoCoreError, ClientError, ConnectionFailed) as error:
            # What the store says stays out of it, cause included: it may name keys. Its code says enough.
            raise self._failure(what, _code_of(error)) from None

    def _failure(self, what: str, code: str) -> LakeError:
        reason, remedy = _REMEDIES.get(
            code, (code, "see what the object store means by that, or name another with CLOPOS_LAKE")
        )
        return LakeError(f"the lake {self.url} can't be {what} ({reason}): {remedy}, and run again")

    def _files(self) -> "S3FileSystem":
        with self._opening:
            if self._opened is None:
                try:
                    from s3fs import S3FileSystem
                except ImportError:
                    raise LakeError(
                        f"the lake {self.url} needs the package s3fs: install clopos-assets[s3], "
                        "or set CLOPOS_LAKE to a folder"
                    ) from None
                self._opened = S3FileSystem(
                    # Others write too: a listing is asked for each time.
                    use_listings_cache=False,
                    skip_instance_cache=True,
                    # One call reads an object, so that no two versions of it are put together.
                    max_concurrency=1,
                    config_kwargs={"max_pool_connections": _AT_ONCE},
                )
                self._opened.retries = _TRIES
            return self._opened


def _wait_for(answer: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop, seconds: float) -> T:
    """The answer of a call in s3fs' loop. One that comes too late, or that is waited for no more because the process is
    told to end, is dropped, so that it writes nothing later on.
    """
    waited = asyncio.run_coroutine_threadsafe(answer, loop)
    try:
        return waited.result(seconds)
    finally:
        waited.cancel()  # of one that has ended nothing changes


_DENIED = (
    "access denied",
    "allow these credentials to list, get, put and delete objects there, or set other AWS_* variables",
)
_UNREACHABLE = (
    "the object store does not answer",
    "see whether AWS_ENDPOINT_URL and AWS_DEFAULT_REGION are right and the network is up",
)
_FAILING = ("the object store is overloaded or fails", "wait until it is well")
_EXPIRED = ("the credentials have expired", "set new ones in the AWS_* variables")
_ELSEWHERE = ("the bucket is in another region", "set AWS_DEFAULT_REGION, or AWS_ENDPOINT_URL, to where it is")
_NO_CREDENTIALS = ("no credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
_MALFORMED = (
    "AWS_ENDPOINT_URL, AWS_DEFAULT_REGION or another AWS_* variable is malformed",
    "set it right; an endpoint is https://, with a host",
)
_REMEDIES = {
    "NoSuchBucket": ("there is no such bucket", "create it, or name another with CLOPOS_LAKE"),
    "404": ("there is no such bucket", "create it, or name another with CLOPOS_LAKE"),
    "NoCredentialsError": _NO_CREDENTIALS,
    "PartialCredentialsError": _NO_CREDENTIALS,
    **dict.fromkeys(("Endpoint", "EndpointResolutionError"), _MALFORMED),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _EXPIRED),
    **dict.fromkeys(("AuthorizationHeaderMalformed", "PermanentRedirect", "301"), _ELSEWHERE),
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "InternalError", "TooManyRequests", "429", "500", "502", "503", "504"),
        _FAILING,
    ),
    "RequestTimeTooSkewed": ("this machine's clock is wrong", "set it right"),
    **dict.fromkeys(
        ("SSLError", "ClientConnectorCertificateError", "ClientConnectorSSLError"),
        (
            "TLS fails",
            "see whether AWS_ENDPOINT_URL begins with the right one of https:// and http://, and AWS_CA_BUNDLE",
        ),
    ),
    "ProfileNotFound": ("AWS_PROFILE names no profile", "set it right"),
    **dict.fromkeys(
        (
            "AccessDenied",
            "403",
            "Forbidden",
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "InvalidToken",
            "AllAccessDisabled",
            "AccountProblem",
        ),
        _DENIED,
    ),
    **dict.fromkeys(
        (
            "EndpointConnectionError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ConnectionClosedError",
            "HTTPClientError",
            "ConnectionError",
            "FSTimeoutError",
            "TimeoutError",
            "ClientConnectorError",
            "ServerDisconnectedError",
            "ClientPayloadError",
            "ClientOSError",
        ),
        _UNREACHABLE,
    ),
}


def _code_of(error: BaseException) -> str:
    """What an error is called: by the store where it says so, else by its class."""
    answered: BaseException | None = error
    while answered is not None:
        response = getattr(answered, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code"))
        answered = answered.__cause__
    return "AccessDenied" if isinstance(error, PermissionError) else type(error).__name__


def _stamp_of(info: dict[str, Any]) -> Stamp:
    """Of an answer to HEAD, or of an entry of a listing."""
    return Stamp(str(info["ETag"]).strip('"'), info["LastModified"].timestamp())
