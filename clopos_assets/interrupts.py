"""That whoever ends a run is heard in the midst of a step. No Dagster.

Dagster's handler raises wherever the process happens to be, and not all of that code lets an exception through.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

_Handlers = dict[signal.Signals, Callable[[int, FrameType | None], object]]


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, with SIGINT and SIGTERM as asyncio takes them: they cancel `main`, and what handled them before
    is called when that has ended.

    In a callback of the event loop asyncio takes what is raised for that callback's own failure, or for a connection
    that broke, and goes on.
    """
    handlers = _handlers()
    if not handlers:
        return asyncio.run(main)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio puts its own in the place of this one only
    if signal.SIGTERM in handlers:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return asyncio.run(main)
    except KeyboardInterrupt:
        _set(handlers)
        signal.raise_signal(signal.SIGINT)
        raise
    finally:
        _set(handlers)


def insist(makings: Iterator[T]) -> Iterator[T]:
    """Give the makings unchanged, and raise an interrupt that came while one was made, even if that swallowed it:
    Python ignores what is raised in a finalizer, DuckDB hides it in an error of its own.
    """
    while True:
        with _heard():
            try:
                made = next(makings)
            except StopIteration:
                return
        yield made


@contextmanager
def _heard() -> Iterator[None]:
    handlers = _handlers()
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        came = True
        handlers[signal.Signals(number)](number, frame)

    _set(dict.fromkeys(handlers, note))
    try:
        yield
    except BaseException:
        if not came:
            raise
    finally:
        _set(handlers)
    if came:
        raise KeyboardInterrupt


def _handlers() -> _Handlers:
    """What handles the signals that end a run; nothing where no signal does, or none reaches this thread."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        return {}
    ending = (signal.SIGINT, signal.SIGTERM)
    return {number: handler for number in ending if signal.getsignal(number) == handler}


def _set(handlers: _Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
