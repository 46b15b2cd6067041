"""What a maker is, and what it is told of the run that it works for."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from clopos_assets.clopos.quota import Priority
from clopos_assets.clopos.store import Store
from clopos_assets.ingest import Made, Refresh
from clopos_assets.tables import Table


def _say_nothing(_text: str) -> None:
    """For runs that nobody watches."""


@dataclass(frozen=True)
class Run:
    """One run over shift dates: its id, the dates it was asked for, and where it tells how it goes
    and what somebody should know.

    `recorded` gives the shift dates of which the run has recorded any of some tables so far. With those who name the
    same `store` it shares quota and token, and `priority` says who goes first.
    """

    run_id: str
    asked: frozenset[str]
    recorded: Callable[[Collection[str]], set[str]]
    refresh: Refresh = "changed"
    store: Store | None = None
    priority: Priority = Priority.URGENT
    say: Callable[[str], None] = field(default=_say_nothing)
    warn: Callable[[str], None] = field(default=_say_nothing)


@dataclass(frozen=True)
class Maker:
    """Makes some tables for shift dates: the plain function behind one step.

    `is_after_standards` says that they are made from a table that looks back: where a run dies between the two, the
    next finds that one as it should be, and has to look at these all the same.
    """

    tables: tuple[Table, ...]
    make: Callable[[Run, Sequence[str]], Made]
    is_after_standards: bool = False

    @property
    def names(self) -> set[str]:
        """The tables made."""
        return {table.name for table in self.tables}

    @property
    def inputs(self) -> set[str]:
        """The tables of the same shift date that they are made from."""
        return {name for table in self.tables for name in table.inputs}

    @property
    def needs(self) -> set[str]:
        """The tables that have to be made before: its inputs, and what it looks back on."""
        return {name for table in self.tables for name in (*table.inputs, *table.trailing)} - self.names

    @property
    def looks_back(self) -> bool:
        """Whether shift dates before count too: those that set the standards."""
        return self.is_after_standards or any(table.trailing for table in self.tables)
