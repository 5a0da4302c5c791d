"""Running compiled statements on one SQLite connection, and what a failure of the driver means.

Statements are SQLAlchemy Core, compiled once. The hop to the connection's thread costs more than most
statements, so all that nobody waits for (BEGIN, inserts, COMMIT) is sent along with the next one somebody
does wait for; SQLAlchemy's own cursor would take three or four hops for each. A cancelled caller leaves what
it sent running in that thread; whatever is queued behind it (the rollback) still runs after it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar, cast

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


@dataclass(frozen=True, slots=True)
class _Step:
    """One statement on its way; ``many`` runs it once for each row of ``parameters``."""

    sql: str
    parameters: Sequence[Any]
    many: bool = False


def _run(connection: sqlite3.Connection, steps: Sequence[_Step]) -> list[Row] | tuple[int, Exception]:
    """In the connection's thread: run every step; the last one's rows, or which step failed and how."""
    found: list[Row] = []
    for position, step in enumerate(steps):
        try:
            if step.many:
                connection.executemany(step.sql, step.parameters).close()
            else:
                found = connection.execute(step.sql, step.parameters).fetchall()
        except (sqlite3.Error, ValueError, OverflowError) as error:
            return position, error
    return found


def _run_whole(
    connection: sqlite3.Connection, steps: Sequence[_Step], work: Callable[[sqlite3.Connection], _Result]
) -> _Result:
    """In the connection's thread: begin with ``steps``, work, commit; roll back whatever went wrong."""
    try:
        for step in steps:
            connection.execute(step.sql, step.parameters).close()
        result = work(connection)
        connection.execute("COMMIT").close()
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK").close()
        raise
    return result


class Rows:
    """One transaction on a connection."""

    def __init__(self, driver: aiosqlite.Connection, statements: Statements) -> None:
        self._driver = driver
        self._statements = statements
        self._waiting: list[_Step] = []
        self._open = False
        self._begun = False
        self._failed: Exception | None = None

    def begin(self, how: str) -> None:
        """Start a transaction with the first statement: ``BEGIN`` or ``BEGIN IMMEDIATE``."""
        self._open = True
        if self._driver.in_transaction:
            # Left by a rollback that the disk refused; nothing of it may leak into this one.
            self._waiting.append(_Step("ROLLBACK", ()))
        self._waiting.append(_Step(how, ()))

    async def commit(self, then: Callable[[], None] | None = None) -> None:
        """Make it durable and call ``then``: both happen even when the caller is cancelled meanwhile.

        Raises what an earlier statement raised that may have ended the transaction: then nothing is written.
        """
        await uninterrupted(self._commit(then))

    async def _commit(self, then: Callable[[], None] | None) -> None:
        await self._send(_Step("COMMIT", ()))
        self._open = self._begun = False
        if then is not None:
            then()

    async def rollback(self) -> None:
        """End the transaction, unless it is committed, even when the caller is cancelled meanwhile. Runs
        after every statement sent before."""
        self._open = False
        self._waiting.clear()
        if self._begun:
            await uninterrupted(self._rollback())

    async def _rollback(self) -> None:
        # A ValueError says that the connection is closed, and its transaction with it.
        with translated(), suppress(ValueError):
            await self._driver.rollback()

    async def whole(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """Run all of a transaction, COMMIT included, in one hop. ``work`` runs in the connection's thread.

        For the writer that thousands a second wait for: under load each return to the event loop costs a
        round through everybody else's work. Once sent, it happens even when the caller is cancelled.
        """
        self._check()
        steps = list(self._waiting)
        self._waiting.clear()
        self._open = False
        with translated():
            try:
                hop: Awaitable[_Result] = cast(Any, self._driver)._execute(
                    _run_whole, self._driver._conn, steps, work
                )
                return await hop
            except UnicodeError:
                raise
            except ValueError as closed:
                raise Unavailable("store", "the database connection is closed") from closed

    async def all(self, statement: ClauseElement, **values: Any) -> list[Row]:
        return await self._send(self._step(statement, values))

    async def first(self, statement: ClauseElement, **values: Any) -> Row | None:
        found = await self.all(statement, **values)
        return found[0] if found else None

    async def value(self, statement: ClauseElement, **values: Any) -> Any:
        """The first column of the first row, None without a row."""
        found = await self.all(statement, **values)
        return found[0][0] if found else None

    def later(self, statement: ClauseElement, **values: Any) -> None:
        """Run a statement before the next one that is waited for, which then raises what this one raises."""
        self._check()
        self._waiting.append(self._step(statement, values))

    def many_later(self, statement: ClauseElement, values: Iterable[Mapping[str, Any]]) -> None:
        """The same for many sets of values."""
        sql, names, fixed = self._statements.compiled(statement)
        self.tuples_later(sql, [tuple(each[n] if n in each else fixed[n] for n in names) for each in values])

    def tuples_later(self, sql: str, rows: Sequence[Row]) -> None:
        """The same for SQL text and values in its order."""
        self._check()
        if rows:
            self._waiting.append(_Step(sql, rows, many=True))

    async def query(self, sql: str) -> list[Row]:
        """Run SQL text without parameters."""
        return await self._send(_Step(sql, ()))

    def sql(self, statement: ClauseElement) -> str:
        return self._statements.compiled(statement)[0]

    def _step(self, statement: ClauseElement, values: Mapping[str, Any]) -> _Step:
        sql, names, fixed = self._statements.compiled(statement)
        return _Step(sql, [values[n] if n in values else fixed[n] for n in names])

    def _check(self) -> None:
        if not self._open:
            raise RuntimeError("the transaction is over: its object may not be used any more")
        if self._failed is not None:
            raise self._failed

    async def _send(self, step: _Step) -> list[Row]:
        self._check()
        steps = [*self._waiting, step]
        self._waiting.clear()
        self._begun = True
        try:
            # aiosqlite has no public way to run several statements in one hop; SQLAlchemy's dialect leans on
            # the same two attributes.
            hop: Awaitable[list[Row] | tuple[int, Exception]] = cast(Any, self._driver)._execute(
                _run, self._driver._conn, steps
            )
            answer = await hop
        except ValueError as closed:
            self._failed = Unavailable("store", "the database connection is closed")
            raise self._failed from closed
        except asyncio.CancelledError:
            # Nobody will learn how it went, so nothing may be built on it.
            self._failed = Unavailable("store", "a statement of this transaction was interrupted")
            raise
        if isinstance(answer, tuple):
            position, error = answer
            self._raise(error, by_caller=steps[position] is step)
        return answer

    def _raise(self, error: Exception, *, by_caller: bool) -> NoReturn:
        """Only a caller whose own row was refused may go on: after any other failure SQLite may have ended
        the transaction, or the caller cannot know what is missing, and one more statement would commit."""
        try:
            with translated():
                raise error
        except Exception as failure:
            if not (by_caller and isinstance(failure, (StaleWrite, IntegrityError))):
                self._failed = failure
            raise
