"""From configuration to the workflow's own nouns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from approvals.model import Directory, Identity, Person
from bot.domain.alert import Severity
from bot.domain.ids import PersonId
from bot.domain.incident import Mode, ModelChoice, Route
from bot.domain.proposal import Risk
from bot.workflow.intake import GroupingRules
from bot.workflow.proposing import ApprovalSettings
from bot.workflow.routing import Owned, Router, RoutingRule, anchored, word_pattern
from bot.workflow.verification import VerificationSchedule
from config.packs import pack_routes
from config.schema import Chat, Config, RouteRule

MATRIX = "matrix"
CONSOLE = "console"


def router(config: Config) -> Router:
    """The file's own routes, then those of its packs."""
    return Router(
        rules=tuple(_rule(rule) for rule in (*config.routes, *pack_routes(config.route_packs))),
        default_rooms=tuple(config.chat.default_rooms),
        rooms=room_names(config.chat),
        owners={
            service.name: Owned(team=service.team, rooms=service.rooms)
            for service in config.services
            if service.team or service.rooms
        },
    )


def room_names(chat: Chat) -> Mapping[str, str]:
    """Everything by which an alert may name a room: its name, its Matrix id, and the part of that id
    between ``!`` and ``:`` where only one room has it."""
    names = {room.name: room.name for room in chat.rooms}
    matrix = {room.matrix: room.name for room in chat.rooms if room.matrix is not None}
    parts = Counter(_opaque(room_id) for room_id in matrix)
    short = {
        part: name for room_id, name in matrix.items() if (part := _opaque(room_id)) and parts[part] == 1
    }
    return short | matrix | names


def _opaque(room_id: str) -> str:
    return room_id.removeprefix("!").partition(":")[0]


def _rule(rule: RouteRule) -> RoutingRule:
    return RoutingRule(
        route=Route(
            name=rule.name,
            mode=Mode(rule.mode),
            model=ModelChoice(rule.model),
            category=rule.category,
            emoji=rule.emoji,
            environment=rule.environment,
            team=rule.team,
            rooms=rule.rooms,
            runbook_url=str(rule.runbook_url) if rule.runbook_url else None,
            suggested_action=rule.suggest.action if rule.suggest else None,
            suggested_params={k: str(v) for k, v in rule.suggest.params.items()} if rule.suggest else {},
        ),
        match=rule.match,
        match_re={label: re.compile(pattern) for label, pattern in rule.match_re.items()},
        words=tuple(word_pattern(word) for word in rule.words),
        severities=frozenset(Severity(name) for name in rule.severity),
        text_re=anchored(rule.text_re) if rule.text_re else None,
        extract=anchored(rule.extract) if rule.extract else None,
        environments={name.lower(): proper for name, proper in rule.environments.items()},
    )


def grouping(config: Config) -> GroupingRules:
    return GroupingRules(
        correlation_labels=config.grouping.correlation_labels,
        reopen_within=config.grouping.reopen_within,
        heartbeats={beat.alertname: beat.missing_after for beat in config.grouping.heartbeats},
        topology_window=config.grouping.topology_window,
        topology_services=config.grouping.topology_services,
    )


def directory(config: Config) -> Directory:
    """Everyone the configuration names; the bot's own accounts can never review."""
    bots = set()
    if config.chat.matrix is not None:
        bots.add(Identity(platform=MATRIX, user_id=config.chat.matrix.user_id))
    people = []
    for entry in config.people:
        identities = set()
        if entry.matrix is not None:
            identities.add(Identity(platform=MATRIX, user_id=entry.matrix))
        if entry.console is not None:
            identities.add(Identity(platform=CONSOLE, user_id=entry.console))
        people.append(
            Person(id=PersonId(entry.id), identities=frozenset(identities), roles=frozenset(entry.roles))
        )
    return Directory(people=tuple(people), bots=frozenset(bots))


def approval_settings(config: Config) -> ApprovalSettings:
    approval = config.approval
    return ApprovalSettings(
        timeouts={
            Risk.LOW: approval.timeout_low,
            Risk.MEDIUM: approval.timeout_medium,
            Risk.HIGH: approval.timeout_high,
        },
        reminders=tuple(sorted(approval.reminders)),
        per_person_per_hour=approval.per_person_per_hour,
        proposal_max_age=approval.proposal_max_age,
    )


def verification(config: Config) -> VerificationSchedule:
    return VerificationSchedule(after=tuple(sorted(config.execution.verify_after)))
