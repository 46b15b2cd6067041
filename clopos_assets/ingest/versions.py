"""Which version of a receipt something belongs to: a hash of all its listed fields, kept in a file's notes.

The receipts' file says which versions it holds; the stock operations' file says for which versions of the
receipts they were read. Equal versions need no request.
"""

import base64
import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping

import msgspec

Version = bytes
Versions = dict[int, Version]

_NOTE = "versions"
_UNTOLD = "untold"
_PAIR = struct.Struct("<q8s")


def version_of(content: object) -> Version:
    """The version of a receipt: of its shift date, of what its row and lines say by column (times of reading left out),
    and under v1 of the operations that it brought along.

    Where a newer version of this package adds a column, a receipt that has nothing in it keeps its version.
    """
    return hashlib.blake2b(msgspec.msgpack.encode(content), digest_size=8).digest()


def staged_as(receipt_id: int, version: Version) -> str:
    """The name under which the operations of a version wait for their table."""
    return f"{receipt_id}.{version.hex()}.json"


def write_untold(receipt_ids: Iterable[int]) -> dict[str, str]:
    """The note of receipts whose operations the API did not tell, by id or in the list."""
    text = ",".join(map(str, sorted(receipt_ids)))
    return {_UNTOLD: text} if text else {}


def read_untold(notes: Mapping[str, str]) -> set[int]:
    """The receipts that a partition's notes name as not told."""
    return {int(part) for part in notes.get(_UNTOLD, "").split(",") if part.isdecimal()}


def write_versions(versions: Mapping[int, Version]) -> dict[str, str]:
    """The note to file with a partition."""
    packed = b"".join(_PAIR.pack(receipt_id, version) for receipt_id, version in sorted(versions.items()))
    return {_NOTE: base64.b64encode(zlib.compress(packed)).decode()}


def read_versions(notes: Mapping[str, str]) -> Versions:
    """The versions in a partition's notes; a receipt without one counts as changed."""
    note = notes.get(_NOTE)
    if note is None:
        return {}
    try:
        return dict(_PAIR.iter_unpack(zlib.decompress(base64.b64decode(note))))
    except (ValueError, zlib.error, struct.error):
        return {}
