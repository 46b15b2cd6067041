"""A signal ends a step wherever it comes, in a callback of the event loop too, and where a library hides it."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

import duckdb
import pyarrow as pa
import pytest

from clopos_assets.database import connect
from clopos_assets.interrupts import insist, run_to_end

SIGNALS = (signal.SIGINT, signal.SIGTERM)
Handler = Callable[[int, FrameType | None], object] | signal.Handlers
Handle = Callable[[Handler], None]


class _Ended(BaseException):
    """What a handler like Dagster's raises."""


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _Ended


def _note(_number: int, _frame: FrameType | None) -> None:
    """Like Dagster's where it keeps an interrupt for later."""


@pytest.fixture
def handled_by() -> Iterator[Handle]:
    """Sets a handler of both signals, as Dagster does, for one test."""
    before = [signal.getsignal(number) for number in SIGNALS]

    def handle(handler: Handler) -> None:
        for number in SIGNALS:
            signal.signal(number, handler)

    yield handle
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


def _take_notes(notes: list[str]) -> asyncio.Task[None]:
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            notes.append("put in order")

    return asyncio.create_task(work())


def _strike_in_callback(number: signal.Signals) -> None:
    def strike() -> None:
        for strikes in (True, False):  # where it goes round Python looks for signals
            if strikes:
                signal.raise_signal(number)

    asyncio.get_running_loop().call_later(0.01, strike)


@pytest.mark.parametrize("number", SIGNALS)
def test_in_a_callback(handled_by: Handle, number: signal.Signals) -> None:
    handled_by(_end)
    notes: list[str] = []

    async def main() -> None:
        _strike_in_callback(number)
        await _take_notes(notes)

    with pytest.raises(_Ended):
        run_to_end(main())
    assert notes == ["put in order"]
    assert [signal.getsignal(each) for each in SIGNALS] == [_end, _end]


@pytest.mark.parametrize("number", SIGNALS)
def test_while_the_work_is_done(handled_by: Handle, number: signal.Signals) -> None:
    handled_by(_end)
    notes: list[str] = []

    async def main() -> None:
        beside = _take_notes(notes)
        await asyncio.sleep(0)
        signal.raise_signal(number)
        await beside

    with pytest.raises(_Ended):
        run_to_end(main())
    assert notes == ["put in order"]


def test_in_the_last_moment(handled_by: Handle) -> None:
    handled_by(_end)

    async def main() -> None:
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(_Ended):
        run_to_end(main())


def test_kept_for_later_it_ends_the_work_all_the_same(handled_by: Handle) -> None:
    handled_by(_note)

    async def main() -> None:
        _strike_in_callback(signal.SIGINT)
        await asyncio.sleep(60)

    with pytest.raises(KeyboardInterrupt):
        run_to_end(main())
    assert signal.getsignal(signal.SIGINT) == _note


def test_what_is_ignored_stays_so(handled_by: Handle) -> None:
    handled_by(signal.SIG_IGN)

    async def main() -> str:
        for number in SIGNALS:
            signal.raise_signal(number)
        await asyncio.sleep(0)
        return "done"

    assert run_to_end(main()) == "done"


def test_what_is_done_and_what_fails(handled_by: Handle) -> None:
    handled_by(_end)

    async def main(number: int) -> int:
        await asyncio.sleep(0)
        return 12 // number

    assert run_to_end(main(4)) == 3
    with pytest.raises(ZeroDivisionError):
        run_to_end(main(0))
    assert [signal.getsignal(each) for each in SIGNALS] == [_end, _end]


def test_in_another_thread(handled_by: Handle) -> None:
    handled_by(_end)
    done: list[str] = []

    async def main() -> None:
        done.append(threading.current_thread().name)

    thread = threading.Thread(target=lambda: run_to_end(main()), name="beside")
    thread.start()
    thread.join()
    assert done == ["beside"]


class _Finalized:
    """Like the writers of Parquet files, which look after themselves when nobody needs them any more."""

    def __del__(self) -> None:
        for strikes in (True, False):
            if strikes:
                signal.raise_signal(signal.SIGTERM)


# Python tells of what a finalizer raises, here too.
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
def test_in_a_finalizer(handled_by: Handle) -> None:
    handled_by(_end)
    made: list[int] = []

    def makings() -> Iterator[int]:
        for number in range(3):
            if number == 1:
                _Finalized()
            yield number

    with pytest.raises(KeyboardInterrupt):
        made.extend(insist(makings()))
    assert [signal.getsignal(each) for each in SIGNALS] == [_end, _end]


def test_after_the_last(handled_by: Handle) -> None:
    handled_by(_note)

    def makings() -> Iterator[int]:
        yield 1
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        list(insist(makings()))


@pytest.mark.parametrize(
    "hidden",
    [RuntimeError("Query interrupted"), duckdb.InvalidInputException("counting"), ExceptionGroup("", [OSError()])],
)
def test_hidden_in_an_error(handled_by: Handle, hidden: Exception) -> None:
    handled_by(_end)

    def makings() -> Iterator[int]:
        try:
            signal.raise_signal(signal.SIGINT)
        except _Ended:
            raise hidden from None
        yield 1

    with pytest.raises(KeyboardInterrupt):
        list(insist(makings()))


def test_in_a_query(handled_by: Handle) -> None:
    handled_by(_end)

    def makings() -> Iterator[pa.Table]:
        threading.Timer(0.05, signal.raise_signal, [signal.SIGINT]).start()
        yield connect().sql("select sum(a.range) from range(10000000) as a, range(300) as b").to_arrow_table()

    with pytest.raises(KeyboardInterrupt):
        list(insist(makings()))


@pytest.mark.parametrize("error", [RuntimeError("another"), ExceptionGroup("", [ValueError("x")]), SystemExit(3)])
def test_other_failures_stay_what_they_are(handled_by: Handle, error: BaseException) -> None:
    handled_by(_end)

    def makings() -> Iterator[int]:
        yield 1
        raise error

    made = insist(makings())
    assert next(made) == 1
    with pytest.raises(type(error)) as caught:
        next(made)
    assert caught.value is error


def test_without_one_all_are_made(handled_by: Handle) -> None:
    handled_by(_end)
    handlers = []

    def makings() -> Iterator[int]:
        handlers.append(signal.getsignal(signal.SIGINT))
        yield 1
        yield 2

    assert list(insist(makings())) == [1, 2]
    assert handlers != [_end]
    assert [signal.getsignal(each) for each in SIGNALS] == [_end, _end]
