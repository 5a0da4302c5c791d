"""A value that a change brought, and that the program refuses by name."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bot.domain.diagnosis import Hypothesis
from bot.domain.evidence import Change
from investigators.changes.linking import linked
from tests.investigators.platform.build import found, line, world
from tests.investigators.platform.cases import Case, case, judge, no
from tests.investigators.platform.objects import NOW, app, service

DIFF = '-  engine: "sqlite3"\n+  engine: "sqlit3"\n'
REFUSAL = "Error in configuration: Unsupported database type 'sqlit3'"
KIND = "wrong_env_value"


def change(diff: str = DIFF, *, minutes: float = 6, of: str = "cart") -> Change:
    at = NOW - timedelta(minutes=minutes)
    return Change(id="c1", kind="config", at=at, service=of, title="Spell it out", diff=diff)


CASES = [
    case("by its own name", world(logs={"cart": [REFUSAL]}, changes=[change()]), KIND, least=0.9),
    case(
        "a directive",
        world(
            logs={"cart": ["/etc/app.conf:9 - Error during parsing: Unknown directive 'forwrad'"]},
            changes=[change("-  forward . /etc/resolv.conf\n+  forwrad . 192.168.7.2\n")],
        ),
        KIND,
    ),
    case(
        "a key with dots",
        world(
            logs={"cart": ['invalid value "orders.v2-beta" for topic']},
            changes=[change("-topic=orders.v1\n+topic=orders.v2-beta\n")],
        ),
        KIND,
    ),
    no("without a change", world(logs={"cart": [REFUSAL]}), KIND),
    no("another's change", world(logs={"cart": [REFUSAL]}, changes=[change(of="front")]), KIND),
    no("a change long ago", world(logs={"cart": [REFUSAL]}, changes=[change(minutes=600)]), KIND),
    no("a change after it", world(logs={"cart": [REFUSAL]}, changes=[change(minutes=1)]), KIND),
    no(
        "a word that was there before the change",
        world(
            lines=[line(REFUSAL, service="cart", minutes=30), line(REFUSAL, service="cart", minutes=2)],
            changes=[change()],
        ),
        KIND,
    ),
    no(
        "a word that is on both sides",
        world(
            logs={"cart": ["Unsupported database type 'sqlite3'"]},
            changes=[change("-  engine: sqlite3\n+  engine: sqlite3 # old\n")],
        ),
        KIND,
    ),
    no("praise", world(logs={"cart": ["opened database 'sqlit3'"]}, changes=[change()]), KIND),
    no(
        "a word that is not quoted",
        world(logs={"cart": ["unknown trouble with sqlit3"]}, changes=[change()]),
        KIND,
    ),
    no(
        "a table that is not there",
        world(
            logs={"cart": ['ERROR:  relation "invoices" does not exist']},
            changes=[change("+    db.execute('insert into invoices')\n")],
        ),
        KIND,
    ),
    no("no line of it at hand", world(logs={"front": [REFUSAL]}, changes=[change()]), KIND),
]


@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_what_the_program_refuses_is_charged_to_its_setting(one: Case) -> None:
    judge(one)


def test_of_a_workload_in_a_cluster_others_tell_what_broke_and_the_change_is_linked() -> None:
    of = world(service("cart"), app("cart"), logs={"cart": [REFUSAL]}, changes=[change()])
    assert not found(of, KIND)
    cause = Hypothesis(object="cart", fault="crashloop", score=0.5, statement="it crashes", evidence_ids=())
    (suspect,) = linked(of, [cause])
    assert (suspect.change_id, suspect.why) == ("c1", "it brought sqlit3, which cart refuses")
    elsewhere = Hypothesis(
        object="pay", fault="crashloop", score=0.5, statement="it crashes", evidence_ids=()
    )
    assert linked(of, [elsewhere]) == ()
