"""Running compiled statements on one SQLite connection, and what a failure of the driver means.

Statements are SQLAlchemy Core, compiled once; they run through aiosqlite's ``execute_fetchall``, which takes
one hop to the connection's thread where SQLAlchemy's own cursor takes four. A cancelled caller leaves its
statement running in that thread; whatever is queued behind it (the rollback) still runs after it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import aiosqlite
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import ClauseElement

from bot.domain.errors import IntegrityError, StaleWrite, Unavailable

Row = tuple[Any, ...]
_Result = TypeVar("_Result")

_TAKEN = frozenset({"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"})


async def uninterrupted(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run ``work`` to its end even when the caller is cancelled; the cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            raise cancelled from failure
        raise cancelled
    return task.result()


@contextmanager
def translated() -> Iterator[None]:
    """Driver errors as ours: full, locked or broken disk → Unavailable; a taken key → StaleWrite; a row
    that points nowhere, a forbidden change, an unreadable file → IntegrityError."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        if error.sqlite_errorname in _TAKEN:
            raise StaleWrite(f"the row exists already ({error})") from error
        raise IntegrityError(f"the store refused a row: {error}") from error
    except sqlite3.OperationalError as error:
        raise Unavailable("store", str(error)) from error
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise
    except sqlite3.DatabaseError as error:
        raise IntegrityError(f"the database file cannot be read: {error}") from error


class Statements:
    """Compiled forms of statements, kept by identity."""

    def __init__(self) -> None:
        self._dialect = sqlite.dialect(paramstyle="qmark")
        self._compiled: dict[ClauseElement, tuple[str, tuple[str, ...], Mapping[str, Any]]] = {}

    def compiled(self, statement: ClauseElement) -> tuple[str, tuple[str, ...], Mapping[str, Any]]:
        """SQL text with ``?``, the parameters' names in order, and the values the statement itself holds."""
        known = self._compiled.get(statement)
        if known is None:
            compiled = statement.compile(dialect=self._dialect)
            names = tuple(getattr(compiled, "positiontup", None) or ())
            known = self._compiled[statement] = (str(compiled), names, dict(compiled.params))
        return known


class Rows:
    """One transaction on a connection."""

    def __init__(self, driver: aiosqlite.Connection, statements: Statements) -> None:
        self._driver = driver
        self._statements = statements
        self._open = False
        self._failed: Unavailable | None = None

    async def begin(self, how: str) -> None:
        """Start a transaction: ``BEGIN`` or ``BEGIN IMMEDIATE``."""
        if self._driver.in_transaction:
            # Left by a rollback that the disk refused; nothing of it may leak into this one.
            await self.rollback()
        self._open = True
        await self._fetch(how, ())

    async def commit(self, then: Callable[[], None] | None = None) -> None:
        """Make it durable and call ``then``: both happen even when the caller is cancelled meanwhile.

        Raises Unavailable, nothing written, when an earlier statement failed so that SQLite may have
        rolled back by itself.
        """
        await uninterrupted(self._commit(then))

    async def _commit(self, then: Callable[[], None] | None) -> None:
        await self._fetch("COMMIT", ())
        self._open = False
        if then is not None:
            then()

    async def rollback(self) -> None:
        """Ends the transaction if there is one. Queued behind every statement sent before."""
        self._open = False
        with translated():
            await self._driver.rollback()

    async def all(self, statement: ClauseElement, **values: Any) -> list[Row]:
        sql, names, fixed = self._statements.compiled(statement)
        return await self._fetch(sql, tuple(values[n] if n in values else fixed[n] for n in names))

    async def first(self, statement: ClauseElement, **values: Any) -> Row | None:
        found = await self.all(statement, **values)
        return found[0] if found else None

    async def value(self, statement: ClauseElement, **values: Any) -> Any:
        """The first column of the first row, None without a row."""
        found = await self.all(statement, **values)
        return found[0][0] if found else None

    async def many(self, statement: ClauseElement, values: Iterable[Mapping[str, Any]]) -> None:
        """Run a statement that returns nothing once for each set of values."""
        sql, names, fixed = self._statements.compiled(statement)
        await self.many_tuples(
            sql, [tuple(each[n] if n in each else fixed[n] for n in names) for each in values]
        )

    async def many_tuples(self, sql: str, values: Sequence[Row]) -> None:
        """The same for SQL text and parameters in its order."""
        self._check()
        try:
            with translated():
                async with self._driver.executemany(sql, values):
                    pass
        except Unavailable as error:
            self._failed = error
            raise

    async def query(self, sql: str) -> list[Row]:
        """Run SQL text without parameters."""
        return await self._fetch(sql, ())

    def sql(self, statement: ClauseElement) -> str:
        return self._statements.compiled(statement)[0]

    def _check(self) -> None:
        if not self._open:
            raise RuntimeError("the transaction is over: its object may not be used any more")
        if self._failed is not None:
            raise self._failed

    async def _fetch(self, sql: str, parameters: Row) -> list[Row]:
        self._check()
        try:
            with translated():
                return cast("list[Row]", await self._driver.execute_fetchall(sql, parameters))
        except Unavailable as error:
            # After such an error SQLite may have ended the transaction: one more statement would then
            # commit by itself.
            self._failed = error
            raise
