"""A bot process to be killed: stores what comes in and answers every stored event, again after each start.

Usage: python -m tests.adapters.chat.matrix.receive_process '<json>' with homeserver, user_id, password,
room, root, state_dir, inbox.
"""

from __future__ import annotations

import asyncio
import json
import sys
from functools import partial
from pathlib import Path

from pydantic import SecretStr

from adapters.chat.matrix import MatrixChat, open_matrix
from bot.domain.chat import Inbound, MessageRef
from bot.domain.clock import SystemClock
from bot.domain.message import Message
from config.schema import MatrixChat as Section
from tests.fakes.inbox import SqliteInbox


def _more_than(done: int, events: list[Inbound]) -> bool:
    return len(events) > done


async def answer_all(chat: MatrixChat, inbox: SqliteInbox, root: MessageRef) -> None:
    """Answer without remembering what was answered: only the key keeps a message from being doubled."""
    done = 0
    while True:
        events = await inbox.until(partial(_more_than, done), seconds=600)
        for event in events[done:]:
            await chat.reply(root, Message(title=f"seen {event.event_id}"), f"answer {event.event_id}")
            print(event.event_id, flush=True)
        done = len(events)


async def main() -> None:
    given = json.loads(sys.argv[1])
    section = Section(
        homeserver=given["homeserver"], user_id=given["user_id"], password=SecretStr(given["password"])
    )
    root = MessageRef(platform="matrix", room=given["room"], message_id=given["root"])
    inbox = SqliteInbox(Path(given["inbox"]))
    async with open_matrix(
        section, state_dir=Path(given["state_dir"]), rooms=[root.room], clock=SystemClock()
    ) as chat:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(chat.run(inbox))
            tasks.create_task(answer_all(chat, inbox, root))


if __name__ == "__main__":
    asyncio.run(main())
