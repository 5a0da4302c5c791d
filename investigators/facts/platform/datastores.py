"""Databases and caches that answer, but not with what was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.domain.evidence import Fact
from investigators.facts.charge import service
from investigators.facts.platform.charging import Complaint, callee_or_caller, complaints, other_users
from investigators.facts.platform.scene import Scene, cite, clip, listed
from investigators.world.world import Track

_AT_CALLEE = {
    "db_read_only": 0.9,
    "db_permission": 0.85,
    "too_many_connections": 0.85,
    "db_disk_full": 0.95,
    "replication_lag": 0.7,
    "lock_contention": 0.7,
    "db_deadlock": 0.7,
}
_THREADS = "thread_pool_exhausted"
_AT_CALLER = {"disk_full": 0.9, "migration_failed": 0.85, "pool_exhausted": 0.8, _THREADS: 0.75}
_KINDS = (*_AT_CALLEE, *_AT_CALLER, "db_auth_failed", "dependency_auth_failed")
_WHAT = {
    "db_read_only": "takes no writes",
    "db_permission": "denies permission",
    "too_many_connections": "has no connection left",
    "db_disk_full": "has no disk space left",
    "replication_lag": "lags behind in replication",
    "lock_contention": "makes its users wait for locks",
    "db_deadlock": "has deadlocks",
}


def check(scene: Scene) -> list[Fact]:
    facts: list[Fact] = []
    for kind, confidence in _AT_CALLEE.items():
        for one in complaints(scene, scene.symptoms.of(kind)):
            facts += _at_callee(scene, kind, confidence, one)
    for kind, confidence in _AT_CALLER.items():
        for one in complaints(scene, scene.symptoms.of(kind)):
            facts += _at_caller(scene, kind, confidence, one)
    for kind in ("db_auth_failed", "dependency_auth_failed"):
        for one in complaints(scene, scene.symptoms.of(kind)):
            facts += _auth(scene, kind, one)
    facts += _metrics(scene)
    return [*facts, *scene.silent_logs(_KINDS, "datastore.logs", facts)]


def _at_callee(scene: Scene, kind: str, confidence: float, one: Complaint) -> Iterator[Fact]:
    subject = callee_or_caller(scene, one)
    if subject is None:
        return
    if kind in ("lock_contention", "db_deadlock") and len(one.symptoms) < 2:
        # One transaction that loses is everyday life of a busy database.
        confidence = 0.4
    name = f" ({one.last.name})" if one.last.name else ""
    what = one.callee.name if one.callee is not None else f"a database of {subject.name}"
    who = f"{listed(one.callers)}: " if one.callers else "its own log: "
    detail = f"{what} {_WHAT[kind]}{name}; {who}{clip(one.last.line.text)}"
    sure = min(0.97, confidence + 0.05 * one.itself + 0.05 * (len(one.callers) > 1))
    sure -= 0.15 * (one.callee is None)
    yield subject.found(kind, sure, cite(one.symptoms), f"datastore.{kind}", detail)


def _at_caller(scene: Scene, kind: str, confidence: float, one: Complaint) -> Iterator[Fact]:
    """The one who complains is to blame, unless several have the same trouble with one datastore."""
    said = clip(one.last.line.text)
    name = f" ({one.last.name})" if one.last.name else ""
    if kind == "disk_full":
        for caller in one.callers:
            own = "db_disk_full" if scene.names.technology(caller) else kind
            detail = f"{caller} has no disk space left: {said}"
            subject = scene.subject_named(caller)
            yield subject.found(own, confidence, cite(one.symptoms), "datastore.disk_full", detail)
        return
    if one.callee is not None and len(one.callers) > 1:
        detail = f"{listed(one.callers)} have the same trouble with {one.callee.name}{name}: {said}"
        subject = scene.subject(one.callee)
        yield subject.found(kind, confidence, cite(one.symptoms), f"datastore.{kind}", detail)
        confidence -= 0.3
    for caller in one.callers or ((one.callee.name,) if one.callee is not None else ()):
        detail = f"{caller}{name}: {said}"
        cited = cite(each for each in one.symptoms if each.caller in (caller, ""))
        yield scene.subject_named(caller).found(kind, confidence, cited, f"datastore.{kind}", detail)


def _auth(scene: Scene, kind: str, one: Complaint) -> Iterator[Fact]:
    """Refused at the door. If others of the same datastore get in, the caller's credential is wrong; else
    the datastore's user or password was changed."""
    general = "dependency_auth_failed"
    user = f" as {one.last.name}" if one.last.name else ""
    said = clip(one.last.line.text)
    cited = cite(one.symptoms)
    if one.callee is None:
        for caller in one.callers:
            detail = f"{caller} is refused{user} by what it depends on: {said}"
            yield service(caller).found(general, 0.7, cited, "dependency.auth", detail)
            if kind != general:
                yield service(caller).found(kind, 0.7, cited, "dependency.auth", detail)
        return
    happy = other_users(scene, one)
    at_caller = bool(one.callers) and bool(happy)
    detail = f"{one.callee.name} refuses {listed(one.callers) or 'clients'}{user}: {said}"
    if at_caller:
        detail += f"; {listed(sorted(happy))} do not complain"
    callee, callers = scene.subject(one.callee), [scene.subject_named(name) for name in one.callers]
    for subject, confidence in (
        (callee, 0.5 if at_caller else 0.85),
        *((caller, 0.8 if at_caller else 0.5) for caller in callers),
    ):
        if kind != general:
            yield subject.found(kind, confidence, cited, "dependency.auth", detail)
        yield subject.found(general, confidence - 0.05, cited, "dependency.auth", detail)


_USED = {
    # used: (limit, what it means)
    "pg_stat_activity_count": ("pg_settings_max_connections", "too_many_connections"),
    "pg_stat_database_numbackends": ("pg_settings_max_connections", "too_many_connections"),
    "mysql_global_status_threads_connected": (
        "mysql_global_variables_max_connections",
        "too_many_connections",
    ),
    "redis_connected_clients": ("redis_config_maxclients", "too_many_connections"),
    "hikaricp_connections_active": ("hikaricp_connections_max", "pool_exhausted"),
    "jdbc_connections_active": ("jdbc_connections_max", "pool_exhausted"),
    "go_sql_in_use_connections": ("go_sql_max_open_connections", "pool_exhausted"),
    "go_sql_stats_connections_in_use": ("go_sql_stats_connections_max_open", "pool_exhausted"),
    "db_client_connections_usage": ("db_client_connections_max", "pool_exhausted"),
    "tomcat_threads_busy_threads": ("tomcat_threads_config_max_threads", _THREADS),
    "jetty_threads_busy": ("jetty_threads_config_max", _THREADS),
    "executor_active_threads": ("executor_pool_max_threads", _THREADS),
}
_LAG = re.compile(
    r"\A(?:pg_replication_lag(?:_seconds)?|mysql_slave_status_seconds_behind_master|"
    r"mongodb_mongod_replset_member_replication_lag|mongodb_rs_members_replicationLag)\Z"
)


def _metrics(scene: Scene) -> Iterator[Fact]:
    for used, (limit, kind) in _USED.items():
        limits = _summed(scene, limit)
        for name, now in _summed(scene, used).items():
            most = limits.get(name)
            if most and most[1] > 0 and now[1] >= 0.95 * most[1]:
                detail = f"{name} uses {now[1]:g} of {most[1]:g} ({used})"
                cited = (now[0].evidence, most[0].evidence)
                yield scene.subject_named(name).found(kind, 0.85, cited, f"datastore.{kind}", detail)
    for metric in scene.tracks:
        for track in scene.tracks[metric] if _LAG.match(metric) else ():
            late = [one for one in track.series.samples if scene.current(one.at)]
            if late and late[-1].value >= 30 and late[-1].value > 3 * _first(track):
                detail = f"{track.object} is {late[-1].value:.0f} s behind its primary"
                subject = scene.subject_named(track.object)
                yield subject.found("replication_lag", 0.85, (track.evidence,), "datastore.lag", detail)
    yield from _deadlocks(scene)


def _first(track: Track) -> float:
    samples = track.series.samples
    return samples[0].value if samples else 0.0


def _summed(scene: Scene, metric: str) -> dict[str, tuple[Track, float]]:
    """The last values of a metric, summed over its other labels, by object."""
    found: dict[str, tuple[Track, float]] = {}
    for track in scene.tracks.get(metric, ()):
        if not track.object or not track.series.samples:
            continue
        label = track.series.labels
        if metric == "db_client_connections_usage" and label.get("state", "used") != "used":
            continue
        before = found.get(track.object)
        value = track.series.samples[-1].value
        found[track.object] = (track, value + (before[1] if before else 0.0))
    return found


def _deadlocks(scene: Scene) -> Iterator[Fact]:
    for metric in ("pg_stat_database_deadlocks", "mysql_global_status_innodb_deadlocks"):
        for track in scene.tracks.get(metric, ()):
            late = [one.value for one in track.series.samples if scene.current(one.at)]
            if len(late) > 1 and late[-1] - late[0] >= 3:
                detail = f"{track.object} had {late[-1] - late[0]:.0f} deadlocks ({metric})"
                subject = scene.subject_named(track.object)
                yield subject.found("db_deadlock", 0.8, (track.evidence,), "datastore.deadlocks", detail)
