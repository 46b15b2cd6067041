"""One line of what the doctor says, and the bound within which it has to be found."""

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTimeError
from dataclasses import dataclass
from threading import Thread
from time import monotonic


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is in order, and what it is like or what to do about it: one line, no secret."""

    what: str
    is_ok: bool
    text: str


class Examination:
    """Finds lines in a thread of its own, which nobody has to wait for longer than `seconds`.

    `find` adds them to the list it is given, so that what was found in time is told. `what` names the line to say
    that it took too long.
    """

    def __init__(self, what: str, seconds: float, find: Callable[[list[Finding]], None]) -> None:
        self._what = what
        self._seconds = seconds
        self._found: list[Finding] = []
        self._end: Future[None] = Future()
        self._give_up_at = monotonic() + seconds
        self.is_over = False
        # A daemon: what hangs, such as the connection to a database, keeps no process from ending.
        Thread(target=self._run, args=(find,), daemon=True).start()

    def _run(self, find: Callable[[list[Finding]], None]) -> None:
        try:
            find(self._found)
        except BaseException as error:
            self._end.set_exception(error)
        else:
            self._end.set_result(None)

    def findings(self) -> list[Finding]:
        """What was found, after waiting for it; an unexpected error is raised here."""
        try:
            self._end.result(timeout=max(0.0, self._give_up_at - monotonic()))
        except NotInTimeError:
            if self._end.done():
                raise  # an error of the examination itself
            return [
                *self._found,
                Finding(self._what, False, f"no answer within {self._seconds:.0f} s: try again later"),
            ]
        self.is_over = True
        return self._found
