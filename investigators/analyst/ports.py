"""What the analyst needs from the outside: a model, money, tools of other servers, and what may be proposed.

A model reads and proposes. It holds no credential, and no tool that it is offered can change anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol

from bot.domain.errors import AssentError
from bot.domain.evidence import Evidence, Window
from bot.domain.proposal import ParamSpec


class Tier(StrEnum):
    """``fast`` answers at once what is known; ``deep`` looks further."""

    FAST = "fast"
    DEEP = "deep"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """One read-only tool. ``name`` matches ``[A-Za-z0-9_-]{1,128}``; ``schema`` is the JSON Schema of its
    arguments, an object."""

    name: str
    description: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that a model asked for. ``arguments`` are as it wrote them: nothing of them is checked."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What a call came to, in words: ``text`` is an envelope (see :mod:`investigators.analyst.envelope`)."""

    call_id: str
    text: str
    failed: bool = False


class Stop(StrEnum):
    """Why a model stopped: ``cut`` at the most tokens it may write, ``refused`` because it would not."""

    DONE = "done"
    TOOLS = "tools"
    CUT = "cut"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one answer. ``input`` excludes what was read from or written to a cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    @property
    def total(self) -> int:
        return self.input + self.output + self.cache_read + self.cache_write

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cache_read=self.cache_read + other.cache_read,
            cache_write=self.cache_write + other.cache_write,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of a model. ``usd`` is None where the price is not known; ``model`` is who answered."""

    text: str
    calls: tuple[ToolCall, ...]
    stop: Stop
    usage: Usage
    usd: Decimal | None
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a conversation begins with and never changes. ``tools`` are sorted by name; ``answer_schema`` is
    the JSON Schema that the last answer is to keep to, None for prose. ``system`` holds nothing that differs
    between incidents, so that a provider can keep it."""

    tier: Tier
    system: str
    tools: tuple[ToolSpec, ...] = ()
    answer_schema: Mapping[str, Any] | None = None


class FailureKind(StrEnum):
    """Why there is no answer, by what a person can do about it."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    REJECTED = "rejected"
    """The request was refused as wrong: a setting does not fit the provider."""
    UNKNOWN_MODEL = "unknown_model"
    KEY = "key"
    """The credential is missing, wrong or may not."""
    SPEND_LIMIT = "spend_limit"
    """The provider's own limit of money."""
    MALFORMED = "malformed"
    REFUSED = "refused"
    CUT = "cut"
    BUDGET = "budget"
    """Our limit of one investigation."""
    DAILY_BUDGET = "daily_budget"
    """Our limit of a day: until the next one there is no more money."""


class ModelFailure(AssentError):
    """A model did not answer. The text is for people and holds neither a secret nor anybody's words."""

    def __init__(self, kind: FailureKind, reason: str) -> None:
        self.kind = kind
        self.reason = reason
        super().__init__(f"{kind.value}: {reason}")


class Spending(Protocol):
    """The limits of one investigation, asked before every call."""

    async def reserve(self, usd: Decimal | None, tokens: int) -> Reservation:
        """Take what a call can cost at most; ``usd`` None where the price is not known. Raises ModelFailure
        (budget, daily_budget) where that is more than what is left, and then nothing is taken."""
        ...


class Reservation(Protocol):
    async def settle(self, usd: Decimal | None, usage: Usage) -> None:
        """Give back what was not needed. A call that failed settles what it is known to have cost."""
        ...


class Purse(Protocol):
    """A day's money, kept where it survives a restart and is shared by every replica. Days are UTC."""

    async def take(self, usd: Decimal, limit: Decimal) -> str | None:
        """Take it from today's money and name the taking; None where less than that is left of ``limit``.
        What is never given back counts as spent. Raises Unavailable."""
        ...

    async def give_back(self, taking: str, usd: Decimal) -> None:
        """Of what was taken, so much was not spent. Raises Unavailable."""
        ...

    async def charge(self, usd: Decimal) -> None:
        """Today's money is less by what was spent beyond a taking, whatever is left. Raises Unavailable."""
        ...


class Conversation(Protocol):
    """Append-only, with one model, system and set of tools from its beginning to its end.

    Both methods raise ModelFailure, after which the conversation is over. Neither takes longer than the
    ``timeout`` that the model was opened with.
    """

    async def say(self, text: str, *, may_use_tools: bool = True) -> Reply:
        """``may_use_tools`` False on the last turn: then the reply holds no calls."""
        ...

    async def give(
        self, results: Sequence[ToolResult], text: str = "", *, may_use_tools: bool = True
    ) -> Reply:
        """The results of every call of the last reply, in its order, and what is said with them."""
        ...


class Model(Protocol):
    """A provider with a model for each tier."""

    name: str

    def name_of(self, tier: Tier) -> str:
        """The model's id."""
        ...

    def open(self, opening: Opening, spending: Spending, timeout: timedelta) -> Conversation:
        """Begin a conversation; asks nothing yet. ``timeout`` bounds each turn, its retries included."""
        ...


class ToolSource(Protocol):
    """A server whose tools a model may use, such as one of MCP: an allow-list of what reads only."""

    name: str

    def tools(self) -> tuple[ToolSpec, ...]:
        """Those that may be used now, sorted by name; none while the server cannot be reached. A model is
        shown each as ``server__tool``, whether it is named so here or not."""
        ...

    def problem(self) -> str | None:
        """None while connected, else one sentence why not, or which tools are refused."""
        ...

    async def call(self, tool: str, arguments: Mapping[str, Any], window: Window, subject: str) -> Evidence:
        """Evidence of kind ``mcp.tool``, redacted, its excerpt capped, ``outsider_writable``. A failure is
        evidence with status ``failed``; never raises."""
        ...


class ParamRole(StrEnum):
    """What a parameter is for, where a model may not fill it in as it likes."""

    LABELS = "labels"
    """Which alerts, as ``label=value[,label=value]``: pairs of one alert that fires in the incident."""
    PROSE = "prose"
    """Words for people. They are ours, and a model's are not even looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedAction:
    """An entry of the catalogue that a model may name. ``targets`` are the names of the inventory, None where
    a parameter with the role ``labels`` says what it is about: without either it is never offered. ``roles``
    are by parameter. Naming one proposes nothing: policy and people come after."""

    name: str
    title: str
    params: tuple[ParamSpec, ...]
    targets: tuple[str, ...] | None = None
    roles: Mapping[str, ParamRole] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one investigation, all its conversations together. ``usd`` None: no limit of money."""

    turns: int = 12
    tool_calls: int = 25
    tokens: int = 400_000
    usd: Decimal | None = Decimal("0.50")
    usd_per_day: Decimal | None = Decimal("10")
    wall: timedelta = timedelta(seconds=240)
    tool_timeout: timedelta = timedelta(seconds=20)
    result_characters: int = 4_000
    """Of one tool's result; evidence keeps no more of an answer than that."""
