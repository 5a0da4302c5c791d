"""Readers that come while the first connections are being opened."""

import asyncio
from pathlib import Path

from adapters.storage.engine import Readers, open_connections


async def read(readers: Readers) -> list[tuple[int]]:
    async with readers.reading() as rows:
        return [tuple(row) for row in await rows.query("SELECT 1")]


async def test_a_reader_that_takes_the_connection_another_has_just_opened_leaves_that_one_unharmed(
    tmp_path: Path,
) -> None:
    async with open_connections(tmp_path / "store.db") as connections:
        opener = asyncio.create_task(read(connections))
        while not connections._idle:
            await asyncio.sleep(0)
        # The connection is there, and the task that opened it has not been resumed yet.
        assert not opener.done()
        assert await read(connections) == await opener == [(1,)]
