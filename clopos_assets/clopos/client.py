"""The reads of the Clopos Open API that this project needs, in the version of the connection, for one event loop.

Every answer is judged by `verdict`, every request takes a slot of the quota, and what comes back is decoded
exactly. Rows, tables and days belong to the callers.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date
from types import TracebackType
from typing import TypeVar

from clopos_assets.clopos.connection import Connection
from clopos_assets.clopos.decode import encode_json
from clopos_assets.clopos.errors import CloposAnswerError, CloposRefusedError
from clopos_assets.clopos.listing import (
    Item,
    Listing,
    Page,
    read_by_days,
    read_id,
    read_listing,
    read_objects,
    read_page,
)
from clopos_assets.clopos.patience import Patience, TryAgainError, tries
from clopos_assets.clopos.question import Question
from clopos_assets.clopos.quota import Priority, Quota
from clopos_assets.clopos.quotas import Quotas
from clopos_assets.clopos.reply import Reply, read_reply, refusal, refusal_of_new_token
from clopos_assets.clopos.stock import StockAnswer, read_held, read_told
from clopos_assets.clopos.token import Grant, TokenCache, authenticate
from clopos_assets.clopos.verdict import Kind
from clopos_assets.clopos.wire import Answer, NoAnswerError, Wire

T = TypeVar("T")

# "Typically 200" at most, 50 by default: https://developer.clopos.com/api-reference/v2/receipts/get-receipts
_LARGEST_PAGE = 200
_USUAL_PAGE = 50
# The page names `created_at` among what can be sorted by, "e.g.", and answers list `id`, which has no ties.
_BEST_ORDER = "id"
_USUAL_ORDER = "created_at"

_log = logging.getLogger(__name__)


class Clopos:
    """A client, to be used as an async context manager. Quota, tokens and patience may be shared with others.

    `on_wait` is told, in seconds and words, of each pause before another try, and of each wait of a request for the
    quota that lasts a second or more. All reads raise CloposRefusedError and CloposAnswerError (final) and
    CloposUnavailableError (a later run may succeed).
    """

    def __init__(
        self,
        connection: Connection,
        *,
        quota: Quota | Quotas,
        tokens: TokenCache,
        on_wait: Callable[[float, str], None] | None = None,
        priority: Priority = Priority.URGENT,
        patience: Patience | None = None,
    ) -> None:
        self._connection = connection
        self._quota = quota
        self._tokens = tokens
        self._dialect = connection.dialect
        self._on_wait = on_wait
        self._priority = priority
        self._patience = patience if patience is not None else Patience()
        self._wire = Wire(connection)
        self._in_flight = asyncio.Semaphore(connection.max_in_flight)
        self._page_size = min(_LARGEST_PAGE, connection.dialect.largest_page)
        self._order = _BEST_ORDER
        self._requests = 0

    async def __aenter__(self) -> "Clopos":
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, error, trace)

    @property
    def receipts_hold_operations(self) -> bool:
        """Whether stock operations are a field of the receipt (v1), and not an endpoint of their own."""
        return self._dialect.receipts_hold_operations

    @property
    def shows_deleted(self) -> bool:
        """Whether a deleted receipt stays where it was, marked as deleted (v1), and is not gone."""
        return self._dialect.shows_deleted

    @property
    def requests(self) -> int:
        """Requests sent that count against the quota: repeats are in, authentications are not."""
        return self._requests

    @property
    def waited_seconds(self) -> float:
        """How long requests were kept waiting for the quota, by whichever client shares it."""
        return self._quota.waited_seconds

    async def list_receipts(
        self,
        *,
        created_from: date,
        created_to: date,
        venue_id: int | None,
        convert: Callable[[list[Item]], T],
    ) -> Listing[T]:
        """All receipts created on the days from `created_from` to `created_to`, both inclusive, with their lines.

        The days are those of `created_at`, not shift dates. `convert` turns each page's receipts into what is kept
        of them; see `read_listing` and `read_by_days`.
        https://developer.clopos.com/api-reference/v2/receipts/get-receipts
        """
        if created_from > created_to:
            raise ValueError("created_from is after created_to")

        async def list_days(first: date, last: date) -> Listing[T]:
            name = f"GET {self._dialect.address('/receipts')} ({first} to {last}{_of_venue(venue_id)})"

            async def fetch(number: int) -> Page:
                def target() -> str:
                    return self._dialect.list_receipts(
                        page=number, limit=self._page_size, sort=self._order, direction=1, created=(first, last)
                    )

                return await self._ask_page(target, name, venue_id, is_first=number == 1, can_reorder=True)

            return await self._read_listing(fetch, convert, name, can_be_cut=first < last)

        return await read_by_days(list_days, created_from, created_to)

    async def list_last_changed(self, page: int, venue_id: int | None) -> Page:
        """One page, counted from 1, of all receipts of the venue with their lines, the one changed last first.

        By `updated_at`, whatever the days of creation; how equal times follow each other is not documented. What a
        page holds moves on to the next as the list changes while it is read.
        https://developer.clopos.com/api-reference/v2/receipts/get-receipts
        """
        name = f"GET {self._dialect.address('/receipts')} (last changed, page {page}{_of_venue(venue_id)})"

        def target() -> str:
            return self._dialect.list_receipts(page=page, limit=self._page_size, sort="updated_at", direction=-1)

        return await self._ask_page(target, name, venue_id, is_first=page == 1)

    async def _ask_page(
        self, target: Callable[[], str], name: str, venue_id: int | None, *, is_first: bool, can_reorder: bool = False
    ) -> Page:
        """A page, asked for in another way where the way of asking is refused: there are two such ways.

        What is refused of a later page is not its size, which the first one had, too.
        """
        for _ in range(2):
            # As this request asks: while it is under way, another may have found out that this is refused.
            size, order = self._page_size, self._order
            try:
                return read_page((await self._ask(target(), name, venue_id)).read(), name)
            except CloposRefusedError as error:
                self._ask_differently(error, size if is_first else _USUAL_PAGE, order if can_reorder else _USUAL_ORDER)
        return read_page((await self._ask(target(), name, venue_id)).read(), name)

    def _ask_differently(self, error: CloposRefusedError, size: int, order: str) -> None:
        """Ask for pages of the usual size, or in the usual order, from now on, if this size or order is what was
        refused and is another; else raise the refusal again.

        Numbers of pages are as the API counts them, so that a refusal that speaks of pages is about the size, too.
        """
        if error.parameter in ("limit", "page") and size != _USUAL_PAGE:
            _log.info("Clopos refuses pages of %d; reading pages of %d", size, _USUAL_PAGE)
            self._page_size = _USUAL_PAGE
        elif error.parameter == "sort" and order != _USUAL_ORDER:
            _log.info("Clopos refuses to sort by %s; reading by %s", order, _USUAL_ORDER)
            self._order = _USUAL_ORDER
        else:
            raise error

    async def get_receipt(self, receipt_id: int, venue_id: int | None) -> Item | None:
        """One receipt with its lines; None where Clopos says that this brand and venue have none of that id.

        https://developer.clopos.com/api-reference/v2/receipts/get-receipt-by-id
        """
        name = f"GET {self._dialect.address(f'/receipts/{receipt_id}')}{_in_venue(venue_id)}"
        target = self._dialect.get_receipt(receipt_id)
        reply = await self._ask(target, name, venue_id, one_resource=True)
        return None if reply.verdict.kind is Kind.ABSENT else _read_receipt(reply.read(), receipt_id, name)

    async def get_stock_operations(self, receipt_id: int, venue_id: int | None) -> StockAnswer | None:
        """What the receipt's products took from stock; None where there is no such receipt.

        https://developer.clopos.com/api-reference/v2/receipts/get-receipt-stock-operations
        """
        target = self._dialect.get_operations(receipt_id)
        name = f"GET {target}{_in_venue(venue_id)}"
        reply = await self._ask(target, name, venue_id, one_resource=True)
        if reply.verdict.kind is Kind.ABSENT:
            return None
        if self.receipts_hold_operations:
            held = {"data": _read_receipt(reply.read(), receipt_id, name).get("stock_operations")}
            return StockAnswer(read_held(held, name), encode_json(held).encode())
        return StockAnswer(read_told(reply.read(), name), reply.answer.body)

    async def list_venues(self) -> list[Item]:
        """The brand's venues, by v2. https://developer.clopos.com/api-reference/v2/venues/get-venues

        The list is documented without pages, so it is asked for without; where the answer counts more venues than
        it holds, pages are read.
        """
        target = self._dialect.address("/venues")
        name = f"GET {target}"
        envelope = (await self._ask(target, name, None)).read()
        whole = read_page({**envelope, "total": len(read_objects(envelope, name))}, name)
        if envelope.get("total") is None or read_id(envelope["total"]) == whole.total:
            return whole.items

        async def fetch(number: int) -> Page:
            page = f"{target}?page={number}&limit={self._page_size}"
            return read_page((await self._ask(page, name, None)).read(), name)

        listing = await self._read_listing(fetch, list, name)
        return [venue for part in listing.parts for venue in part]

    async def _read_listing(
        self,
        fetch: Callable[[int], Awaitable[Page]],
        convert: Callable[[list[Item]], T],
        name: str,
        *,
        can_be_cut: bool = False,
    ) -> Listing[T]:
        return await read_listing(
            fetch,
            convert,
            name=name,
            concurrency=self._connection.max_in_flight,
            pause_seconds=self._connection.backoff_seconds,
            can_be_cut=can_be_cut,
        )

    async def _ask(
        self,
        target: str,
        name: str,
        venue_id: int | None,
        *,
        one_resource: bool = False,
    ) -> Reply:
        """The good answer to a GET, or its absence; tried again, within bounds, where that may help."""
        if venue_id is None and self._dialect.needs_venue:
            raise CloposRefusedError(
                f"{name}: {self._dialect.version} of the API takes one venue at a time: name the venues by id in "
                "CLOPOS_VENUE_IDS, such as 1,2"
            )
        question = Question(target, name, venue_id, one_resource)
        self._patience.check()
        failure: TryAgainError | None = None
        try:
            return await self._try(question)
        except TryAgainError as error:
            failure = error
        reply: Reply | None = None
        async for attempt in tries(self._connection, name, self._on_wait, self._patience):
            with attempt:
                if failure is not None:  # of the first try, made above: most requests need no other
                    told, failure = failure, None
                    raise told
                reply = await self._try(question)
        assert reply is not None, "the tries end with a reply or an exception"
        return reply

    async def _try(self, question: Question) -> Reply:
        """One try: a token that Clopos no longer takes is renewed once, all else ends the try.

        A new one that is not taken either is final, unless it has been taken meanwhile.
        """
        reply, token = await self._send(question)
        if reply.verdict.kind is Kind.REAUTHENTICATE:
            self._tokens.invalidate(token)
            reply, token = await self._send(question)
        match reply.verdict.kind:
            case Kind.OK | Kind.ABSENT:
                self._patience.renew()
                self._tokens.accept(token)
                return reply
            case Kind.RETRY:
                is_quota = reply.answer.status == 429
                raise TryAgainError(
                    reply.verdict.text,
                    reply.verdict.wait_seconds,
                    is_quota=is_quota,
                    maybe_elsewhere=reply.verdict.maybe_elsewhere,
                )
            case Kind.REAUTHENTICATE:
                if self._may_another_be_taken(question, token):
                    raise TryAgainError(reply.verdict.text)
                raise refusal_of_new_token(question.name, reply.verdict, self._dialect)
            case _:
                # Also where it is final: the next run gets a new token, for this may be an old one of another process.
                if reply.verdict.may_be_token and self._may_another_be_taken(question, token):
                    raise TryAgainError(reply.verdict.text)
                raise refusal(question.name, reply.verdict)

    def _may_another_be_taken(self, question: Question, token: str) -> bool:
        """Whether a refused token, which is given up, was good for others before; asked once of a question."""
        self._tokens.invalidate(token)
        question.refused_tokens.add(token)
        return self._tokens.was_accepted(token) and len(question.refused_tokens) == 1

    async def _send(self, question: Question) -> tuple[Reply, str]:
        """One request in its slot, its answer judged, and the token that it carried."""
        async with self._in_flight:
            # Authenticating may take long, and a slot is not held for long before it is used.
            await self._token(question.venue_id)
            async with self._quota.slot(self._on_wait, self._priority) as slot:
                try:
                    token = await self._token(question.venue_id)
                    if slot.is_late:
                        raise TryAgainError("the token ended, and it took long to get another")
                except BaseException:
                    slot.cancel()
                    raise
                self._requests += 1
                try:
                    with self._patience.spending():
                        answer = await self._wire.send(question.to_request(self._connection, token))
                except NoAnswerError as error:
                    failure = TryAgainError(str(error), maybe_elsewhere=error.maybe_elsewhere)
                else:
                    told = self._dialect.read_headers(answer.headers)
                    if answer.status == 429:
                        slot.refuse(told)
                    else:
                        slot.settle(told)
                    return self._read(question, answer, token), token
        raise failure

    def _read(self, question: Question, answer: Answer, token: str) -> Reply:
        _log.debug("%s: HTTP %d, %d bytes", question.name, answer.status, len(answer.body))
        return read_reply(
            answer,
            secrets=(self._connection.client_secret, token),
            dialect=self._dialect,
            venue_id=question.venue_id,
            one_resource=question.one_resource,
        )

    async def _token(self, venue_id: int | None) -> str:
        whose = venue_id if self._dialect.needs_venue else None

        async def ask() -> Grant:
            return await authenticate(self._wire, self._connection, self._on_wait, whose, self._patience)

        return await self._tokens.get(self._connection, ask, whose)


def _read_receipt(envelope: Item, receipt_id: int, name: str) -> Item:
    receipt = envelope.get("data")
    if not isinstance(receipt, dict) or read_id(receipt.get("id")) != receipt_id:
        raise CloposAnswerError(f"{name}: data is not that receipt; Clopos has to mend this")
    return receipt


def _of_venue(venue_id: int | None) -> str:
    return "" if venue_id is None else f", venue {venue_id}"


def _in_venue(venue_id: int | None) -> str:
    return "" if venue_id is None else f" (venue {venue_id})"
