"""What people know of their services and write down: what depends on what, and whose it is."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from config.types import Name, Section, Text


class DeclaredService(Section):
    """A service as alerts name it. What is seen to depend on what is added by itself; this is for what nobody
    can see, and for who is to be told."""

    name: Text = Field(description="The service, as alerts name it.")
    kind: Literal["service", "datastore", "queue", "external"] = Field(
        default="service", description="What it is."
    )
    depends_on: tuple[Text, ...] = Field(default=(), description="Services that it needs in order to work.")
    team: Text | None = Field(
        default=None, description="Who owns it, where neither the alert nor its route says so."
    )
    owner: Text | None = Field(default=None, description="Person to ask about it.")
    rooms: tuple[Name, ...] = Field(
        default=(),
        description="Names from `chat.rooms`: its incidents go there too, unless their route names rooms.",
    )
    critical: bool = Field(
        default=False, description="As if it were in `policy.critical_services`: actions need two people."
    )

    @model_validator(mode="after")
    def _others(self) -> DeclaredService:
        if self.name in self.depends_on:
            raise ValueError("depends on itself; name other services in depends_on")
        if len(set(self.depends_on)) < len(self.depends_on):
            raise ValueError("names a service twice in depends_on; keep one")
        return self
