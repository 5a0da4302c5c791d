"""Faults that come from data: queries, schemas, names of fields, formats."""

from __future__ import annotations

import re

from investigators.changes.diffs import Diff
from investigators.changes.mechanisms.base import (
    Detect,
    Hit,
    Mechanism,
    either,
    exact,
    fits,
    gains,
    in_files,
    loses,
    rx,
    tunes,
)
from investigators.changes.values import MOST_PAIRED, likeness

_LIMIT = rx(
    r"\bLIMIT\s+[\d:$?%{]|\.limit\(|\bTOP\s*\(?\d|\bFETCH FIRST\b|\bpage_?size\b|\.take\("
    r"|\[:\s*\d+\]|\bpaginat\w*|\bPageable\b|\bsetMaxResults\("
    r"|\bper_page\b|\.first\(\d"
)


_WHERE = rx(r"\bWHERE\b|\bAND\s+[\w.\"]+\s*(?:=|>|<|\bIN\b|\bBETWEEN\b)|\.filter\(|\.where\(|\bHAVING\b")


_INDEX = rx(
    r"\bCREATE\s+(?:UNIQUE\s+)?INDEX\b|\badd_index\b|\bdb_index\s*=\s*True|@Index\b"
    r"|\bindex\s*[:=]\s*true|\bcreateIndex\(|\bcreate_index\("
)


_DROP_INDEX = rx(r"\bDROP\s+INDEX\b|\bdrop_index\b|\bremove_index\b|\bdropIndex\(")


_TABLE = re.compile(
    r"\b(?:FROM|JOIN|INTO|UPDATE"
r"|TABLE(?:\s+IF\s+(?:NOT\s+)?EXISTS)?)\s+[\"`\[]?([A-Za-z_][\w.]*)"
r"|__tablename__\s*=\s*[\"'](\w+)"
    r"|@Table\(\s*name\s*=\s*\"(\w+)|\bdb_table\s*=\s*[\"'](\w+)|\.(?:table|from)\(\s*[\"'](\w+)", re.I,
)  # fmt: skip


_COLUMN = re.compile(
    r"\b([a-z][a-z0-9]*(?:_[a-z0-9]+)+)\b|\bSELECT\s+(\w+)|@Column\(\s*name\s*=\s*\"(\w+)"
    r"|Column\(\s*[\"'](\w+)",
    re.I,
)


_MIGRATION = re.compile(r"migrat|\.sql$|schema\.rb|alembic|flyway|liquibase", re.I)


_SCHEMA = re.compile(r"migrat|\.sql$|schema|models?|entit|alembic|flyway|liquibase", re.I)


_FIELD = re.compile(
    r"(?:json|yaml|xml|bson|db|avro|protobuf|form):\"([\w.\-]+)|[\"'`]([A-Za-z_][\w.\-]*)[\"'`]"
    r"|^\s*(?:optional |required |repeated )?[\w.<>, ]+\s(\w+)\s*=\s*\d+\s*;"
    r"|^\s*(\w+)\??\s*:\s*[\w\[\]<>| .,]+[;,]?\s*$"
    r"|@JsonProperty\(\s*\"(\w+)|serde\(rename\s*=\s*\"(\w+)|\bRENAME COLUMN (\w+)|\bAS\s+(\w+)"
    r"|\.([a-z_]\w*)\b(?!\s*\()"
)


_PROTO = re.compile(r"^\s*(?:optional |required |repeated )?([\w.]+)\s+(\w+)\s*=\s*(\d+)\s*;")


_FORMAT = rx(
    r"\butf-?8|\blatin-?1|\bcharset|\bencoding\b|\.(?:en|de)code\([\"']|base64|\bgzip|content-?type"
    r"|\btime_?zone|\btzinfo|\bstrf?ptime|strftime|\bparse_?date"
    r"|\blocale|msgpack|\bavro\b|\bprotobuf\b|\bpickle\b|\bisoformat|ISO_?8601|RFC3339"
    r"|\bUnix(?:Milli)?\(|SimpleDateFormat|ofPattern|date_?format|toISOString|\bjson\.dumps"
)


def _renamed_field(diff: Diff) -> Hit | None:
    """A name in a tag, a key or a schema that went while a like line with another name came."""
    for hunk in diff.hunks:
        for old in hunk.removed[:MOST_PAIRED]:
            if not _fields(old):
                continue
            like = [new for new in hunk.added[:MOST_PAIRED] if likeness(old, new, 0.55)]
            gone = _fields(old) - {name for new in hunk.added for name in _fields(new)}
            come = {name for new in like for name in _fields(new)} - {
                n for line in hunk.removed for n in _fields(line)
            }
            if gone and come:
                names = tuple(sorted(gone | come))
                told = f"{', '.join(sorted(gone))} → {', '.join(sorted(come))}"
                return Hit(strength=1.0, what=told[:80], names=names, unnamed=0.2)
    return None


def _fields(line: str) -> set[str]:
    return {group for match in _FIELD.finditer(line) for group in match.groups() if group and len(group) > 1}


def _removed_field(diff: Diff) -> Hit | None:
    gone = {name for line in diff.removed for name in _fields(line) if not name.istitle()} - {
        n for line in diff.added for n in _fields(line)
    }
    return (
        Hit(strength=0.85, what=", ".join(sorted(gone))[:80], names=tuple(sorted(gone)), unnamed=0.0)
        if gone
        else None
    )


def _retyped(diff: Diff) -> Hit | None:
    """A field of a schema with another type or number."""
    before = {match[2]: match for line in diff.removed if (match := _PROTO.match(line))}
    for line in diff.added:
        match = _PROTO.match(line)
        old = before.get(match[2]) if match else None
        if match and old and (old[1], old[3]) != (match[1], match[3]):
            return Hit(
                strength=0.95, what=f"{old[0].strip()} → {match[0].strip()}", names=(match[2],), unnamed=0.6
            )
    return None


def _retyped_column(diff: Diff) -> Hit | None:
    pattern = rx(
        r"\bALTER\s+COLUMN\b.*\bTYPE\b|\bSET NOT NULL\b|\bNOT NULL\b(?!.*DEFAULT)"
        r"|(?:nullable|null)\s*=\s*False|AlterField|change_column|\bVARCHAR\(\d+\)|\bSMALLINT\b|\bINT\b"
    )
    if not diff.gained(pattern) or not any(_SCHEMA.search(file) for file in diff.files):
        return None
    names = tuple(dict.fromkeys(name for line in diff.added for name in _columns(line)))
    return Hit(strength=0.85, what="column type or constraint", names=names, unnamed=0.4)


def _unknown_table(diff: Diff) -> Hit | None:
    """Statements ask for a table or column that they did not ask for before."""
    if any(_MIGRATION.search(file) for file in diff.files):
        return None
    tables = _tables(diff.added_text) - _tables(diff.removed_text)
    columns = {c for line in diff.added for c in _columns(line)} - {
        c for line in diff.removed for c in _columns(line)
    }
    names = tuple(sorted(tables)) + tuple(sorted(columns - tables))
    if not names:
        return None
    what = f"asks for {', '.join(names[:3])} without a migration"
    return Hit(strength=1.0, what=what, names=names, unnamed=0.35 if tables else 0.0)


def _dropped(diff: Diff) -> Hit | None:
    pattern = rx(
        r"\bDROP\s+(?:TABLE|COLUMN|VIEW)\b|\bRENAME\s+(?:COLUMN|TO)\b|\b(?:remove|drop"
        r"|rename)_(?:column|table|field)\b|\b(?:Remove|Rename)Field\(|\bDeleteModel\("
    )
    if not diff.gained(pattern):
        return None
    names = tuple(sorted(_tables(diff.added_text) | {c for line in diff.added for c in _columns(line)}))
    return Hit(strength=1.0, what=(pattern.search(diff.added_text) or [""])[0], names=names, unnamed=0.4)


def _tables(text: str) -> set[str]:
    found = {group for match in _TABLE.finditer(text) for group in match.groups() if group}
    return {
        name
        for name in found
        if len(name) > 2 and not re.match(r"(?:the|a|set|select|where|now)\Z", name, re.I)
    }


def _columns(line: str) -> set[str]:
    return {group for match in _COLUMN.finditer(line) for group in match.groups() if group and len(group) > 2}


def _changed_on_both_sides(pattern: re.Pattern[str], strength: float) -> Detect:
    """Lines about it are among those that went and those that came."""

    def detect(diff: Diff) -> Hit | None:
        old = next((line for line in diff.removed if pattern.search(line)), None)
        new = next((line for line in diff.added if pattern.search(line)), None)
        if old is None or new is None:
            return None
        return Hit(strength=strength, what=f"{old.strip()[:50]} → {new.strip()[:50]}")

    return detect


_ARITHMETIC = exact(
    r"\b(?:round|floor|ceil|Round|Floor|Ceil|trunc)\w*\(|[\w)\]]\s[-+*/%]\s[\w(]|[a-z)\]]\*[\w(]|\)\s*/\s*\d"
    r"|\bBigDecimal\b|\bDecimal\(|\bint\(|\bparseInt\(|\btoFixed\("
)


def _computes_differently(diff: Diff) -> Hit | None:
    """A computed line that went and the one most like it that came."""
    for old in diff.removed[:MOST_PAIRED]:
        like = [new for new in diff.added[:MOST_PAIRED] if "://" not in old + new and likeness(old, new, 0.5)]
        if like and (_ARITHMETIC.search(old) or any(_ARITHMETIC.search(new) for new in like)):
            return Hit(strength=0.7, what=f"{old.strip()[:50]} → {like[0].strip()[:50]}")
    return None


MECHANISMS: tuple[Mechanism, ...] = (
    Mechanism(
        name="limit_removed",
        says="no longer limits how much it reads",
        detect=loses(_LIMIT, 1.0),
        explains=fits(
            "slow_query 1, memory 0.8, result_too_large 0.9, latency 0.7, cpu 0.5, "
            "deadline_exceeded 0.5, pool_exhausted 0.4"
        ),
    ),
    Mechanism(
        name="limit_raised",
        says="reads much more at once",
        detect=tunes(
            rx(r"limit|page_?size|batch|chunk|per_page|max_?results|fetch_?size"),
            down=False,
            strength=0.8,
            least=2,
            unless=rx(r"memory|cpu|rate|retry|timeout|conn"),
        ),
        explains=fits(
            "memory 0.9, slow_query 0.8, result_too_large 0.9, latency 0.6, "
            "deadline_exceeded 0.5, queue_backlog 0.5, deadlock 0.3"
        ),
    ),
    Mechanism(
        name="filter_removed",
        says="no longer filters what it reads",
        detect=loses(_WHERE, 0.85),
        explains=fits(
            "slow_query 0.9, wrong_result 0.7, memory 0.6, latency 0.6, result_too_large 0.6, "
            "cpu 0.4, permission 0.3"
        ),
    ),
    Mechanism(
        name="index_dropped",
        says="takes away an index",
        detect=either(loses(_INDEX, 0.95, needs="index"), gains(_DROP_INDEX, 1.0, needs="index")),
        explains=fits(
            "slow_query 1, latency 0.9, cpu 0.7, deadline_exceeded 0.7, pool_exhausted 0.5, deadlock 0.4"
        ),
    ),
    Mechanism(
        name="query_without_index",
        says="asks in a way that no index serves",
        detect=gains(
            rx(
                r"\b(?:LOWER|UPPER|CAST|DATE|COALESCE|TRIM|to_char"
                r"|date_trunc)\s*\(\s*[a-z]\w*(?:\.\w+)?\s*[,)]|\bI?LIKE\s+['\"]?%|__icontains"
                r"|\bORDER BY RAND"
                r"|\bRANDOM\(\)|\bOFFSET\b|\bCROSS JOIN\b|\$regex|\bNOT IN\s*\(|\bDISTINCT\b"
            ),
            0.85,
            needs="lower upper cast date coalesce trim to_char like __icontains rand offset cross $regex not "
            "distinct",
        ),
        explains=fits("slow_query 1, latency 0.7, cpu 0.7, deadline_exceeded 0.5, pool_exhausted 0.4"),
    ),
    Mechanism(
        name="batch_removed",
        says="no longer reads related rows together",
        detect=loses(
            rx(
                r"\bJOIN\b|prefetch_related|select_related|\.includes\(|joinedload|selectinload|eager"
                r"|preload\(|DataLoader|bulk_?\w*|\bIN\s*\(|\bANY\s*\("
                r"|EntityGraph|\bMGET\b|mget\(|get_many|findAllById|getAll\w*\("
            ),
            0.9,
        ),
        explains=fits("query_fanout 1, latency 0.6, slow_query 0.5, load 0.4, pool_exhausted 0.5"),
    ),
    Mechanism(
        name="heavy_migration",
        says="changes a whole table at once",
        detect=gains(
            rx(
                r"\bALTER\s+TABLE\b|\bCREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)"
                r"|\bUPDATE\s+\w+\s+SET\b|\bVACUUM\s+FULL\b|\bLOCK\s+TABLE\b|\bREINDEX\b"
                r"|\bAddField\(|\badd_column\b|\bDELETE\s+FROM\b"
            ),
            0.85,
        ),
        explains=fits(
            "deadlock 1, slow_query 0.7, latency 0.7, deadline_exceeded 0.7, "
            "pool_exhausted 0.7, disk_full 0.4, queue_backlog 0.4"
        ),
    ),
    Mechanism(
        name="schema_not_migrated",
        says="uses a table or column that no migration brings",
        detect=_unknown_table,
        explains=fits("schema_missing 1"),
    ),
    Mechanism(
        name="schema_dropped",
        says="drops or renames what others still use",
        detect=_dropped,
        explains=fits("schema_missing 1, deserialisation 0.5, nil_dereference 0.3, errors 0.3"),
    ),
    Mechanism(
        name="column_retyped",
        says="changes what a column takes",
        detect=_retyped_column,
        explains=fits("constraint 1, deserialisation 0.5, bounds 0.4, errors 0.3"),
    ),
    Mechanism(
        name="migration_removed",
        says="takes away a migration",
        detect=either(
            in_files(
                _MIGRATION,
                loses(
                    rx(
                        r"\bCREATE\s+TABLE\b|\bADD\s+COLUMN\b|\badd_column\b|\bcreate_table\b|CreateModel"
                        r"|AddField"
                    ),
                    1.0,
                ),
            ),
            loses(rx(r"\bmigrat\w*\b|alembic upgrade|flyway|db:migrate"), 0.95),
        ),
        explains=fits("schema_missing 1, startup_crash 0.4"),
    ),
    Mechanism(
        name="field_renamed",
        says="renames a field that others read or write",
        detect=_renamed_field,
        explains=fits(
            "deserialisation 1, schema_missing 0.8, nil_dereference 0.6, not_registered 0.4, "
            "wrong_result 0.5, missing_setting 0.7, auth_rejected 0.4, cache 0.4, "
            "dependency_conflict 0.5"
        ),
    ),
    Mechanism(
        name="field_removed",
        says="takes away a field that others need",
        detect=_removed_field,
        explains=fits(
            "deserialisation 1, nil_dereference 0.7, missing_setting 0.8, schema_missing 0.6, "
            "wrong_result 0.4, constraint 0.6, permission 0.4, auth_rejected 0.5, "
            "not_registered 0.5"
        ),
    ),
    Mechanism(
        name="field_retyped",
        says="gives a field another type or number",
        detect=_retyped,
        explains=fits("deserialisation 1, wrong_result 0.7, errors 0.3"),
    ),
    Mechanism(
        name="format_changed",
        says="reads or writes another format",
        detect=either(_changed_on_both_sides(_FORMAT, 0.75), loses(_FORMAT, 0.7), gains(_FORMAT, 0.5)),
        explains=fits("encoding 1, deserialisation 0.8, wrong_result 0.8, cache 0.3, auth_rejected 0.3"),
    ),
    Mechanism(
        name="arithmetic",
        says="computes a value differently",
        detect=_computes_differently,
        explains=fits("wrong_result 1, bounds 0.7, constraint 0.7, deserialisation 0.3"),
    ),
)
