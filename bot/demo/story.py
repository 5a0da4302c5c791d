"""The demo's configuration: one leaking service, one room, one person who may approve."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.demo.world import NAME, ServiceHandle

ROOM = "incidents"
PERSON = "you"
WEBHOOK = "alertmanager"


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixSeat:
    """Where the demo's incident room is, if it is a Matrix room."""

    homeserver: str
    bot_id: str
    bot_token: str
    bot_device: str
    person_id: str
    person_password: str
    room_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFiles:
    """What was written: the configuration and the token with which Alertmanager would come."""

    config: Path
    token: str


def write_files(
    directory: Path, service: ServiceHandle, signing_key: str, seat: MatrixSeat | None
) -> DemoFiles:
    """Write the configuration, its secrets (mode 0600) and return where they are."""
    token = secrets.token_urlsafe(24)
    _private(directory / "signing-key.pem", signing_key)
    _private(directory / "webhook-token", token + "\n")
    if seat is not None:
        _private(directory / "matrix-token", seat.bot_token + "\n")
    config = directory / "assent.yaml"
    config.write_text(yaml.safe_dump(_document(service, seat), sort_keys=False, allow_unicode=True), "utf-8")
    return DemoFiles(config=config, token=token)


def _document(service: ServiceHandle, seat: MatrixSeat | None) -> dict[str, object]:
    platform: dict[str, object] = {"console": {}}
    room: dict[str, object] = {"name": ROOM, "console": True}
    person: dict[str, object] = {"id": PERSON, "console": PERSON}
    if seat is not None:
        platform = {
            "matrix": {
                "homeserver": seat.homeserver,
                "user_id": seat.bot_id,
                "access_token_file": "matrix-token",
                "device_id": seat.bot_device,
                "invite_from": [seat.person_id],
            }
        }
        room = {"name": ROOM, "matrix": seat.room_id}
        person = {"id": PERSON, "matrix": seat.person_id}
    return {
        "version": 1,
        "instance": "demo",
        "data_dir": "data",
        "listen": {"host": "127.0.0.1", "port": 0},
        "sources": [{"name": WEBHOOK, "kind": "alertmanager", "auth": {"bearer_file": "webhook-token"}}],
        "chat": {**platform, "rooms": [room], "default_rooms": [ROOM]},
        "people": [{**person, "roles": ["viewer", "responder", "admin", "approver:process"]}],
        "evidence": {
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
            }
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
            "verify_after": ["1s", "2s", "4s", "8s", "16s"],
        },
        "keys": {"signing_key_file": "signing-key.pem"},
        "ledger": {"anchor_file": "anchors.txt"},
        "telemetry": {"log_format": "console", "log_level": "warning"},
    }


def _private(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
