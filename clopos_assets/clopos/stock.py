"""Answers about the stock operations of one receipt: read from the envelope, and from bytes that were kept of it.

https://developer.clopos.com/api-reference/v2/receipts/get-receipt-stock-operations; nothing here asks for them.
"""

from dataclasses import dataclass, field

from clopos_assets.clopos.decode import decode_json
from clopos_assets.clopos.errors import CloposAnswerError
from clopos_assets.clopos.listing import Item, read_id, read_objects
from clopos_assets.clopos.verdict import Kind, judge


@dataclass(frozen=True)
class StockAnswer:
    """The stock operations of one receipt, and bytes from which `read_stock_operations` reads the same again.

    `items` is None where the answer does not speak of operations at all, which v1's example does not.
    """

    items: list[Item] | None
    body: bytes = field(repr=False)


def read_stock_operations(body: bytes) -> list[Item] | None:
    """The items of an answer kept from before, None where it told of none; see `StockAnswer`.

    Raises CloposAnswerError where it is not such an answer.
    """
    name = "a kept answer of stock-operations"
    try:
        envelope = decode_json(body)
    except ValueError as error:
        raise CloposAnswerError(f"{name} is {error}; ask Clopos again") from None
    if not isinstance(envelope, dict) or judge(200, envelope).kind is not Kind.OK:
        raise CloposAnswerError(f"{name} is not a good answer; ask Clopos again")
    return read_held(envelope, name)


def read_held(envelope: Item, name: str) -> list[Item] | None:
    """The operations in an envelope that may hold none of them, which is None. Raises CloposAnswerError."""
    return None if envelope.get("data") is None else read_told(envelope, name)


def read_told(envelope: Item, name: str) -> list[Item]:
    """All operations of a receipt. Raises CloposAnswerError where they are no list, or fewer than the answer counts.

    A `total` is not documented for them: where there is none that can be read, or a smaller one, it says nothing.
    """
    items = read_objects(envelope, name)
    total = read_id(envelope.get("total"))
    if total is None and isinstance(meta := envelope.get("meta"), dict):  # where Laravel's own pages have it
        total = read_id(meta.get("total"))
    if total is not None and total > len(items):
        raise CloposAnswerError(f"{name}: {len(items)} of {total} operations came; Clopos has to mend this")
    return items
