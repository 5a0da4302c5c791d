"""spans/*.jsonl, changes.jsonl, topology.json, incidents.jsonl and runbooks/*.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from adapters.evidence.build import Record
from adapters.evidence.snapshot.files import Folder, Malformed, clean_texts, epoch, moment, text_of
from bot.domain.evidence import Change, TraceSpan
from bot.domain.redaction import redact, redact_field, strip_invisible

_ADDRESS = re.compile(r"\A<!--\s*(\S+)\s*-->\n?")
_TARGET_KINDS = {"calls": "service", "runs_on": "node", "uses": "datastore", "routes_to": "service"}
_SOURCE_KINDS = {"runs_on": "pod"}


def _clean(text: str) -> str:
    return strip_invisible(redact(text))


def read_spans(folder: Folder) -> list[TraceSpan]:
    """Every span of spans/*.jsonl, by start. Raises Malformed."""
    found = []
    known: dict[str, str] = {"": ""}

    def clean(text: str) -> str:
        if text not in known:
            known[text] = _clean(text)
        return known[text]

    for name in folder.names("spans", ".jsonl"):
        for number, record in folder.json_lines(name):
            try:
                attributes = record.get("attributes")
                parent = record.get("parent_id")
                found.append(
                    TraceSpan(
                        trace_id=str(record["trace_id"]),
                        span_id=str(record["span_id"]),
                        parent_id=None if parent in (None, "") else str(parent),
                        service=clean(str(record["service"])),
                        operation=clean(text_of(record, "operation")),
                        kind=text_of(record, "kind"),
                        start=moment(epoch(record["start"])),
                        duration_ms=float(record["duration_ms"]),
                        error=record.get("status") == "error",
                        peer=clean(text_of(record, "peer")),
                        pod=clean(text_of(record, "pod")),
                        attributes={
                            str(key): strip_invisible(redact_field(str(key), text_of(attributes, key)))
                            for key in attributes
                        }
                        if isinstance(attributes, dict)
                        else {},
                    )
                )
            except KeyError as error:
                raise Malformed(f"{folder.where(name, number)}: no {error.args[0]}") from None
            except (TypeError, ValueError) as error:
                raise Malformed(f"{folder.where(name, number)}: {error}") from None
    found.sort(key=lambda span: (span.start, span.trace_id, span.span_id))
    return found


def read_changes(folder: Folder) -> list[Change]:
    """Every change, oldest first. Raises Malformed."""
    found = []
    for number, record in folder.json_lines("changes.jsonl"):
        try:
            files = record.get("files")
            found.append(
                Change(
                    id=_clean(str(record["id"])),
                    kind=text_of(record, "kind") or "deploy",
                    at=moment(epoch(record["ts"])),
                    service=_clean(text_of(record, "service")),
                    title=_clean(text_of(record, "title")),
                    author=_clean(text_of(record, "author")),
                    files=tuple(clean_texts([str(one) for one in files])) if isinstance(files, list) else (),
                    diff=_clean(text_of(record, "diff")),
                    version=_clean(text_of(record, "version")),
                    before=_clean(text_of(record, "from")),
                    after=_clean(text_of(record, "to")),
                    link=_clean(text_of(record, "link")),
                )
            )
        except KeyError as error:
            raise Malformed(f"{folder.where('changes.jsonl', number)}: no {error.args[0]}") from None
        except ValueError as error:
            raise Malformed(f"{folder.where('changes.jsonl', number)}: {error}") from None
    found.sort(key=lambda change: (change.at, change.id))
    # The value of a setting is as secret as the setting's name says.
    return [
        replace(
            change,
            before=redact_field(change.title, change.before),
            after=redact_field(change.title, change.after),
        )
        for change in found
    ]


def read_graph(folder: Folder) -> list[Record]:
    """Edges, then nodes without any, as records of a GraphQuery. Raises Malformed."""
    value = folder.json("topology.json")
    where = folder.where("topology.json")
    if not isinstance(value, dict):
        raise Malformed(f"{where}: not an object")
    nodes, edges = value.get("nodes") or [], value.get("edges") or []
    try:
        kinds = {str(node["id"]): str(node.get("kind") or "service") for node in nodes}
        records: list[Record] = []
        joined = set()
        for edge in edges:
            start, end, kind = str(edge["from"]), str(edge["to"]), str(edge.get("kind") or "calls")
            joined |= {start, end}
            seen = edge.get("seen_at")
            records.append(
                {
                    "from": _clean(start),
                    "to": _clean(end),
                    "kind": kind,
                    "from_kind": kinds.get(start) or _SOURCE_KINDS.get(kind, "service"),
                    "to_kind": kinds.get(end) or _TARGET_KINDS.get(kind, "service"),
                    "origin": str(edge.get("origin") or "declared"),
                    "seen_at": None if seen is None else epoch(seen),
                }
            )
    except (KeyError, TypeError, AttributeError) as error:
        raise Malformed(f"{where}: a node or an edge without {error}") from None
    except ValueError as error:
        raise Malformed(f"{where}: {error}") from None
    records += [
        {
            "from": _clean(node),
            "to": None,
            "kind": None,
            "from_kind": kind,
            "to_kind": None,
            "origin": "declared",
            "seen_at": None,
        }
        for node, kind in kinds.items()
        if node not in joined
    ]
    return records


def read_past(folder: Folder) -> list[Mapping[str, Any]]:
    """Past incidents, newest first. Raises Malformed."""
    found: list[tuple[float, Mapping[str, Any]]] = []
    for number, record in folder.json_lines("incidents.jsonl"):
        try:
            opened = epoch(record["opened_at"])
        except KeyError:
            raise Malformed(f"{folder.where('incidents.jsonl', number)}: no opened_at") from None
        except ValueError as error:
            raise Malformed(f"{folder.where('incidents.jsonl', number)}: {error}") from None
        found.append((opened, redacted(record)))
    found.sort(key=lambda one: -one[0])
    return [record for _, record in found]


def redacted(value: Any, key: str = "") -> Any:
    """A JSON value without secrets."""
    if isinstance(value, str):
        return strip_invisible(redact_field(key, value))
    if isinstance(value, dict):
        return {str(inner): redacted(item, str(inner)) for inner, item in value.items()}
    return [redacted(item, key) for item in value] if isinstance(value, list) else value


def runbooks(folder: Folder) -> Mapping[str, str]:
    """Files by the address they are for: an ``<!-- https://… -->`` in the first line, or the file's name."""
    found = {}
    for name in folder.names("runbooks", ".md"):
        found[name.rpartition("/")[2].removesuffix(".md").lower()] = name
        match = _ADDRESS.match(folder.text(name))
        if match is not None:
            found[match[1]] = name
    return found


def runbook_for(books: Mapping[str, str], url: str) -> str | None:
    """The file for an address: its own, or the one named like the last part of its path or its fragment."""
    if url in books:
        return books[url]
    parts = urlsplit(url)
    for part in (parts.fragment, parts.path.rstrip("/").rpartition("/")[2]):
        name = unquote(part).lower()
        for ending in (".md", ".html", ".htm"):
            name = name.removesuffix(ending)
        if name in books:
            return books[name]
    return None


def runbook_text(folder: Folder, name: str) -> list[str]:
    return clean_texts(_ADDRESS.sub("", folder.text(name)).split("\n"))
