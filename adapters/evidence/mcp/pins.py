"""What people accepted of each tool: its hash, and its description and schema to compare with later."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.evidence.mcp.listing import Listed, digest, shown, shown_schema
from bot.domain.errors import UserError
from config.schema import McpSource

_NAME = "mcp-pins.json"
_MAX_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """``hash`` is over what the server sent; ``description`` and ``schema`` are that as far as it may be
    shown, None where only a hash was given."""

    hash: str
    description: str | None = None
    schema: Mapping[str, Any] | None = None


def pin_of(tool: Listed) -> Pin | None:
    """The tool as it is now; None where it has no hash."""
    now = digest(tool)
    if now is None:
        return None
    return Pin(hash=now, description=shown(tool.description), schema=shown_schema(tool.schema))


def pin_file(section: McpSource, data_dir: Path) -> PinFile:
    return PinFile(section.pins_file or data_dir / _NAME)


def pins_of(section: McpSource, data_dir: Path) -> Mapping[str, Pin]:
    """What was accepted of a server. Raises UserError for a file that cannot be read."""
    if section.pins:
        return {name: Pin(hash=value) for name, value in section.pins.items()}
    return pin_file(section, data_dir).of(section.name)


class PinFile:
    """Pins of any number of servers as JSON. A file that is not there holds none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, server: str) -> Mapping[str, Pin]:
        """By the name the server uses. Raises UserError for a file that cannot be read."""
        return self._read().get(server, {})

    def keep(self, server: str, pins: Mapping[str, Pin]) -> None:
        """Replace all of a server's. Raises UserError for a file that cannot be read or written."""
        servers = {**self._read(), server: pins}
        said = {
            "version": 1,
            "servers": {
                name: {
                    tool: {"hash": pin.hash, "description": pin.description, "schema": pin.schema}
                    for tool, pin in sorted(of.items())
                }
                for name, of in sorted(servers.items())
            },
        }
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(said, file, ensure_ascii=True, indent=1)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
        except OSError as error:
            beside.unlink(missing_ok=True)
            raise UserError(f"{self.path}: cannot be written: {error.strerror}") from None

    def _read(self) -> dict[str, Mapping[str, Pin]]:
        try:
            if self.path.stat().st_size > _MAX_BYTES:
                raise ValueError
            said = json.loads(self.path.read_text("utf-8"))
            if said["version"] != 1:
                raise ValueError
            return {
                str(name): {str(tool): _pin(pin) for tool, pin in of.items()}
                for name, of in said["servers"].items()
            }
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UserError(f"{self.path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise UserError(
                f"{self.path}: is no file of pins; make it anew with: assent mcp pin, or remove it"
            ) from None


def _pin(said: Mapping[str, Any]) -> Pin:
    value, description, schema = said["hash"], said["description"], said["schema"]
    if not isinstance(value, str) or not isinstance(description, str | None):
        raise TypeError
    if not isinstance(schema, dict | None):
        raise TypeError
    return Pin(hash=value, description=description, schema=schema)
