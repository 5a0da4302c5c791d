"""What no section can know alone: names that must exist, parts that need each other, dead lines."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path

from config.errors import Place, show_place
from config.modelcheck import check_model
from config.packs import pack_routes
from config.report import Report
from config.schema import Config, RouteRule, SourceAuth

MIN_SECRET_LENGTH = 16


def crosscheck(
    config: Config, broken: Collection[str], report: Report, known_actions: Collection[str] | None
) -> None:
    """Run every check whose sections are sound."""
    _unique(config, broken, report)
    for needs, check in _CHECKS:
        if needs.isdisjoint(broken):
            check(config, report)
    if known_actions is not None and "routes" not in broken:
        _suggested_actions(config, report, sorted(known_actions))


_UNIQUE = (
    ("the name", ("sources", "*", "name"), "rename one"),
    ("the alert", ("grouping", "heartbeats", "*", "alertname"), "keep one"),
    ("the name", ("routes", "*", "name"), "rename one"),
    ("the pack", ("route_packs", "*"), "keep one"),
    ("the service", ("services", "*", "name"), "list a service once, with all it depends on"),
    ("the name", ("chat", "rooms", "*", "name"), "rename one"),
    ("the room", ("chat", "rooms", "*", "matrix"), "keep one"),
    ("the terminal", ("chat", "rooms", "*", "console"), "keep one"),
    ("the id", ("people", "*", "id"), "list a person once, with every account"),
    ("the account", ("people", "*", "matrix"), "an account is one person's: list it once"),
    ("the account", ("people", "*", "console"), "an account is one person's: list it once"),
    ("the name", ("evidence", "prometheus", "*", "name"), "rename one"),
    ("the name", ("evidence", "loki", "*", "name"), "rename one"),
    ("the name", ("evidence", "seq", "*", "name"), "rename one"),
    ("the name", ("evidence", "traces", "*", "name"), "rename one"),
    ("the name", ("evidence", "kubernetes", "*", "name"), "rename one"),
    ("the name", ("evidence", "github", "*", "name"), "rename one"),
    ("the name", ("evidence", "gitlab", "*", "name"), "rename one"),
    ("the name", ("evidence", "teamcity", "*", "name"), "rename one"),
    ("the name", ("evidence", "fleet", "*", "name"), "rename one"),
    ("the name", ("evidence", "jira", "*", "name"), "rename one"),
    ("the name", ("evidence", "mcp", "*", "name"), "rename one"),
    ("the host", ("evidence", "runbooks", "hosts", "*", "host"), "keep one"),
    ("the name", ("evidence", "host", "processes", "*", "name"), "rename one"),
    ("the model", ("model", "prices", "*", "model"), "keep one"),
    ("the name", ("execution", "processes", "*", "name"), "rename one"),
    ("the pid file", ("execution", "processes", "*", "pid_file"), "give each process its own"),
)


def _unique(config: Config, broken: Collection[str], report: Report) -> None:
    for what, pattern, remedy in _UNIQUE:
        if pattern[0] in broken:
            continue
        first: dict[object, Place] = {}
        for place, value in _values(config, pattern, ()):
            if value in (None, False):
                continue
            if value in first:
                shown = "" if value is True else f" {report.shown(place, value)}"
                report.problem(place, f"{what}{shown} is taken by {show_place(first[value])}", remedy)
            first.setdefault(value, place)


def _values(value: object, pattern: tuple[str, ...], place: Place) -> Iterator[tuple[Place, object]]:
    if not pattern or value is None:
        yield place, value
    elif pattern[0] == "*" and isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _values(item, pattern[1:], (*place, index))
    else:
        yield from _values(getattr(value, pattern[0]), pattern[1:], (*place, pattern[0]))


def _sources(config: Config, report: Report) -> None:
    if not config.sources:
        report.problem(
            ("sources",), "no source, so no alert could come in", "add one with name, kind and auth"
        )
    for index, source in enumerate(config.sources):
        place: Place = ("sources", index, "auth")
        for way, secret in _secrets(source.auth):
            if len(secret) < MIN_SECRET_LENGTH:
                report.warn(
                    (*place, *way),
                    f"shorter than {MIN_SECRET_LENGTH} characters, so it may be guessed",
                    "make one with: openssl rand -hex 32",
                )


def _signatures(config: Config, report: Report) -> None:
    for index, source in enumerate(config.sources):
        if source.kind == "pagerduty" and source.auth.hmac is not None and source.auth.hmac.timestamp_header:
            report.problem(
                ("sources", index, "auth", "hmac", "timestamp_header"),
                "PagerDuty signs no time, so every delivery would be refused",
                "remove it",
            )


def _secrets(auth: SourceAuth) -> Iterable[tuple[Place, str]]:
    if auth.bearer is not None:
        yield ("bearer",), auth.bearer.get_secret_value()
    if auth.basic is not None:
        yield ("basic", "password"), auth.basic.password.get_secret_value()
    if auth.hmac is not None:
        yield ("hmac", "secret"), auth.hmac.secret.get_secret_value()
    if auth.path_secret is not None:
        yield ("path_secret",), auth.path_secret.get_secret_value()


def _unauthenticated(config: Config, report: Report) -> None:
    if _is_loopback(config.listen.host):
        return
    for index, source in enumerate(config.sources):
        if source.auth.unauthenticated:
            report.problem(
                ("sources", index, "auth", "unauthenticated"),
                "anybody who reaches listen.host could raise incidents",
                "give bearer, basic, hmac or path_secret, or listen on 127.0.0.1",
            )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _routes(config: Config, report: Report) -> None:
    catch_all: int | None = None
    for index, rule in enumerate(config.routes):
        place: Place = ("routes", index)
        if catch_all is not None:
            report.problem(
                place,
                f"is never reached: routes[{catch_all}] matches every alert",
                f"move it above routes[{catch_all}]",
            )
        elif _matches_everything(rule):
            catch_all = index
        if rule.mode != "investigate" and rule.suggest is not None:
            report.problem(
                (*place, "suggest"),
                f"has no use with mode: {rule.mode}",
                "remove it, or use mode: investigate",
            )
        for key in ("rooms", "extract", "environments") if rule.mode == "ignore" else ():
            if getattr(rule, key):
                report.problem(
                    (*place, key), "has no use with mode: ignore", "remove it, or use mode: notify"
                )


def _matches_everything(rule: RouteRule) -> bool:
    return not (rule.match or rule.match_re or rule.words or rule.text_re or rule.severity)


def _packs(config: Config, report: Report) -> None:
    everything = next((i for i, rule in enumerate(config.routes) if _matches_everything(rule)), None)
    places = {rule.name: index for index, rule in enumerate(config.routes)}
    for index, pack in enumerate(config.route_packs):
        place: Place = ("route_packs", index)
        if everything is not None:
            report.problem(
                place,
                f"is never reached: routes[{everything}] matches every alert",
                f"remove it, or let routes[{everything}] ask for something",
            )
        for rule in pack_routes((pack,)):
            if rule.name in places:
                report.problem(
                    ("routes", places[rule.name], "name"),
                    f"{rule.name} is the name of a route of the pack {pack}",
                    "rename it",
                )


def _suggested_actions(config: Config, report: Report, known: Sequence[str]) -> None:
    for index, rule in enumerate(config.routes):
        if rule.suggest is not None and rule.suggest.action not in known:
            place: Place = ("routes", index, "suggest", "action")
            shown = report.shown(place, rule.suggest.action)
            hint = report.hint(rule.suggest.action, known)
            report.problem(place, f"{shown} is not in the catalogue", hint)


def _rooms(config: Config, report: Report) -> None:
    chat = config.chat
    if not chat.rooms:
        report.problem(("chat", "rooms"), "no room, so nobody would hear of an incident", "add one")
    elif not chat.default_rooms:
        report.problem(
            ("chat", "default_rooms"), "no default room", f"name one, for example [{chat.rooms[0].name}]"
        )
    for index, room in enumerate(chat.rooms):
        place: Place = ("chat", "rooms", index)
        for platform in ("matrix", "console"):
            if getattr(room, platform) and getattr(chat, platform) is None:
                report.problem(
                    (*place, platform), f"needs the section chat.{platform}", f"add {platform}: below chat:"
                )
    for platform in ("matrix", "console"):
        section = getattr(chat, platform)
        if section is not None and not any(getattr(room, platform) for room in chat.rooms):
            report.warn(
                ("chat", platform),
                "no room is on this platform",
                f"add a room with {platform}:, or remove it",
            )


def _named_rooms(config: Config, report: Report) -> None:
    known = {room.name for room in config.chat.rooms}
    plain = [
        room.name
        for index, room in enumerate(config.chat.rooms)
        if not report.is_given(("chat", "rooms", index, "name"))
    ]
    named: list[tuple[Place, str]] = [
        (("chat", "default_rooms", index), name) for index, name in enumerate(config.chat.default_rooms)
    ]
    for index, rule in enumerate(config.routes):
        named += [(("routes", index, "rooms", position), name) for position, name in enumerate(rule.rooms)]
    for index, service in enumerate(config.services):
        named += [
            (("services", index, "rooms", position), name) for position, name in enumerate(service.rooms)
        ]
    for place, name in named:
        if known and name not in known:
            report.problem(place, f"{report.shown(place, name)} is no room", report.hint(name, plain))


def _people(config: Config, report: Report) -> None:
    for index, person in enumerate(config.people):
        if person.matrix is None and person.console is None:
            report.problem(
                ("people", index), "has no account, so nobody could be them", "add matrix: or console:"
            )
        if not person.roles:
            report.problem(("people", index, "roles"), "has no role", "add viewer, or remove the person")


def _platforms_of_people(config: Config, report: Report) -> None:
    for index, person in enumerate(config.people):
        for platform in ("matrix", "console"):
            if getattr(person, platform) is not None and getattr(config.chat, platform) is None:
                report.warn(
                    ("people", index, platform),
                    f"has no use without the section chat.{platform}",
                    f"add {platform}: below chat:, or remove it",
                )
        matrix = config.chat.matrix
        if matrix is not None and person.matrix == matrix.user_id:
            report.problem(
                ("people", index, "matrix"),
                "is the bot's own account, which may not approve anything",
                "name the person's account",
            )


def _execution(config: Config, report: Report) -> None:
    execution = config.execution
    if execution.enabled and not execution.processes and execution.alertmanager is None:
        report.problem(
            ("execution", "enabled"), "there is nothing to execute with", "add processes: or alertmanager:"
        )


def _signing(config: Config, report: Report) -> None:
    if config.execution.enabled and config.keys.signing_key is None:
        report.problem(
            ("execution", "enabled"),
            "needs keys.signing_key: an approval is only valid signed",
            "make one with: assent keys generate, and name it as keys: signing_key_file:",
        )


def _approvers(config: Config, report: Report) -> None:
    if not config.execution.enabled:
        return
    approvers = [
        person for person in config.people if any(role.startswith("approver:") for role in person.roles)
    ]
    if not approvers:
        report.problem(
            ("execution", "enabled"),
            "nobody may approve, so nothing could ever run",
            "give a person in people: a role like 'approver:*'",
        )
    elif len(approvers) == 1 and (
        config.policy.critical_services or any(service.critical for service in config.services)
    ):
        report.warn(
            ("people",),
            "only one person may approve, but critical services need two",
            "add a second approver",
        )


def _policy(config: Config, report: Report) -> None:
    directory = config.policy.directory
    if directory is not None and not _holds_rego(directory):
        report.problem(
            ("policy", "directory"),
            "is no folder with .rego files",
            "name one, or remove the line to use the shipped policy",
        )


def _holds_rego(directory: Path) -> bool:
    return directory.is_dir() and any(directory.glob("*.rego"))


def _ledger(config: Config, report: Report) -> None:
    anchor = config.ledger.anchor_file
    if anchor is not None and anchor.is_relative_to(config.data_dir):
        report.warn(
            ("ledger", "anchor_file"),
            "lies beside the store, so who can change one can change both",
            "keep it on another disk or host",
        )


_CHECKS: tuple[tuple[frozenset[str], Callable[[Config, Report], None]], ...] = (
    (frozenset({"sources"}), _sources),
    (frozenset({"sources"}), _signatures),
    (frozenset({"sources", "listen"}), _unauthenticated),
    (frozenset({"routes"}), _routes),
    (frozenset({"routes", "route_packs"}), _packs),
    (frozenset({"chat"}), _rooms),
    (frozenset({"chat", "routes", "services"}), _named_rooms),
    (frozenset({"people"}), _people),
    (frozenset({"people", "chat"}), _platforms_of_people),
    (frozenset({"execution"}), _execution),
    (frozenset({"execution", "keys"}), _signing),
    (frozenset({"execution", "people", "policy", "services"}), _approvers),
    (frozenset({"policy"}), _policy),
    (frozenset({"ledger", "data_dir"}), _ledger),
    (frozenset({"model", "routes", "evidence"}), check_model),
)
