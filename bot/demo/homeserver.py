"""A Synapse homeserver of one's own on loopback, for the demo's room and for tests.

Users are made through https://element-hq.github.io/synapse/latest/admin_api/register_api.html.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import importlib.util
import json
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from bot.domain.errors import Unavailable, UserError

SERVER_NAME = "assent.test"
_SYSTEM = "Synapse"
_START_SECONDS = 60
_STOP_SECONDS = 15
_LOOK_SECONDS = 0.05
_LOG_END = 4000
_UNLIMITED = {"per_second": 10000, "burst_count": 10000}


def synapse_missing() -> str | None:
    """None when Synapse is installed, else how to get it."""
    if importlib.util.find_spec("synapse") is None:
        return "Synapse is not installed. Install it with: pip install 'assent[test]' (or matrix-synapse)"
    return None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Credentials of one user and one device."""

    homeserver: str
    user_id: str
    password: str
    access_token: str
    device_id: str


class Homeserver:
    """Synapse with SQLite and all its files in ``home``, which must exist; ``async with Homeserver(home)``.

    With ``default_rate_limits`` messages are limited as on a fresh install, otherwise nothing is.
    Nothing in it belongs to an event loop, so one instance can serve tests that each have their own.
    """

    def __init__(self, home: Path, *, default_rate_limits: bool = False, port: int | None = None) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.server_name = SERVER_NAME
        self.home = home
        self._default_rate_limits = default_rate_limits
        self._secret = secrets.token_hex(16)
        self._process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        """Raises UserError when Synapse is not installed, Unavailable when it does not come up."""
        missing = synapse_missing()
        if missing is not None:
            raise UserError(missing)
        try:
            (self.home / "homeserver.yaml").write_text(json.dumps(self._config()), encoding="utf-8")
            await self._generate_keys()
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start (again) on the same port with the same data, and wait until it answers.

        Raises Unavailable when it does not.
        """
        if self._process is not None:
            raise Unavailable(_SYSTEM, "already running")
        self._process = _spawn(self._command(), self.home)
        try:
            async with asyncio.timeout(_START_SECONDS), aiohttp.ClientSession() as session:
                while not await self._answers(session):
                    if self._process.poll() is not None:
                        raise Unavailable(_SYSTEM, f"did not start:\n{_end_of(self.home / 'output.log')}")
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            raise Unavailable(_SYSTEM, f"did not answer within {_START_SECONDS} s") from None

    async def stop(self) -> None:
        """End the process; its data stays for the next :meth:`start`."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.to_thread(process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    @property
    def running(self) -> bool:
        return self._process is not None

    async def register(self, name: str | None = None, password: str | None = None) -> Account:
        """Create a user; without a name, a new one. Raises Unavailable when the server refuses."""
        name = name or f"user{secrets.token_hex(5)}"
        password = password or secrets.token_hex(12)
        endpoint = f"{self.url}/_synapse/admin/v1/register"
        async with aiohttp.ClientSession() as session:
            async with session.get(endpoint) as answer:
                nonce = (await answer.json())["nonce"]
            text = "\x00".join((nonce, name, password, "notadmin")).encode()
            mac = hmac.new(self._secret.encode(), text, hashlib.sha1).hexdigest()
            body = {"nonce": nonce, "username": name, "password": password, "admin": False, "mac": mac}
            async with session.post(endpoint, json=body) as answer:
                document = await answer.json()
                if answer.status != 200:
                    raise Unavailable(_SYSTEM, f"registering {name}: {document}")
        return Account(
            homeserver=self.url,
            user_id=document["user_id"],
            password=password,
            access_token=document["access_token"],
            device_id=document["device_id"],
        )

    async def _answers(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"{self.url}/_matrix/client/versions") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False

    def _command(self, *extra: str) -> list[str]:
        return [sys.executable, "-m", "synapse.app.homeserver", "-c", "homeserver.yaml", *extra]

    async def _generate_keys(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command("--generate-keys"),
            cwd=self.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            shown = output.decode(errors="replace")[-_LOG_END:]
            raise Unavailable(_SYSTEM, f"could not generate its keys:\n{shown}")

    def _config(self) -> Mapping[str, Any]:
        config: dict[str, Any] = {
            "server_name": self.server_name,
            "public_baseurl": f"{self.url}/",
            "pid_file": str(self.home / "homeserver.pid"),
            "signing_key_path": str(self.home / "signing.key"),
            "media_store_path": str(self.home / "media"),
            "listeners": [
                {
                    "port": self.port,
                    "bind_addresses": ["127.0.0.1"],
                    "type": "http",
                    "tls": False,
                    "resources": [{"names": ["client"]}],
                }
            ],
            "database": {"name": "sqlite3", "args": {"database": str(self.home / "homeserver.db")}},
            "registration_shared_secret": self._secret,
            "macaroon_secret_key": secrets.token_hex(16),
            "form_secret": secrets.token_hex(16),
            "trusted_key_servers": [],
            "suppress_key_server_warning": True,
            "federation_domain_whitelist": [],
            "url_preview_enabled": False,
            "presence": {"enabled": False},
            "report_stats": False,
            # A first sync is otherwise answered from a cache for two minutes, and misses invites.
            "caches": {"sync_response_cache_duration": "0s"},
            # Only a few users on loopback: a cheap hash keeps password logins fast.
            "bcrypt_rounds": 4,
        }
        if not self._default_rate_limits:
            config |= {
                "rc_message": _UNLIMITED,
                "rc_registration": _UNLIMITED,
                "rc_registration_token_validity": _UNLIMITED,
                "rc_login": dict.fromkeys(("address", "account", "failed_attempts"), _UNLIMITED),
                "rc_admin_redaction": _UNLIMITED,
                "rc_joins": dict.fromkeys(("local", "remote"), _UNLIMITED),
                "rc_joins_per_room": _UNLIMITED,
                "rc_3pid_validation": _UNLIMITED,
                "rc_invites": dict.fromkeys(("per_room", "per_user", "per_issuer"), _UNLIMITED),
                "rc_room_creation": _UNLIMITED,
            }
        return config


def _spawn(command: list[str], home: Path) -> subprocess.Popen[bytes]:
    with (home / "output.log").open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command,
            cwd=home,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C in the terminal is for us: we still have things to say when it comes.
            start_new_session=True,
        )


def _end_of(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_LOG_END:]
