"""Running what is asynchronous in a step of a run, so that whoever ends the run is heard. No Dagster."""

import asyncio
import signal
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_end(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, with SIGINT and SIGTERM as asyncio takes them: they cancel `main`, and what handled them before
    is called when that has ended.

    A handler that raises, as Dagster's does in a step, raises wherever the process happens to be. In a callback of
    the event loop asyncio takes it for that callback's own failure, or for a connection that broke, and goes on.
    """
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or not callable(handlers[signal.SIGINT]):  # nobody is interrupted here
        return asyncio.run(main)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio puts its own in the place of this one only
    if handlers[signal.SIGTERM] == handlers[signal.SIGINT]:
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        return asyncio.run(main)
    except KeyboardInterrupt:
        _restore(handlers)
        signal.raise_signal(signal.SIGINT)
        raise
    finally:
        _restore(handlers)


def _restore(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
