"""Looking whether the account works and the rooms are open to it, without starting the chat."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import aiohttp

from adapters.chat.matrix.http import MatrixHttp, path
from adapters.chat.matrix.session import Sessions
from bot.domain.errors import Unavailable
from config.schema import MatrixChat as Section


async def probe_matrix(section: Section, *, state_dir: Path, rooms: Sequence[str]) -> str:
    """Return what was found, in one sentence.

    With a password and no session yet this logs in and keeps the session, as the first start would.
    Raises Unavailable or ConfigError with what is wrong, a room that is not joined included.
    """
    async with aiohttp.ClientSession() as http_session:
        http = MatrixHttp(http_session, str(section.homeserver))
        session = await Sessions(section, state_dir / "matrix").open(http)
        http.access_token = session.access_token
        joined = (await http.request("GET", path("v3", "joined_rooms"))).get("joined_rooms", [])
    missing = [room for room in rooms if room not in joined]
    if missing:
        raise Unavailable(
            "matrix",
            f"{session.user_id} is not in {', '.join(missing)}: invite it from an account in invite_from",
        )
    return f"signed in as {session.user_id}, device {session.device_id}, in all {len(rooms)} rooms"
