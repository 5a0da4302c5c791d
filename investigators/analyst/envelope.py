"""What a model is given of somebody else's words: one line of JSON with all of them in one place.

Everything that an outsider can choose stands under ``untrusted_data`` and nowhere else. JSON's own escaping
keeps it there: no text can close the envelope. Looking like an instruction is flagged and never a reason to
leave something out: who attacks a log must not be able to hide it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from bot.domain.evidence import Evidence, EvidenceStatus
from bot.domain.redaction import clean, redact_field, visible

QUERY_CHARACTERS = 500
SUMMARY_CHARACTERS = 400
_NAME_CHARACTERS = 120
_VALUE_CHARACTERS = 500
_PAIRS = 60

_INSTRUCTIONS = re.compile(
    r"""
    \b(?:ignore|disregard|forget|override|bypass)\b.{0,40}\b(?:instruction|prompt|rule|previous|above|prior|context)
    |\byou\s+(?:are|must|should|will|have\s+to)\s+(?:now|always|only|first|immediately|instead|respond|call|run)\b
    |\b(?:system|developer|hidden|initial)\s+(?:prompt|message|instruction|note)s?\b
    |\b(?:new|updated|important|real|actual|urgent)\s+(?:system\s+)?(?:instruction|task|order|directive|message)s?\b
    |\bas\s+an?\s+(?:ai|assistant|language\s+model)\b
    |\b(?:pretend|act)\s+(?:to\s+be|as\s+(?:if|though|an?)|you)\b
    |\bdo\s+not\s+(?:tell|mention|reveal|inform|report|say)\b
    |\b(?:call|use|invoke|run|execute)\s+(?:the|this|a)\s+(?:tool|function|action|command)\b
    |\b(?:answer|reply|respond|print|say|output|repeat)\s+(?:only|with|exactly|nothing|the\s+following)\b
    |<\|[a-z_]{2,30}\|>|\[/?INST\]|<</?SYS>>|</?(?:system|instructions?|assistant|user|tool_result|important)>
    |^\s*(?:system|assistant|human|user)\s*:
    |"untrusted_data"|"evidence_id"
    """,
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
_LOOKED_AT = 20_000
"""Characters: enough for anything that is sent, and a bound for the pattern."""


def safe_text(text: str, limit: int) -> str:
    """Redacted, without anything invisible, head and tail of at most ``limit`` characters."""
    return clean(visible(text), limit=limit)


def looks_like_instructions(text: str) -> bool:
    return _INSTRUCTIONS.search(text[:_LOOKED_AT]) is not None


def sealed(fields: Mapping[str, Any], untrusted: Any) -> str:
    """An envelope of one line. ``fields`` are our own words, ``untrusted`` is anything JSON can hold whose
    texts went through :func:`safe_text`."""
    inside = json.dumps(untrusted, ensure_ascii=False)
    flag = {"looks_like_instructions": True} if looks_like_instructions(_loose(inside)) else {}
    return json.dumps({**fields, **flag, "untrusted_data": untrusted}, ensure_ascii=False)


def _loose(inside: str) -> str:
    """As the text reads: an escaped line end begins a line, an escaped quote is one."""
    return inside.replace("\\n", "\n").replace('\\"', '"')


def text_shown(evidence: Evidence, limit: int) -> str:
    """The words of the evidence as an envelope holds them, which are what a quote is looked for in."""
    return safe_text(evidence.excerpt, limit)


def of_evidence(evidence: Evidence, limit: int) -> str:
    """The envelope of one piece of evidence; its excerpt takes at most ``limit`` characters."""
    fields: dict[str, Any] = {
        "evidence_id": str(evidence.id),
        "source": safe_text(evidence.source, _NAME_CHARACTERS),
        "kind": evidence.kind,
        "status": evidence.status.value,
        "outsider_writable": evidence.outsider_writable,
    }
    untrusted = {"query": safe_text(evidence.query, QUERY_CHARACTERS)}
    if evidence.subject:
        untrusted["about"] = safe_text(evidence.subject, _NAME_CHARACTERS)
    if evidence.summary:
        untrusted["summary"] = safe_text(evidence.summary, SUMMARY_CHARACTERS)
    if evidence.reason and evidence.reason != evidence.summary:
        note = "why_failed" if evidence.status is EvidenceStatus.FAILED else "incomplete"
        untrusted[note] = safe_text(evidence.reason, SUMMARY_CHARACTERS)
    shown = text_shown(evidence, limit)
    if shown:
        untrusted["text"] = shown
    return sealed(fields, untrusted)


def of_words(source: str, kind: str, words: Any, limit: int = _VALUE_CHARACTERS) -> str:
    """The envelope of what is no evidence and cannot be cited, such as an alert or what a person wrote.
    ``words`` is a text, or mappings and lists of texts and numbers; each text takes at most ``limit``
    characters."""
    fields = {"source": source, "kind": kind, "citable": False, "outsider_writable": True}
    return sealed(fields, safe_words(words, limit))


def safe_words(words: Any, limit: int = _VALUE_CHARACTERS) -> Any:
    """The same shape with every text made safe, at most 60 entries on each level."""
    if isinstance(words, Mapping):
        pairs = list(words.items())[:_PAIRS]
        return {
            safe_text(str(name), _NAME_CHARACTERS): _field(str(name), value, limit) for name, value in pairs
        }
    if isinstance(words, list | tuple):
        return [safe_words(one, limit) for one in words[:_PAIRS]]
    if words is None or isinstance(words, bool | int):
        return words
    if isinstance(words, float):
        # JSON has no word for what is not a number.
        return words if math.isfinite(words) else str(words)
    return safe_text(str(words), limit)


def _field(name: str, value: Any, limit: int) -> Any:
    """A value whose name says that it is a secret is one."""
    return safe_text(redact_field(name, value), limit) if isinstance(value, str) else safe_words(value, limit)
