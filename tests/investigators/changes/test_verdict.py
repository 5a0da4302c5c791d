"""When, where and how a change counts, and what is said when none does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain.evidence import Change, Evidence, EvidenceStatus, FactVerdict, Window
from investigators.changes.candidates import candidates
from investigators.changes.verdict import ChangeVerdict, Rules, suspects
from tests.investigators.changes.invented import (
    NOW,
    ONSET,
    Incident,
    Log,
    Metric,
    change,
    everyday,
    evidence,
    incidents,
    world,
)

GUARD = "-\tif u == nil {\n-\t\treturn none\n-\t}\n \treturn u.Name\n"
HARMLESS = '-\tlog.Info("a")\n+\tlog.Info("b")\n'
PANIC = Log(service="users", text="panic: invalid memory address or nil pointer dereference")


def _incident(
    *changes: Change, logs: tuple[Log, ...] = (PANIC,), metrics: tuple[Metric, ...] = ()
) -> Incident:
    return Incident(
        name="x",
        service="users",
        alert="users errors",
        logs=logs,
        metrics=metrics,
        changes=changes,
        culprit=None,
    )


def _judge(*changes: Change, rules: Rules | None = None) -> ChangeVerdict:
    return suspects(world(_incident(*changes)), NOW, rules)


def test_the_latest_deploy_alone_is_never_a_cause() -> None:
    verdict = _judge(change("last", 6, "users/log.go", HARMLESS, service="orders"))

    assert verdict.no_culprit is True
    assert verdict.suspects == ()


def test_the_change_that_explains_outranks_the_latest_deploy() -> None:
    verdict = _judge(
        change("cause", 60, "users/name.go", GUARD, service="users"),
        change("last", 6, "users/log.go", HARMLESS, service="users"),
    )

    assert verdict.suspects[0].change_id == "cause"


def test_what_came_after_the_first_sign_is_not_to_blame() -> None:
    verdict = _judge(change("late", 1, "users/name.go", GUARD, service="users"))

    assert verdict.no_culprit is True


def test_what_came_after_the_investigation_began_is_not_looked_at() -> None:
    late = change("future", -30, "users/name.go", GUARD, service="users")

    assert suspects(world(_incident(late)), NOW).no_culprit is None


def test_without_the_time_rule_a_late_change_is_blamed() -> None:
    late = change("late", 1, "users/name.go", GUARD, service="users")

    assert [one.change_id for one in _judge(late, rules=Rules(time=False)).suspects] == ["late"]


def test_a_leak_is_dated_to_where_the_growth_began() -> None:
    grows = "+var seen []string\n+\n func f(x string) {\n+\tseen = append(seen, x)\n }\n"
    incident = _incident(
        change("cause", 125, "users/seen.go", grows, service="users"),
        change("late", 30, "users/late.go", grows.replace("seen", "kept"), service="users"),
        logs=(Log(service="users", text="OOMKilled: exceeded memory limit", before=1, count=2),),
        metrics=(
            Metric(service="users", name="memory_rss_bytes", usual=1e8, now=1e9, before=120, slowly=True),
        ),
    )

    first, *others = suspects(world(incident), NOW).suspects
    assert first.change_id == "cause"
    assert all(one.score < first.score / 2 for one in others)


def test_the_same_diff_in_another_service_counts_less() -> None:
    verdict = _judge(
        change("near", 40, "users/name.go", GUARD, service="users"),
        change("far", 30, "blog/name.go", GUARD, service="blog"),
    )

    near, far = verdict.suspects[:2]
    assert (near.change_id, far.change_id) == ("near", "far")
    assert far.score < near.score * 0.7


def test_a_shared_library_counts_for_every_service() -> None:
    verdict = _judge(change("shared", 40, "pkg/names/name.go", GUARD))

    assert verdict.suspects[0].change_id == "shared"
    assert verdict.suspects[0].score > 0.7


def test_documentation_and_tests_are_not_suspected() -> None:
    verdict = _judge(
        change("docs", 20, "docs/nil.md", "-nil pointer dereference panic\n+invalid memory address\n"),
        change("test", 15, "users/name_test.go", GUARD, service="users"),
    )

    assert verdict.no_culprit is True


def test_a_change_of_another_environment_counts_little() -> None:
    verdict = _judge(change("staging", 20, "deploy/staging/users.go", GUARD))

    assert verdict.no_culprit is True


def test_a_rearrangement_that_keeps_every_check_is_not_suspected() -> None:
    moved = (
        "-\tif u == nil {\n-\t\treturn none\n-\t}\n+\tif missing(u) {\n+\t\treturn none\n+\t}\n+}\n+\n"
        "+func missing(u *User) bool {\n+\treturn u == nil\n"
    )
    verdict = _judge(change("moved", 20, "users/name.go", moved, service="users"))

    assert not verdict.suspects or verdict.suspects[0].score < 0.35


def test_no_change_at_all_is_no_verdict() -> None:
    verdict = _judge()

    assert verdict.no_culprit is None
    assert verdict.suspects == ()


def test_two_judgements_of_one_world_are_equal() -> None:
    incident = incidents("code")[0]

    assert suspects(world(incident), NOW) == suspects(world(incident), NOW)


def test_the_order_of_the_changes_does_not_matter() -> None:
    incident = incidents("code")[2]
    turned = replace(incident, changes=tuple(reversed(incident.changes)))

    assert suspects(world(incident), NOW).suspects == suspects(world(turned), NOW).suspects


def test_a_secret_in_a_diff_or_a_title_is_not_repeated() -> None:
    diff = "-  DB_PASSWORD: hunter2-canary\n+  DB_PASSWORD: hunter3-canary\n"
    verdict = suspects(
        world(
            _incident(
                change(
                    "c", 30, "deploy/users.yaml", diff, service="users", title="set password=hunter3-canary"
                ),
                logs=(Log(service="users", text="password authentication failed for user app"),),
            )
        ),
        NOW,
    )

    assert verdict.suspects[0].change_id == "c"
    assert "canary" not in repr(verdict)


@pytest.mark.parametrize(
    "text",
    [
        "status page of mailgrid: all systems operational",
        "status page of mailgrid: elevated error rates for outgoing mail",
        "POST https://api.mailgrid.com/send returned 503",
    ],
)
def test_somebody_elses_trouble_does_not_clear_the_change(text: str) -> None:
    incident = _incident(
        change("cause", 60, "users/name.go", GUARD, service="users"),
        logs=(PANIC, Log(service="users", text=text, level="warn", count=2, before=10)),
    )

    assert [one.change_id for one in suspects(world(incident), NOW).suspects][:1] == ["cause"]


# Deployments and commits


@pytest.mark.parametrize(
    "deploy",
    [
        change("0123456789abcdef", 9, service="users"),
        replace(change("d-17", 9, service="users"), after="0123456789abcdef"),
        change("users@0123456", 9, service="users"),
        replace(change("d-17", 9, service="users"), version="v1-0123456"),
    ],
    ids=["same id", "after", "in its id", "in its version"],
)
def test_a_deployment_lends_its_time_and_service_to_the_commit_it_brought(deploy: Change) -> None:
    commit = change("0123456789abcdef", 300, "pkg/x.go", GUARD)

    (one,) = candidates((commit, deploy), ["users"])

    assert one.change.id == commit.id
    assert (one.at, one.services, one.deployed) == (deploy.at, frozenset({"users"}), True)


def test_a_commit_takes_effect_with_the_next_deployment_of_its_service() -> None:
    commit = change("c", 60, "services/users/name.go", GUARD)
    release = change("r", 30, "services/users/version.go", "-1\n+2\n", service="users")

    one = next(one for one in candidates((commit, release), ["users"]) if one.change.id == "c")

    assert (one.at, one.carried, one.deployed) == (release.at, True, False)


def test_a_commit_that_nobody_deployed_before_the_fault_counts_less() -> None:
    release = change("r", 200, "services/users/version.go", "-1\n+2\n", service="users")
    shipped = change("c", 220, "services/users/name.go", GUARD)
    unshipped = change("c", 100, "services/users/name.go", GUARD)

    scores = [_judge(release, one).suspects[0].score for one in (shipped, unshipped)]

    assert scores[1] < scores[0] * 0.7


# Facts


def _facts(verdict: ChangeVerdict, kind: str) -> list[tuple[FactVerdict, str]]:
    return [(fact.verdict, fact.subject) for fact in verdict.facts if fact.kind == kind]


def test_recent_deployments_are_support_for_each_service() -> None:
    verdict = _judge(
        change("a", 30, "users/log.go", HARMLESS, service="users"),
        change("b", 60, "orders/log.go", HARMLESS, service="orders"),
        change("old", 300, "blog/log.go", HARMLESS, service="blog"),
    )

    assert _facts(verdict, "recent_deploy") == [(FactVerdict.FOUND, "orders"), (FactVerdict.FOUND, "users")]


def test_a_changed_configuration_is_a_fact() -> None:
    verdict = _judge(change("a", 30, "deploy/users.yaml", "-a: x\n+a: y\n", service="users"))

    assert _facts(verdict, "config_changed") == [(FactVerdict.FOUND, "users")]


def test_a_sure_suspect_charges_its_service() -> None:
    verdict = _judge(change("cause", 60, "users/name.go", GUARD, service="users"))

    (fact,) = [fact for fact in verdict.facts if fact.kind == "bad_change"]
    assert fact.subject == "users"
    assert "ev-log" in fact.evidence_ids


def test_a_history_that_was_read_and_holds_nothing_is_absence() -> None:
    assert _facts(_judge(), "recent_deploy") == [(FactVerdict.ABSENT, "users")]


def test_a_history_that_could_not_be_read_is_a_gap_not_an_absence() -> None:
    failed = replace(
        evidence("ev-gap", "change.list", Window(start=ONSET, end=NOW)),
        status=EvidenceStatus.FAILED,
        reason="timeout after 10 s",
    )
    verdict = suspects(world(_incident(), asked=(failed,)), NOW)

    assert _facts(verdict, "recent_deploy") == [(FactVerdict.UNKNOWN, "users")]


def test_a_cut_history_is_no_absence() -> None:
    cut: Evidence = replace(
        evidence("ev-cut", "change.list", Window(start=ONSET, end=NOW), changes=everyday()),
        reason="only the last 9",
    )
    verdict = suspects(world(_incident(), asked=(cut,)), NOW)

    assert _facts(verdict, "recent_deploy") == [(FactVerdict.UNKNOWN, "users")]
