"""Whatever is sent to a host is one SELECT over allowed tables. SQLite itself is the judge."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from adapters.evidence.fleet.prepared import NotPrepared, select_for
from adapters.evidence.fleet.sql import MAX_LENGTH, NotAdmitted, admit
from config.records import OSQUERY_NEVER, OSQUERY_TABLES
from tests.servers.fleet import TABLES, database

LIMIT = 10
ALLOWED = frozenset(OSQUERY_TABLES)
SECRET = "hunter2hunter2"


@pytest.fixture(scope="module")
def host() -> Iterator[sqlite3.Connection]:
    made = database(
        {"processes": [(n, 1, f"p{n}") + ("",) * 12 for n in range(20)], "shadow": [("root", SECRET)]}
    )
    yield made
    made.close()


def touched(host: sqlite3.Connection, sql: str) -> tuple[set[str], set[str]]:
    """The tables that SQLite reads for the statement, and what else it would do."""
    tables: set[str] = set()
    others: set[str] = set()

    def note(action: int, first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_READ:
            tables.add((first or "").lower())
        elif action == sqlite3.SQLITE_FUNCTION:
            if (second or "").lower() not in FUNCTIONS:
                others.add(f"function {second}")
        elif action not in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            others.add(f"action {action} {first}")
        return sqlite3.SQLITE_OK

    host.set_authorizer(note)
    try:
        host.execute(sql).fetchmany(LIMIT + 1)
    except sqlite3.Error:
        # What SQLite cannot prepare, osquery does not run; what it had read until then still counts.
        pass
    finally:
        host.set_authorizer(None)
    return tables, others


FUNCTIONS = {
    "abs",
    "avg",
    "coalesce",
    "count",
    "datetime",
    "glob",
    "ifnull",
    "length",
    "like",
    "lower",
    "max",
    "min",
    "round",
    "substr",
    "substring",
    "sum",
    "upper",
}


@pytest.mark.parametrize(
    "sql",
    [
        "select * from processes",
        "SELECT pid, name FROM processes WHERE name LIKE '%x%' ORDER BY resident_size DESC LIMIT 5;",
        "select count(*) c, name from processes group by name having c > 1 order by c desc",
        "with busy as (select pid from processes where user_time > 5) "
        "select l.port from listening_ports l join busy b on b.pid = l.pid",
        "select pid from processes union select pid from listening_ports",
        "select * from processes where pid in (select pid from listening_ports) and uid not in (0, 1)",
        "select name, case when uid = 0 then 'root' else 'other' end from processes",
        "select path, mtime, size from file where path = '/etc/hosts'",
        "select path from file f where f.path in ('/etc/hosts', '/etc/passwd') and size > 0",
        'select "name" from processes as p where exists (select 1 from users u where u.uid = p.uid)',
        "select datetime(start_time, 'unixepoch'), name || ' (' || pid || ')' from processes",
        "select distinct uid from processes limit 3 offset 1",
        "select name from processes where name not like 'a;b%' and cmdline is not null",
        "select cast(pid as text), -pid, pid % 2, round(pid / 2.0, 1), substr(name, 1, 2) from processes",
        "select p.name from processes p left join listening_ports l using (pid) where l.port between 1 and 9",
        "select name from (select name, pid from processes) where pid > 1",
    ],
)
def test_what_a_person_asks_of_a_host_is_sent_and_runs(host: sqlite3.Connection, sql: str) -> None:
    sent = admit(sql, ALLOWED, limit=LIMIT)
    tables, others = touched(host, sent)
    assert tables <= ALLOWED
    assert tables
    assert others == set()
    assert len(host.execute(sent).fetchall()) <= LIMIT
    assert admit(sent, ALLOWED, limit=LIMIT) == sent


ATTACKS = {
    "two statements": "select 1 from users; drop table users",
    "an update": "update users set uid = 0",
    "an insert": "insert into users select * from users",
    "a replace": "replace into users select 1",
    "a delete": "delete from carves",
    "a delete behind with": "with x as (select 1) delete from users",
    "an insert behind with": "with x as (select 1) insert into users select * from x",
    "a table made": "create table x as select * from users",
    "a table made by select": "select * into x from users",
    "an attachment": "attach database '/etc/passwd' as x",
    "a pragma": "pragma table_info(users)",
    "a pragma as a table": "select * from pragma_table_info('users')",
    "an explanation": "explain select * from shadow",
    "a list of values": "values (1)",
    "values as a table": "select * from (values (1))",
    "passwords": "select * from shadow",
    "passwords in capitals": "select * from SHADOW",
    "passwords in quotes": 'select * from "shadow"',
    "passwords in single quotes": "select * from 'shadow'",
    "passwords in brackets": "select * from [shadow]",
    "passwords in backticks": "select * from `shadow`",
    "passwords of a schema": "select * from main.shadow",
    "an allowed table of another schema": "select * from temp.users",
    "passwords beside": "select * from users, shadow",
    "passwords joined": "select * from users join shadow using (username)",
    "passwords joined in brackets": "select * from (users join shadow)",
    "passwords in a bracket": "select * from (shadow)",
    "passwords below": "select (select password_status from shadow) from users",
    "passwords compared": "select * from users where exists (select 1 from shadow)",
    "passwords looked into": "select * from users where username in (select username from shadow)",
    "passwords looked into without brackets": "select * from users where username in shadow",
    "passwords looked into by schema": "select * from users where username in main.shadow",
    "passwords in the order": "select * from users order by (select 1 from shadow)",
    "passwords in the limit": "select * from users limit (select count(*) from shadow)",
    "passwords in a union": "select username from users union all select password_status from shadow",
    "passwords in an except": "select username from users except select username from shadow",
    "passwords behind with": "with x as (select * from shadow) select * from x",
    "passwords under their own name": "with shadow as (select * from shadow) select * from shadow",
    "passwords before their name has a meaning": (
        "with a as (select * from shadow), shadow as (select 1) select * from a"
    ),
    "passwords beside a name of theirs": (
        "select * from (with shadow as (select 1) select * from shadow), shadow"
    ),
    "passwords below a name of theirs": (
        "select (with shadow as (select 1) select 1 from shadow), s.* from shadow s"
    ),
    "a name that hides a table": "with file as (select 1) select * from file",
    "recursion": "with recursive x(n) as (select 1 union all select n + 1 from x) select * from x",
    "recursion without the word": "with x as (select 1 union all select * from x) select * from x",
    "the schema": "select * from sqlite_master",
    "the temporary schema": "select * from sqlite_temp_master",
    "the flags": "select * from osquery_flags",
    "a fetch": "select * from curl where url = 'http://169.254.169.254/'",
    "a certificate fetched": "select * from curl_certificate where hostname = 'x'",
    "a carve": "select * from carves where carve = 1 and path = '/etc/shadow'",
    "a scan": "select * from yara where path = '/etc/shadow' and sig_url = 'http://x'",
    "environments": "select * from process_envs",
    "histories": "select * from shell_history",
    "a configuration file": "select * from augeas where path = '/etc/shadow'",
    "every file": "select * from file",
    "every file by wildcard": "select * from file where path like '/%%'",
    "every file by a wildcard that is equal": "select * from file where path = '/%%'",
    "every file by glob": "select * from file where path glob '/*'",
    "every file by or": "select * from file where path = '/a' or 1",
    "every file by not": "select * from file where not path = '/a'",
    "every file by not in": "select * from file where path not in ('/a')",
    "every file by folder": "select * from file where directory = '/'",
    "every file by a join": "select * from file join users on path = '/a' where path = '/a'",
    "every file by a left join": "select * from users left join file on file.path = '/a'",
    "every file by another's column": (
        "select * from users path where exists (select 1 from file where path.path = '/a')"
    ),
    "every file by a column": "select * from file where path = directory",
    "every file by a subquery": "select * from file where path in (select username from users)",
    "every file beside": "select * from file, users where path = '/a'",
    "every file in a union": "select path from file where path = '/a' union select path from file",
    "a file on the way up": "select * from file where path = '/a/../b'",
    "a relative file": "select * from file where path = 'etc/passwd'",
    "a loaded extension": "select load_extension('/tmp/x.so')",
    "a read file": "select readfile('/etc/shadow')",
    "a written file": "select writefile('/tmp/x', 'y')",
    "an edit": "select edit('x', 'rm -rf /')",
    "much memory": "select zeroblob(1000000000)",
    "much memory by printf": "select printf('%1000000000d', 1)",
    "much memory by replace": "select replace('aaaa', 'a', name) from processes",
    "much random": "select randomblob(1000000000) from users",
    "a series": "select * from generate_series(1, 1000000000)",
    "json as a table": "select * from users, json_each(username)",
    "a window": "select row_number() over (partition by uid) from users",
    "a regular expression": "select * from users where username regexp '(a+)+$'",
    "a match": "select * from users where username match 'x'",
    "a product of many": (
        "select count(*) from processes a, processes b, processes c, processes d, processes e"
    ),
    "a lock": "select * from users for update",
    "an index": "select * from users indexed by x",
    "a parameter": "select * from users where uid = ?",
    "a named parameter": "select * from users where uid = :uid",
    "a comment": "select 1 from users -- drop",
    "a comment inside": "select/**/1 from users",
    "a comment that never ends": "select 1 from users /* drop",
    "a comment that hides": "select 1 /*! from users */",
    "a limit below zero": "select * from users limit -1",
    "a limit of text": "select * from users limit '5'",
    "a limit that is computed": "select * from users limit 1 + 1",
    "nothing": "",
    "a blank": "  ",
    "words": "please show me the users",
    "a NUL": "select 1 from users\0; drop table users",
    "half of a statement": "select * from",
    "an unclosed text": "select 'x from users",
    "much": "select 1 from users where 1 " + "and 1 " * MAX_LENGTH,
    "brackets without end": "select " + "(" * 1500 + "1" + ")" * 1500,
    "signs without end": "select " + "- " * 1500 + "1",
    "negations without end": "select " + "not " * 900 + "1",
    "an odd blank": "select\x0b1 from users",
    "a terminal's command": "select '\x1b[2J' from users",
}


@pytest.mark.parametrize("sql", ATTACKS.values(), ids=ATTACKS.keys())
def test_an_attack_is_not_sent(sql: str) -> None:
    with pytest.raises(NotAdmitted) as caught:
        admit(sql, ALLOWED, limit=LIMIT)
    assert str(caught.value)
    assert len(str(caught.value)) < 200


def test_a_refusal_does_not_repeat_what_was_asked() -> None:
    for sql in (f"select '{SECRET}", f"insert into x values ('{SECRET}')", f"select f('{SECRET}')"):
        with pytest.raises(NotAdmitted) as caught:
            admit(sql, ALLOWED, limit=LIMIT)
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_limit_is_added_and_a_larger_one_made_smaller() -> None:
    assert admit("select uid from users", ALLOWED, limit=7).endswith(" LIMIT 7")
    assert admit("select uid from users limit 900", ALLOWED, limit=7).endswith(" LIMIT 7")
    assert admit("select uid from users limit 3", ALLOWED, limit=7).endswith(" LIMIT 3")


def test_a_limit_holds_for_a_whole_union(host: sqlite3.Connection) -> None:
    sent = admit("select pid from processes union all select pid from processes", ALLOWED, limit=7)
    assert len(host.execute(sent).fetchall()) == 7


def test_only_a_configured_table_is_allowed() -> None:
    assert admit("select uid from users", {"users"}, limit=1)
    with pytest.raises(NotAdmitted):
        admit("select pid from processes", {"users"}, limit=1)


def test_no_table_is_both_allowed_and_never() -> None:
    assert ALLOWED.isdisjoint(OSQUERY_NEVER)


@pytest.mark.parametrize("table", OSQUERY_TABLES)
def test_every_allowed_table_has_a_question_that_is_admitted(table: str) -> None:
    assert admit(select_for(table, ALLOWED, ("/etc/hosts", "/tmp/it's")), ALLOWED, limit=LIMIT)


@pytest.mark.parametrize("table", ["shadow", "file", "users; drop table users", ""])
def test_a_table_that_is_not_allowed_or_not_declared_is_not_asked(table: str) -> None:
    with pytest.raises(NotPrepared):
        select_for(table, ALLOWED, ())


odd = st.sampled_from(["shadow", "file", "main.shadow", "(shadow)", '"shadow"', "pragma_table_info('x')"])
names = st.one_of(st.sampled_from(["processes", "users", "listening_ports", "x", "y"]), odd)
columns = st.sampled_from(
    ["*", "1", "count(*)", "pid", "uid", "path", "name", "'/etc/x'", "load_extension('x')"]
)
WITHOUT = st.just("")


@st.composite
def statements(draw: st.DrawFn, depth: int = 2) -> str:
    """SELECTs of every kind, right and wrong ones: what a grammar can make that knows the attacks."""
    inner = statements(depth - 1) if depth else st.just("select 1 from users")
    source = draw(
        st.one_of(
            names,
            names.map(lambda name: f"{name} a"),
            st.tuples(names, names).map(lambda two: f"{two[0]} a join {two[1]} b on 1"),
            st.tuples(names, names).map(", ".join),
            inner.map(lambda one: f"({one}) s"),
        )
    )
    condition = draw(
        st.one_of(
            WITHOUT,
            st.sampled_from(
                ["where path = '/etc/hosts'", "where path in ('/a')", "where path in ('/a') or 1"]
            ),
            inner.map(lambda one: f"where exists ({one})"),
            inner.map(lambda one: f"where pid in ({one})"),
            names.map(lambda name: f"where pid in {name}"),
        )
    )
    ends = [" limit 5", " limit -1", " order by 1", "; drop table users", " -- x", " for update"]
    tail = draw(
        st.one_of(
            WITHOUT,
            st.sampled_from(ends) if depth == 2 else WITHOUT,
            inner.map(lambda one: f" union {one}"),
            inner.map(lambda one: f" order by ({one})"),
        )
    )
    part = st.tuples(st.one_of(st.sampled_from(["x", "y"]), names), inner).map(
        lambda two: f"{two[0]} as ({two[1]})"
    )
    parts = draw(st.lists(part, max_size=2)) if depth == 2 or draw(st.integers(0, 9)) == 0 else []
    head = f"with {', '.join(parts)} " if parts else ""
    return f"{head}select {draw(columns)} from {source} {condition}{tail}"


def judged(host: sqlite3.Connection, sql: str) -> bool:
    """Whether it was admitted; what was is one SELECT over allowed tables, for sqlglot and for SQLite."""
    try:
        sent = admit(sql, ALLOWED, limit=LIMIT)
    except NotAdmitted:
        return False
    (statement,) = sqlglot.parse(sent, read="sqlite")
    assert isinstance(statement, exp.Select | exp.Union | exp.Intersect | exp.Except)
    given_names = {cte.alias.lower() for cte in statement.find_all(exp.CTE)}
    assert {table.name.lower() for table in statement.find_all(exp.Table)} <= ALLOWED | given_names
    assert given_names.isdisjoint(ALLOWED)
    assert statement.args["limit"] is not None
    assert sqlite3.complete_statement(f"{sent};")
    tables, others = touched(host, sent)
    # SQLite names a part of WITH and a subquery like a table; those are read from allowed ones.
    assert (tables & set(TABLES)) <= ALLOWED, sent
    assert others == set(), sent
    return True


@settings(max_examples=400, deadline=None)
@given(sql=statements())
def test_whatever_is_admitted_is_one_select_over_allowed_tables(host: sqlite3.Connection, sql: str) -> None:
    judged(host, sql)


WORDS = """
select from where and or union all ( ) , ; * users shadow processes file path = '/a' 'x' " ` [ ] with as in
exists limit 5 -1 join on using -- /* */ main . case when then end not null is like 1 pid uid x order by
values insert delete into pragma
"""
pieces = st.sampled_from(WORDS.split())


@settings(max_examples=400, deadline=None)
@given(words=st.lists(pieces, max_size=14))
def test_whatever_is_admitted_of_a_heap_of_words_is_one_select(
    host: sqlite3.Connection, words: list[str]
) -> None:
    judged(host, "select " + " ".join(words))


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_no_text_breaks_it(host: sqlite3.Connection, text: str) -> None:
    judged(host, text)
    judged(host, f"select {text} from users")
    judged(host, f"select * from users where username = '{text}'")
