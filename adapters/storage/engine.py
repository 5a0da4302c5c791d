"""Opening the database file: one writer, a few readers, and nobody else."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from adapters.storage.rows import Rows, Statements, translated, uninterrupted
from adapters.storage.schema import refuse_other_schema, upgrade
from bot.domain.errors import ConfigError, Unavailable

_PRAGMAS = (
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",
)
_PRAGMAS_READING = ("PRAGMA busy_timeout=5000", "PRAGMA query_only=ON")
_READERS = 4


@contextmanager
def sole_owner(path: Path) -> Iterator[None]:
    """Hold ``<path>.lock`` while the database is open; the kernel lets go when the process dies.

    Raises ConfigError when another process holds it or the folder cannot be written.
    """
    lock = path.with_name(path.name + ".lock")
    try:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            [f"the store cannot be opened at {path}: {error.strerror}: {_remedy(error)}"]
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            raise ConfigError(
                [
                    f"the store {path} is open in another process (pid {holder}): stop that one, "
                    "or give this one a store of its own"
                ]
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(handle)


def _remedy(error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "create the folder first"
    return "make the folder writable for the user that Assent runs as"


def _make_private(path: Path) -> None:
    """Evidence and chat lie in the file: only its owner may read it. WAL and index files inherit the mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _must_exist(path: Path) -> None:
    if not path.is_file():
        raise ConfigError([f"there is no store at {path}: has the service run with this configuration?"])


class _File:
    """The database file and how each connection to it begins."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._uri = f"file:{quote(str(path))}?mode={'ro' if read_only else 'rw'}"
        self._pragmas = _PRAGMAS_READING if read_only else _PRAGMAS
        # At DEBUG the driver's own logger writes every statement with its parameters.
        logging.getLogger("aiosqlite").setLevel(logging.INFO)

    def open(self) -> sqlite3.Connection:
        """Without an isolation level the driver never begins or commits by itself: every BEGIN is ours."""
        connection = sqlite3.connect(self._uri, uri=True, isolation_level=None)
        try:
            for pragma in self._pragmas:
                connection.execute(pragma).close()
        except BaseException:
            connection.close()
            raise
        return connection

    async def connect(self) -> aiosqlite.Connection:
        """A connection with a thread of its own, which does not keep the process from ending."""
        connection = aiosqlite.Connection(self.open, iter_chunk_size=64)
        connection._thread.daemon = True
        with translated():
            return await connection

    async def with_schema(self, work: Callable[[Connection], Any]) -> None:
        """Run ``work`` in a thread on a SQLAlchemy connection that is closed afterwards. Its asyncio
        extension would bring in the whole ORM: a tenth of a cold start, and 7 MB."""
        with _connecting():
            await uninterrupted(asyncio.to_thread(self._with_schema, work))

    def _with_schema(self, work: Callable[[Connection], Any]) -> None:
        engine = create_engine("sqlite://", creator=self.open, poolclass=NullPool)
        with engine.connect() as connection:
            work(connection)


class Readers:
    """A pool of connections that only read, opened as they are needed."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._statements = Statements()
        self._opened: list[aiosqlite.Connection] = []
        self._idle: list[aiosqlite.Connection] = []
        self._may_read = asyncio.Semaphore(_READERS)
        self._closed = False

    async def connect(self) -> aiosqlite.Connection:
        connection = await self._file.connect()
        self._opened.append(connection)
        return connection

    def rows_on(self, driver: aiosqlite.Connection) -> Rows:
        """For one transaction: an object kept beyond its transaction must not reach into the next."""
        return Rows(driver, self._statements)

    async def _open_reader(self) -> None:
        connection = await self.connect()
        with translated():
            await (await connection.execute("PRAGMA query_only=ON")).close()
        self._idle.append(connection)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Rows]:
        """A read-only connection on one snapshot. Raises Unavailable once the store is closed."""
        async with self._may_read:
            if self._closed:
                raise Unavailable("store", "it is closed")
            # Whoever comes just now may take the connection that was opened here: then another is.
            while not self._idle:
                await uninterrupted(self._open_reader())
            driver = self._idle.pop()
            rows = self.rows_on(driver)
            try:
                rows.begin("BEGIN")
                yield rows
            finally:
                try:
                    await rows.rollback()
                finally:
                    self._idle.append(driver)

    async def close(self) -> None:
        self._closed = True
        for connection in self._opened:
            await connection.close()


class Connections(Readers):
    """The writer's connection behind a lock that serves waiters in order, and the readers."""

    def __init__(self, file: _File) -> None:
        super().__init__(file)
        self._may_write = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None
        self._writer: aiosqlite.Connection | None = None

    async def open_writer(self, prepare: Callable[[Connection], Any] = upgrade) -> None:
        await self._file.with_schema(prepare)
        self._writer = await uninterrupted(self.connect())

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Rows]:
        """The writer in a transaction that ends with the block: whoever has it commits; leaving without
        that rolls back. Raises Unavailable once the store is closed."""
        if self._holder is asyncio.current_task() is not None:
            raise RuntimeError("a transaction inside a transaction of the same task would wait for ever")
        async with self._may_write:
            if self._writer is None or self._closed:
                raise Unavailable("store", "it is closed")
            self._holder = asyncio.current_task()
            rows = self.rows_on(self._writer)
            try:
                rows.begin("BEGIN IMMEDIATE")
                yield rows
            finally:
                # Reached by a cancellation too, even one that came while BEGIN was on its way.
                try:
                    await rows.rollback()
                finally:
                    self._holder = None

    async def close(self) -> None:
        async with self._may_write:
            await super().close()


@contextmanager
def _connecting() -> Iterator[None]:
    """Errors of the few statements that run through SQLAlchemy, as those of all others."""
    try:
        yield
    except DBAPIError as error:
        with translated():
            raise error.orig or error from None


@asynccontextmanager
async def open_connections(path: Path) -> AsyncIterator[Connections]:
    """Own the file, bring its schema up to date, and connect.

    Raises ConfigError when the path cannot be used, another process owns it, or a newer Assent wrote it;
    IntegrityError when the file is damaged; Unavailable when the disk refuses.
    """
    with sole_owner(path):
        _make_private(path)
        connections = Connections(_File(path, read_only=False))
        try:
            await connections.open_writer()
            yield connections
        finally:
            await uninterrupted(connections.close())


@asynccontextmanager
async def open_connections_beside(path: Path) -> AsyncIterator[Connections]:
    """Connect beside whoever owns the file, also for writing: only to tables of which the owner keeps nothing
    in memory, and in short transactions, for it waits five seconds and no longer.

    Raises ConfigError when there is no store or its schema is not this release's, IntegrityError when it is
    damaged, Unavailable when it cannot be opened or is not ours to write.
    """
    _must_exist(path)
    connections = Connections(_File(path, read_only=False))
    try:
        await connections.open_writer(refuse_other_schema)
        yield connections
    finally:
        await uninterrupted(connections.close())


@asynccontextmanager
async def open_readers(path: Path) -> AsyncIterator[Readers]:
    """Connect for reading only, beside whoever owns the file.

    Raises ConfigError when there is no store or its schema is not this release's, IntegrityError when it is
    damaged.
    """
    _must_exist(path)
    file = _File(path, read_only=True)
    readers = Readers(file)
    try:
        await file.with_schema(refuse_other_schema)
        yield readers
    finally:
        await uninterrupted(readers.close())
