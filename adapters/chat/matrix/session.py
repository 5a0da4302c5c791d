"""Who the bot is on the homeserver: a device and its access token, kept over restarts."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import structlog

from adapters.chat.matrix.http import MatrixHttp, Refused, SessionEnded, path
from bot.domain.errors import ConfigError
from config.schema import MatrixChat as Section

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One logged-in device. Its text form hides the token."""

    user_id: str
    device_id: str
    access_token: str

    def __repr__(self) -> str:
        return f"Session({self.user_id}, {self.device_id})"


class Sessions:
    """Opens a session with the configured credential; one file in a private directory keeps it."""

    def __init__(self, section: Section, directory: Path) -> None:
        self._section = section
        self._directory = directory
        self._file = directory / "session.json"

    async def open(self, http: MatrixHttp) -> Session:
        """Return a session that the server accepts, and give its token to ``http``.

        With a password: the kept one, unless the server has ended it; else a new device logs in, and is
        kept. Raises ConfigError when the credential is refused, Unavailable when the server cannot be asked.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory.chmod(0o700)
        if self._section.access_token is not None:
            return await self._with_token(http, self._section.access_token.get_secret_value())
        kept = self._load()
        if kept is not None:
            try:
                return await self._whoami(http, kept.access_token)
            except SessionEnded:
                _log.warning("matrix_session_ended", device=kept.device_id, remedy="logging in again")
        return await self._log_in(http)

    def forget(self) -> bool:
        """Drop the kept session, so that :meth:`open` logs in as a new device.

        False when that cannot be, because the credential is a token, which is a device.
        """
        if self._section.password is None:
            return False
        self._file.unlink(missing_ok=True)
        return True

    async def _with_token(self, http: MatrixHttp, token: str) -> Session:
        try:
            return await self._whoami(http, token)
        except SessionEnded as error:
            raise ConfigError(
                [
                    f"chat.matrix.access_token: {http.homeserver} refuses it ({error.reason});"
                    " log the bot in again and put the new token there"
                ]
            ) from None

    async def _whoami(self, http: MatrixHttp, token: str) -> Session:
        http.access_token = token
        answer = await http.request("GET", path("v3", "account", "whoami"))
        user_id, device_id = str(answer.get("user_id")), answer.get("device_id")
        if user_id != self._section.user_id:
            raise ConfigError(
                [f"chat.matrix.user_id: is {self._section.user_id}, but the credential belongs to {user_id}"]
            )
        return Session(
            user_id=user_id, device_id=str(device_id or self._section.device_id), access_token=token
        )

    async def _log_in(self, http: MatrixHttp) -> Session:
        password = self._section.password
        if password is None:
            raise ConfigError(["chat.matrix: a password or an access_token is needed"])
        http.access_token = None
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": self._section.user_id},
            "password": password.get_secret_value(),
            "device_id": f"{self._section.device_id}{secrets.token_hex(4).upper()}",
            "initial_device_display_name": "Assent",
        }
        try:
            answer = await http.request("POST", path("v3", "login"), body)
        except Refused as error:
            raise ConfigError(
                [
                    f"chat.matrix: {http.homeserver} does not let {self._section.user_id} log in with this"
                    f" password ({error.reason}); check user_id and password"
                ]
            ) from None
        session = Session(
            user_id=str(answer["user_id"]),
            device_id=str(answer["device_id"]),
            access_token=str(answer["access_token"]),
        )
        self._save(session)
        http.access_token = session.access_token
        _log.info("matrix_logged_in", user=session.user_id, device=session.device_id)
        return session

    def _load(self) -> Session | None:
        try:
            document = json.loads(self._file.read_text())
            session = Session(
                user_id=document["user_id"],
                device_id=document["device_id"],
                access_token=document["access_token"],
            )
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            _log.warning("matrix_session_unreadable", file=self._file.name, remedy="logging in again")
            return None
        return session if session.user_id == self._section.user_id else None

    def _save(self, session: Session) -> None:
        document = {
            "user_id": session.user_id,
            "device_id": session.device_id,
            "access_token": session.access_token,
        }
        write_private(self._file, json.dumps(document))


def write_private(file: Path, text: str) -> None:
    """Replace a file in one step, readable by the owner only, on disk before this returns."""
    beside = file.with_name(f"{file.name}.{secrets.token_hex(4)}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(file)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
