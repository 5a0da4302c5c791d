"""Opening the chats a configuration names."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from bot.app.wiring import CONSOLE, MATRIX
from bot.domain.clock import Clock
from bot.ports import Chat
from bot.workflow.delivery import RoomBinding, Rooms
from config.schema import Config


@asynccontextmanager
async def open_chats(
    config: Config, clock: Clock, *, console_input: int = 0
) -> AsyncIterator[Mapping[str, Chat]]:
    """Open every configured platform. A platform's library is imported only when it is configured.

    ``console_input`` is the file descriptor that the console reads lines from.
    """
    chats: dict[str, Chat] = {}
    async with AsyncExitStack() as stack:
        if config.chat.matrix is not None:
            from adapters.chat.matrix import open_matrix

            chats[MATRIX] = await stack.enter_async_context(
                open_matrix(
                    config.chat.matrix,
                    state_dir=config.data_dir,
                    rooms=[room.matrix for room in config.chat.rooms if room.matrix is not None],
                    clock=clock,
                    seeds=(config.chat.approve_emoji[0], config.chat.reject_emoji[0]),
                )
            )
        if config.chat.console is not None:
            from adapters.chat.console import open_console

            chats[CONSOLE] = await stack.enter_async_context(
                open_console(
                    config.chat.console,
                    state_dir=config.data_dir,
                    clock=clock,
                    rooms=[room.name for room in config.chat.rooms if room.console],
                    seeds=(config.chat.approve_emoji[0], config.chat.reject_emoji[0]),
                    source=console_input,
                )
            )
        yield chats


def bind_rooms(config: Config, chats: Mapping[str, Chat]) -> Rooms:
    """Tie every configured room to the chat that serves it."""
    bindings = []
    for room in config.chat.rooms:
        platform = CONSOLE if room.console else MATRIX
        if platform in chats:
            bindings.append(
                RoomBinding(name=room.name, chat=chats[platform], platform_room=room.matrix or room.name)
            )
    return Rooms(tuple(bindings))
