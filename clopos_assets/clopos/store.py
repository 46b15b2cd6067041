"""Small states that clients share: each is read, changed and written under a lock, on a clock that all of them see.

The seam (`Store`), its form for one process (`MemoryStore`) and for the processes of one machine (`FileStore`);
`postgres` has the one for many machines. What the states mean is their owners' business.
"""

import asyncio
import fcntl
import os
import struct
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Protocol, TypeVar

import msgspec

from clopos_assets.clopos.errors import CloposUnavailableError

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T")

_LOCK_SECONDS = 10.0
_LOCK_POLL_SECONDS = 0.0005
_KEPT_SECONDS = 30 * 86_400.0
# A mark, the length of what follows, and its checksum.
_HEAD = struct.Struct("<4sII")
_MARK = b"clo1"
# States are a few thousand bytes; a file larger than this is somebody else's.
_LARGEST_BYTES = 16 * 1024 * 1024


class Store(Protocol):
    """Where states live. A state is a struct whose fields all have defaults."""

    async def change(self, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
        """Let `turn` change the state of that name, alone, and give what it returns.

        `turn` gets the state, new where there is none or where what is stored is damaged, and the time in seconds
        of the store's clock, which never goes back, counts from anywhere and is the same for all that share the
        store. It must be quick, and may be run again. Raises CloposUnavailableError where the store can't be used.
        """
        ...


class MemoryStore:
    """For the threads and event loops of one process; nothing is written anywhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._states: dict[str, msgspec.Struct] = {}

    async def change(self, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
        """See `Store`."""
        with self._lock:
            state = self._states.setdefault(name, kind())
            assert isinstance(state, kind), "a name is of one kind"
            return turn(state, self._clock())


def hashed(*parts: str) -> str:
    """A name that tells apart what it was made from, and tells nothing of it."""
    return sha256("".join(f"{len(part)}:{part}" for part in parts).encode()).hexdigest()[:32]


class _Record(msgspec.Struct, array_like=True):
    """What a file holds: when it was written by the machine's clock since which boot, by the store's, and the state."""

    boot: str
    machine: float
    now: float
    body: bytes


@dataclass(frozen=True)
class FileStore:
    """For the processes of one machine: a file for each state in `folder`, readable to its owner alone (0600 in 0700).

    The file itself is locked; its holder's death frees it, and a write that death cuts short is found out and the
    state started anew. The clock is the machine's time since its boot, which nobody sets; across a boot it goes on by
    the time since then, which is less than has passed. Network file systems have no such clock: not for them.
    """

    folder: Path

    async def change(self, name: str, kind: type[S], turn: Callable[[S, float], T]) -> T:
        """See `Store`."""
        give_up = time.monotonic() + _LOCK_SECONDS
        try:
            while (file := self._open_locked(name)) is None:
                if time.monotonic() > give_up:
                    raise CloposUnavailableError(
                        f"{self.folder / name} stays locked by another process; see what holds it, and run again"
                    )
                await asyncio.sleep(_LOCK_POLL_SECONDS)
            try:
                if os.fstat(file).st_size == 0:
                    self._remove_old()
                return _change(file, kind, turn)
            finally:
                os.close(file)
        except OSError as error:
            raise CloposUnavailableError(
                f"{self.folder}, where processes share the request quota, can't be used ({error.strerror}): "
                "see that it is a folder in which this user can read and write, and run again"
            ) from None

    def _remove_old(self) -> None:
        """Another brand, address or secret makes another file: those that nobody has used for long go."""
        for file in self.folder.iterdir():
            with suppress(FileNotFoundError):  # another process removes them, too
                if file.stat().st_mtime < time.time() - _KEPT_SECONDS:
                    file.unlink()

    def _open_locked(self, name: str) -> int | None:
        """The open file, held; None while somebody else holds it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            file = os.open(self.folder / name, flags, 0o600)
        except FileNotFoundError:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = os.open(self.folder / name, flags, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        return file


def _change(file: int, kind: type[S], turn: Callable[[S, float], T]) -> T:
    """One turn on an open file that is held."""
    status = os.fstat(file)
    if status.st_mode & 0o077:
        os.fchmod(file, 0o600)
    boot, machine = _boot_id(), machine_seconds()
    record = _read(file, status.st_size)
    state = decode_state(kind, record.body) if record is not None else None
    if record is None:
        now = 0.0
    elif record.boot == boot and record.machine <= machine:
        now = record.now + (machine - record.machine)
    else:
        now = record.now + machine
    if state is None:
        state = kind()
    given = turn(state, now)
    body = msgspec.msgpack.encode(state)
    if record is None or body != record.body:
        written = msgspec.msgpack.encode(_Record(boot, machine, now, body))
        # In place and at once: another name would have to be locked, and a rename flushes to the disk each time.
        os.pwrite(file, _HEAD.pack(_MARK, len(written), zlib.crc32(written)) + written, 0)
    return given


def _read(file: int, size: int) -> _Record | None:
    """What was last written, or None where that is nothing, cut short or not ours."""
    if not _HEAD.size < size <= _LARGEST_BYTES:
        if size > _LARGEST_BYTES:
            os.ftruncate(file, 0)
        return None
    content = os.pread(file, size, 0)
    mark, length, check = _HEAD.unpack_from(content)
    written = content[_HEAD.size : _HEAD.size + length]
    if mark != _MARK or len(written) != length or zlib.crc32(written) != check:
        return None
    return decode_state(_Record, written)


def decode_state(kind: type[S], body: bytes) -> S | None:
    """What was stored; None where it is damaged, or of another kind."""
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def machine_seconds() -> float:
    """Time since the machine's boot: the same for all processes, set by nobody, and going on while it sleeps."""
    clock: int | None = getattr(time, "CLOCK_BOOTTIME", None)  # Linux; elsewhere the monotonic clock is the system's
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def _boot_id() -> str:
    """Tells one boot from another where the system says so; elsewhere a clock that went back does."""
    global _this_boot
    if _this_boot is None:
        try:
            _this_boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        except OSError:
            _this_boot = ""
    return _this_boot


_this_boot: str | None = None
