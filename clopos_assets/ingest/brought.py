"""Stock operations that receipts brought along, on their way from the listing to their own table.

Under v1 operations are a field of the receipt. They wait beside the tables, by version of the receipt, until
`stock_operations` is made; where they are lost on the way, the API is asked for them by id.
"""

import zlib
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from clopos_assets.clopos.decode import encode_json
from clopos_assets.lake import Lake

_KIND = "stock_operations.listed"


def pack_operations(item: Mapping[str, object]) -> bytes | None:
    """What a receipt says of its operations; None where it does not speak of them.

    The same operations in another order give the same bytes.
    """
    said = item.get("stock_operations")
    if said is None:
        return None
    if isinstance(said, list):
        said = sorted(said, key=encode_json)
    return zlib.compress(encode_json({"data": said}).encode(), level=1)


def stage_operations(lake: Lake, brought: Iterable[tuple[str, str, bytes]]) -> None:
    """Keep what `pack_operations` packed, by shift date and staged name, until its table is made.

    One file per shift date and content, so that runs that touch the same date don't write over each other.
    """
    lines: dict[str, list[bytes]] = {}
    for shift_date, name, packed in brought:
        lines.setdefault(shift_date, []).append(name.encode() + b" " + zlib.decompress(packed))
    for shift_date, held in lines.items():
        body = b"\n".join(sorted(held))
        lake.stage(_KIND, shift_date, f"{blake2b(body, digest_size=8).hexdigest()}.json", body)


def staged_operations(lake: Lake, shift_date: str, *, newer_than: float) -> dict[str, bytes]:
    """What is kept for a shift date since a unix time, by staged name, as `read_stock_operations` takes it."""
    brought: dict[str, bytes] = {}
    for body in lake.staged(_KIND, shift_date, newer_than=newer_than).values():
        for line in body.split(b"\n"):
            name, _, answer = line.partition(b" ")
            brought[name.decode(errors="replace")] = answer
    return brought


def unstage_operations(lake: Lake, shift_date: str) -> None:
    """Forget what was kept for a shift date: it is in its table now."""
    lake.unstage(_KIND, shift_date)
