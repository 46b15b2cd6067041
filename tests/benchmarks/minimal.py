"""A named yardstick: the least that fetches a shift date exactly, in bare asyncio, msgspec and pyarrow.

Raw HTTP/1.1 over asyncio's streams, one connection per worker; answers decoded by msgspec straight into what is
written, decimals digit by digit; three Parquet tables by pyarrow's own choices. It checks no total, tries nothing
again, keeps to no quota, files nothing by shift date, tells no version from another and can't continue: those are what
a pipeline adds. It shares nothing with the package.
"""

import asyncio
import os
from collections.abc import Iterator
from decimal import Decimal
from math import ceil
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

IN_FLIGHT = 16
PAGE = 200

Number = Decimal | None
Text = str | None
Whole = int | None


class Named(msgspec.Struct):
    """What is shown of a product."""

    name: Text = None
    type: Text = None
    barcode: Text = None


class Sold(msgspec.Struct):
    """A line's `meta`."""

    product: Named = msgspec.field(default_factory=Named)


class Line(msgspec.Struct):
    """A receipt's line."""

    id: int
    cid: Text = None
    product_id: Whole = None
    is_gift: bool | None = None
    count: Number = None
    portion_size: Number = None
    price: Number = None
    subtotal: Number = None
    total: Number = None
    discount_type: Whole = None
    discount_value: Number = None
    discount_rate: Number = None
    total_discount: Number = None
    receipt_discount: Number = None
    loyalty_type: Text = None
    loyalty_value: Number = None
    modificators: msgspec.Raw = msgspec.Raw(b"null")
    meta: Sold = msgspec.field(default_factory=Sold)
    created_at: Text = None
    updated_at: Text = None


class Payment(msgspec.Struct):
    """One of a receipt's payments."""

    id: Whole = None
    name: Text = None
    amount: Number = None


class Receipt(msgspec.Struct):
    """A receipt with its lines."""

    id: int
    venue_id: int
    shift_date: str
    cid: Text = None
    customer_id: Whole = None
    sale_type_id: Whole = None
    source: Text = None
    guests: Whole = None
    status: Whole = None
    order_status: Text = None
    order_number: Text = None
    lock: bool | None = None
    total: Number = None
    subtotal: Number = None
    discount_type: Whole = None
    discount_value: Number = None
    discount_rate: Number = None
    total_discount: Number = None
    service_charge: Number = None
    service_charge_value: Number = None
    delivery_fee: Number = None
    remaining: Number = None
    i_tax: Number = None
    e_tax: Number = None
    total_tax: Number = None
    payment_methods: list[Payment] = []
    fiscal_id: Text = None
    loyalty_type: Text = None
    loyalty_value: Number = None
    address: Text = None
    description: Text = None
    created_at: Text = None
    updated_at: Text = None
    closed_at: Text = None
    receipt_products: list[Line] = []


class Storage(msgspec.Struct):
    """Where a stock lies."""

    name: Text = None


class Stock(msgspec.Struct):
    """The stock that was deducted from."""

    storage: Storage = msgspec.field(default_factory=Storage)


class Operation(msgspec.Struct):
    """A deduction."""

    id: int
    receipt_id: int
    receipt_product_id: Whole
    product_id: int
    stock_id: int
    storage_id: int
    quantity: Decimal
    before_quantity: Decimal
    after_quantity: Decimal
    cost: Decimal
    total_cost: Decimal
    operated_at: str
    operation_id: Whole = None
    before_cost: Number = None
    product: Named = msgspec.field(default_factory=Named)
    stock: Stock = msgspec.field(default_factory=Stock)


class Receipts(msgspec.Struct):
    """A page of the list."""

    data: list[Receipt]
    total: int


class Operations(msgspec.Struct):
    """The operations of a receipt."""

    data: list[Operation]


_PAGE = msgspec.json.Decoder(Receipts)
_OPERATIONS = msgspec.json.Decoder(Operations)
_DECIMAL = pa.decimal128(18, 6)
_PAYMENTS = pa.list_(pa.struct([("id", pa.int64()), ("name", pa.string()), ("amount", _DECIMAL)]))
_TYPES = {int: pa.int64(), Whole: pa.int64(), bool | None: pa.bool_(), Decimal: _DECIMAL, Number: _DECIMAL}


class Api:
    """The API at an address, over as many connections as requests are under way; `token` goes with every request."""

    def __init__(self, settings: dict[str, str]) -> None:
        url = urlsplit(settings["CLOPOS_BASE_URL"])
        assert url.hostname is not None
        self._host, self._port, self._path = url.hostname, url.port or 80, url.path
        self._settings = settings
        self.token = ""
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def authenticate(self) -> None:
        """Get the token that every request carries."""
        names = ("client_id", "client_secret", "brand", "integrator_id")
        credentials = msgspec.json.encode({name: self._settings[f"CLOPOS_{name.upper()}"] for name in names})
        answer = msgspec.json.decode(await self.ask("POST", "/v2/auth", credentials))
        self.token = answer["token"]

    async def ask(self, method: str, target: str, body: bytes = b"") -> bytes:
        """The body of a good answer."""
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection(self._host, self._port)
        head = f"{method} {self._path}{target} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        head += f"Accept: application/json\r\nx-token: {self.token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        said = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not said.startswith(b"http/1.1 200"):
            raise RuntimeError(f"{target}: {said.splitlines()[0].decode()}")
        answer = await reader.readexactly(int(said.split(b"content-length:")[1].split(b"\r\n")[0]))
        self._idle.append((reader, writer))
        return answer

    async def close(self) -> None:
        """Let the connections go."""
        for _, writer in self._idle:
            writer.close()


async def _read(api: Api, day: str) -> tuple[list[Receipt], list[Operation]]:
    query = f"sort[0]=id&sort[1]=1&limit={PAGE}&date[0]={day}&date[1]={day}&with[0]=receipt_products"
    query += "&with[1]=receipt_products.modificators"
    await api.authenticate()
    first = _PAGE.decode(await api.ask("GET", f"/v2/receipts?page=1&{query}"))
    receipts = first.data
    operations: list[Operation] = []

    async def list_pages(numbers: Iterator[int]) -> None:
        for number in numbers:
            receipts.extend(_PAGE.decode(await api.ask("GET", f"/v2/receipts?page={number}&{query}")).data)

    async def ask_operations(waiting: Iterator[Receipt]) -> None:
        for receipt in waiting:
            answer = await api.ask("GET", f"/v2/receipts/{receipt.id}/stock-operations")
            operations.extend(_OPERATIONS.decode(answer).data)

    pages = iter(range(2, ceil(first.total / PAGE) + 1))
    await asyncio.gather(*(list_pages(pages) for _ in range(IN_FLIGHT)))
    waiting = iter([receipt for receipt in receipts if receipt.shift_date == day])
    await asyncio.gather(*(ask_operations(waiting) for _ in range(IN_FLIGHT)))
    await api.close()
    return receipts, operations


def _table(rows: list[Receipt] | list[Line] | list[Operation], kind: type[msgspec.Struct]) -> dict[str, pa.Array]:
    """The columns of plain fields, typed; texts that are times as times."""
    columns = {}
    for field in msgspec.structs.fields(kind):
        if field.type in _TYPES:
            columns[field.name] = pa.array([getattr(row, field.name) for row in rows], type=_TYPES[field.type])
        elif field.type in (str, Text):
            texts = pa.array([getattr(row, field.name) for row in rows], type=pa.string())
            columns[field.name] = texts.cast(pa.timestamp("us")) if field.name.endswith("_at") else texts
    return columns


def _write(root: Path, receipts: list[Receipt], operations: list[Operation]) -> None:
    lines = [line for receipt in receipts for line in receipt.receipt_products]
    payments = [[msgspec.structs.asdict(paid) for paid in receipt.payment_methods] for receipt in receipts]
    tables = {
        "receipts": _table(receipts, Receipt) | {"payment_methods": pa.array(payments, type=_PAYMENTS)},
        "receipt_products": _table(lines, Line)
        | {
            "receipt_id": pa.array([receipt.id for receipt in receipts for _ in receipt.receipt_products]),
            "product_name": pa.array([line.meta.product.name for line in lines]),
            "product_type": pa.array([line.meta.product.type for line in lines]),
            "product_barcode": pa.array([line.meta.product.barcode for line in lines]),
            "modificators": pa.array([bytes(line.modificators) for line in lines]).cast(pa.string()),
        },
        "stock_operations": _table(operations, Operation)
        | {
            "product_name": pa.array([operation.product.name for operation in operations]),
            "storage_name": pa.array([operation.stock.storage.name for operation in operations]),
        },
    }
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), root / f"{name}.parquet")


def fetch(root: Path, api: type[Api] = Api) -> None:
    """The receipts, lines and stock operations of the first shift date, as three files in `root`."""
    settings = dict(os.environ)
    receipts, operations = asyncio.run(_read(api(settings), settings["CLOPOS_START_DATE"]))
    _write(root, receipts, operations)
