"""Where people are told and asked, and who they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from config.types import MatrixUser, Name, Role, Secret, Section, Text, Url, plain_emoji


def _room_id(value: str) -> str:
    if not value.startswith("!"):
        raise ValueError("not a room id; write the id that begins with '!', in quotes, not an alias")
    return value


class MatrixChat(Section):
    """The bot's Matrix account. Give ``access_token`` (with ``device_id``) or ``password``."""

    homeserver: Url = Field(description="Base URL of the client API.")
    user_id: MatrixUser = Field(description="The bot's user id.")
    access_token: Secret | None = Field(default=None, description="Access token of the bot's device.")
    password: Secret | None = Field(default=None, description="Password, to log in with.")
    device_id: Text = Field(default="ASSENT", description="The bot's device.")
    invite_from: tuple[MatrixUser, ...] = Field(
        default=(), description="User ids whose invites are accepted; everybody else's are declined."
    )

    @model_validator(mode="after")
    def _some_credential(self) -> MatrixChat:
        if (self.access_token is None) == (self.password is None):
            raise ValueError("no single way to log in; give exactly one of access_token and password")
        return self


class ConsoleChat(Section):
    """An incident room in the terminal that Assent runs in."""

    colour: Literal["auto", "always", "never"] = Field(
        default="auto", description="Colour; `auto` means when it is a terminal."
    )


class Room(Section):
    """A room as routes name it, and what it is on its platform. Exactly one of ``matrix`` and ``console``."""

    name: Name = Field(description="How routes name it.")
    matrix: Annotated[str, AfterValidator(_room_id)] | None = Field(
        default=None, description="Matrix room id, which begins with `!`."
    )
    console: bool = Field(default=False, description="The terminal.")

    @model_validator(mode="after")
    def _one_platform(self) -> Room:
        if (self.matrix is not None) == self.console:
            raise ValueError("no single platform; give exactly one of matrix: <room id> and console: true")
        return self


class Chat(Section):
    """Where incidents are told."""

    matrix: MatrixChat | None = Field(default=None, description="Matrix.")
    console: ConsoleChat | None = Field(default=None, description="The terminal.")
    rooms: tuple[Room, ...] = Field(default=(), description="The rooms.")
    default_rooms: tuple[Name, ...] = Field(default=(), description="Rooms of routes that name none.")
    approve_emoji: tuple[Text, ...] = Field(
        default=("✅",), min_length=1, description="Reactions that approve. The first is put on the card."
    )
    reject_emoji: tuple[Text, ...] = Field(
        default=("❌",), min_length=1, description="Reactions that reject. The first is put on the card."
    )

    @model_validator(mode="after")
    def _disjoint(self) -> Chat:
        both = {plain_emoji(text) for text in self.approve_emoji} & {
            plain_emoji(text) for text in self.reject_emoji
        }
        if both:
            raise ValueError(f"{' '.join(sorted(both))} would both approve and reject; keep it in one list")
        return self


class PersonEntry(Section):
    """One person and every account that is theirs. Who is not listed may do nothing."""

    id: Name = Field(description="The person, as the ledger names them.")
    matrix: MatrixUser | None = Field(default=None, description="Their Matrix user id.")
    console: Text | None = Field(default=None, description="Their name in the terminal.")
    roles: tuple[Role, ...] = Field(
        description="Any of `viewer`, `responder`, `approver:<action class>`, `approver:*`, `admin`."
    )
