"""Assent as its operator has it: a YAML file, a process started by its command, and its other commands."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from adapters.keys import generate_signing_key
from bot.demo.world import NAME, ServiceHandle
from tests.servers.ports import free_port
from tests.servers.synapse import Account

TOKEN = "token-of-the-alertmanager-0123456789"
REPOSITORY = Path(__file__).parents[2]
ROOM = "incidents"
_READY_SECONDS = 30
_STOP_SECONDS = 20


@dataclass(slots=True, kw_only=True)
class Assent:
    """One installation. Its files outlive its processes."""

    directory: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def config(self) -> Path:
        return self.directory / "assent.yaml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def webhook(self) -> str:
        return f"{self.url}/webhook/alertmanager"

    def configure(
        self,
        *,
        bot: Account,
        room: str,
        people: Mapping[str, tuple[str, list[str]]],
        service: ServiceHandle,
        prometheus: str,
        **sections: Mapping[str, Any],
    ) -> None:
        """Write everything an operator writes. ``people`` maps a name to a Matrix id and roles; ``sections``
        are merged into the file's sections of the same name."""
        key = self.directory / "signing-key.pem"
        key.touch(mode=0o600)
        key.write_text(generate_signing_key())
        (self.directory / "webhook-token").write_text(TOKEN + "\n")
        (self.directory / "matrix-token").write_text(bot.access_token + "\n")
        for secret in ("webhook-token", "matrix-token"):
            (self.directory / secret).chmod(0o600)
        document: dict[str, Any] = {
            "version": 1,
            "data_dir": "data",
            "listen": {"host": "127.0.0.1", "port": self.port},
            "sources": [
                {"name": "alertmanager", "kind": "alertmanager", "auth": {"bearer_file": "webhook-token"}}
            ],
            "chat": {
                "matrix": {
                    "homeserver": bot.homeserver,
                    "user_id": bot.user_id,
                    "access_token_file": "matrix-token",
                    "device_id": bot.device_id,
                },
                "rooms": [{"name": ROOM, "matrix": room}],
                "default_rooms": [ROOM],
            },
            "people": [
                {"id": name, "matrix": user_id, "roles": roles} for name, (user_id, roles) in people.items()
            ],
            "evidence": {
                "prometheus": [{"name": "prometheus", "url": prometheus}],
                "host": {
                    "names": ["127.0.0.1"],
                    "processes": [
                        {
                            "name": NAME,
                            "match": {"service": NAME},
                            "pid_file": str(service.pid_file),
                            "log_file": str(service.log),
                            "exit_file": str(service.exit_file),
                        }
                    ],
                },
            },
            "execution": {
                "enabled": True,
                "processes": [
                    {
                        "name": NAME,
                        "pid_file": str(service.pid_file),
                        "start": list(service.argv),
                        "log_file": str(service.directory / "shop.out"),
                        "health_url": service.health_url,
                    }
                ],
                "verify_after": ["500ms", "1s", "2s", "4s", "8s", "16s"],
            },
            "keys": {"signing_key_file": "signing-key.pem"},
            "ledger": {"anchor_file": "anchors.txt"},
            "telemetry": {"log_level": "info"},
        }
        for name, changes in sections.items():
            document[name] = {**document.get(name, {}), **changes}
        self.config.write_text(yaml.safe_dump(document, allow_unicode=True))

    async def start(self) -> None:
        """``assent run``, until it says that it is ready (store and chat)."""
        assert self.process is None, "already running"
        with (self.directory / "assent.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "bot", "run", "-c", str(self.config)),
                cwd=REPOSITORY,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        async with aiohttp.ClientSession() as session, asyncio.timeout(_READY_SECONDS):
            while True:
                assert self.process.returncode is None, self.log()
                try:
                    async with session.get(f"{self.url}/readyz") as answer:
                        if answer.status == 200:
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)

    async def stop(self) -> int:
        """SIGTERM, as a service manager stops it; returns the exit code."""
        process, self.process = self.process, None
        assert process is not None, "not running"
        process.terminate()
        try:
            return await asyncio.wait_for(process.wait(), _STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise

    async def kill(self) -> None:
        """SIGKILL: nothing of it has a chance to finish anything."""
        process, self.process = self.process, None
        assert process is not None, "not running"
        process.kill()
        await process.wait()

    async def command(self, *arguments: str) -> tuple[int, str]:
        """Run another of its commands; exit code and standard output."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bot", *arguments),
            cwd=REPOSITORY,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        return process.returncode or 0, output.decode() or errors.decode()

    async def ledger(self) -> list[dict[str, Any]]:
        """Every event of the ledger in order, as ``assent ledger export`` prints it."""
        code, output = await self.command("ledger", "export", "-c", str(self.config))
        assert code == 0, output
        return [json.loads(line)["event"] for line in output.splitlines()]

    async def tags(self) -> list[str]:
        return [event["tag"] for event in await self.ledger()]

    async def ledger_proof(self) -> dict[str, Any]:
        """What ``assent ledger verify --json`` says; its exit code must agree."""
        code, output = await self.command("ledger", "verify", "--json", "-c", str(self.config))
        document: dict[str, Any] = json.loads(output)
        assert (code == 0) is document["ok"]
        return document

    async def metrics(self) -> dict[str, float]:
        """Every sample of ``/metrics`` by its name with labels."""
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/metrics") as answer:
            assert answer.status == 200
            lines = [line for line in (await answer.text()).splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    async def metric(self, name: str, value: float) -> None:
        """Wait until a gauge, which follows the rows within seconds, has the value."""
        async with asyncio.timeout(_READY_SECONDS):
            while (await self.metrics()).get(name) != value:
                await asyncio.sleep(0.1)

    def position(self) -> str:
        """How far it has read in its rooms, as it keeps it; only while it does not run."""
        with self._store() as rows:
            return str(rows.execute("SELECT position FROM positions WHERE platform = 'matrix'").fetchone()[0])

    def set_position(self, position: str) -> None:
        with self._store() as rows:
            rows.execute("UPDATE positions SET position = ? WHERE platform = 'matrix'", (position,))

    def _store(self) -> sqlite3.Connection:
        return sqlite3.connect(self.directory / "data" / "assent.db")

    def log(self) -> str:
        return (self.directory / "assent.log").read_text()
