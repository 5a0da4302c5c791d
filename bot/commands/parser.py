"""Chat text → command. Pure: no state, no authority, no I/O.

Quoted lines (``> …``) and code blocks are not commands: people quote each other and the bot.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass

from bot.commands.model import (
    Approve,
    Ask,
    Command,
    Help,
    Investigate,
    Past,
    Pause,
    Propose,
    Reject,
    Rerun,
    Resume,
    Show,
    Status,
    Summary,
    Whoami,
    Why,
)
from bot.domain.ids import SHORT_ID_ALPHABET, SHORT_ID_LENGTH

USAGE: tuple[tuple[str, str], ...] = (
    ("help", "this list"),
    ("status", "what is going on: live incidents, the kill switch, the ledger"),
    ("show [ID]", "one incident with its diagnosis"),
    ("why [ID]", "the evidence and the rules behind the diagnosis and the policy's decision"),
    ("summary [ID]", "what was learnt from an incident that is over, with the change to its runbook"),
    ("past [WORDS]", "incidents that are over, the newest that hold the words"),
    ("ask [ID] QUESTION", "a question about the incident, answered from its evidence"),
    ("propose ACTION NAME=VALUE… [ID]", "ask for another action; policy and other people decide"),
    ("approve [ID] [DIGEST]", "approve the action on the card; stronger than a reaction"),
    ("reject [ID] [REASON]", "reject it"),
    ("investigate TEXT|FINGERPRINT", "start an investigation by hand"),
    ("rerun [ID]", "investigate again; replaces an open approval request"),
    ("pause [REASON]", "kill switch: nothing is executed until resume"),
    ("resume", "turn the kill switch off"),
    ("whoami", "who you are to me and what you may do"),
)
"""Syntax and meaning of each command, in the order help shows them."""

WORDS = tuple(syntax.split()[0] for syntax, _ in USAGE)
MAX_LENGTH = 2000
MAX_WORDS = 8
"""Of a search."""

_CODE_BLOCK = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_SHORT_ID = re.compile(rf"#?([{SHORT_ID_ALPHABET}]{{{SHORT_ID_LENGTH},8}})", re.IGNORECASE)
_PARAM = re.compile(
    r"""(?P<name>[A-Za-z_][A-Za-z0-9_]{0,63})=(?:"(?P<a>[^"]*)"|'(?P<b>[^']*)'|“(?P<c>[^”]*)”|(?P<d>\S+))(?=\s|\Z)"""
)
_BARE = re.compile(r"\S+")
_DECIDING = ("approve", "reject", "propose", "investigate", "rerun", "pause", "resume")
"""What begins like one of these was perhaps meant to decide: it is never taken for a question."""
_ALIKE = 0.75
_DIGEST = re.compile(r"[0-9a-f]{8,64}", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseError:
    """Why the text is no command, and the nearest one if there is one."""

    reason: str
    nearest: str | None = None


def parse(text: str) -> Command | ParseError:
    """Return the command in ``text`` (prefix and mention already removed), or why there is none."""
    if len(text) > MAX_LENGTH:
        return ParseError(reason=f"that is longer than {MAX_LENGTH} characters")
    body = _body(text)
    if not body:
        return Help()
    word, _, rest = body.partition(" ")
    return _build(word.lower().lstrip("/!"), rest.strip())


def parse_in_thread(text: str) -> Command | ParseError:
    """As :func:`parse`, in the thread of an incident: there, what is no command and ends with a question mark
    is a question, unless it begins like a command that decides something. ``approve?`` and ``aprove it?`` are
    neither an approval nor a question."""
    parsed = parse(text)
    if not isinstance(parsed, ParseError) or len(text) > MAX_LENGTH:
        return parsed
    body = _body(text)
    first = "".join(char for char in body.split()[0].lower() if char.isalnum())
    deciding = difflib.get_close_matches(first, _DECIDING, n=1, cutoff=_ALIKE)
    return Ask(text=body) if body.endswith("?") and not deciding else parsed


def _body(text: str) -> str:
    lines = _CODE_BLOCK.sub("", text).splitlines()
    return " ".join(line.strip() for line in lines if not line.lstrip().startswith(">")).strip()


def _build(word: str, rest: str) -> Command | ParseError:
    match word:
        case "help" | "?":
            return Help()
        case "status" | "incidents":
            return Status()
        case "show":
            return _with_incident(word, rest, lambda incident: Show(incident=incident))
        case "why":
            return _with_incident(word, rest, lambda incident: Why(incident=incident))
        case "summary":
            return _with_incident(word, rest, lambda incident: Summary(incident=incident))
        case "past":
            words = tuple(rest.split())
            if len(words) > MAX_WORDS:
                return ParseError(reason=f"past takes at most {MAX_WORDS} words")
            return Past(words=words)
        case "rerun":
            return _with_incident(word, rest, lambda incident: Rerun(incident=incident))
        case "ask":
            incident, question = _leading_incident(rest)
            return (
                Ask(incident=incident, text=question)
                if question
                else ParseError(reason="ask needs a question")
            )
        case "propose":
            return _propose(rest)
        case "approve":
            return _approve(rest)
        case "reject":
            incident, reason = _leading_incident(rest)
            return Reject(incident=incident, reason=reason or None)
        case "investigate":
            if not rest:
                return ParseError(reason="investigate needs a text or a fingerprint")
            return Investigate(text=rest)
        case "pause":
            return Pause(reason=rest or None)
        case "resume":
            return Resume() if not rest else ParseError(reason="resume takes nothing after it")
        case "whoami":
            return Whoami()
        case _:
            nearest = difflib.get_close_matches(word, WORDS, n=1, cutoff=0.5)
            return ParseError(
                reason=f"I do not know the command “{word[:40]}”", nearest=nearest[0] if nearest else None
            )


def _leading_incident(rest: str) -> tuple[str | None, str]:
    first, _, remainder = rest.partition(" ")
    incident = _unmistakable(first)
    return (None, rest) if incident is None else (incident, remainder.strip())


def _unmistakable(word: str) -> str | None:
    # Any word may stand there: only something with a digit or in capitals is taken for an id.
    match = _SHORT_ID.fullmatch(word)
    if match and (word.startswith("#") or word.isupper() or any(char.isdigit() for char in word)):
        return match.group(1).upper()
    return None


def _with_incident(word: str, rest: str, make: Callable[[str | None], Command]) -> Command | ParseError:
    if not rest:
        return make(None)
    match = _SHORT_ID.fullmatch(rest)
    if match is None:
        return ParseError(reason=f"{word} takes an incident id like K7QX, not “{rest[:40]}”")
    return make(match.group(1).upper())


def _approve(rest: str) -> Command | ParseError:
    incident: str | None = None
    digest: str | None = None
    for word in rest.split():
        if digest is None and _DIGEST.fullmatch(word):
            digest = word.lower()
        elif incident is None and (match := _SHORT_ID.fullmatch(word)):
            incident = match.group(1).upper()
        else:
            return ParseError(reason=f"approve takes an incident id and a digest, not “{word[:40]}”")
    return Approve(incident=incident, digest=digest)


def _propose(rest: str) -> Command | ParseError:
    action = ""
    incident: str | None = None
    params: dict[str, str] = {}
    at = 0
    while word := _BARE.search(rest, at):
        if action and (param := _PARAM.match(rest, word.start())):
            if param["name"] in params:
                return ParseError(reason=f"propose: the parameter {param['name']} is there twice")
            params[param["name"]] = next(
                value for value in param.group("a", "b", "c", "d") if value is not None
            )
            at = param.end()
            continue
        at = word.end()
        if not action:
            action = word[0]
        elif incident is not None or (incident := _unmistakable(word[0])) is None:
            needs = "parameters as NAME=VALUE (blanks in quotes) and an incident id"
            return ParseError(reason=f"propose takes {needs}, not “{word[0][:40]}”")
    if not action:
        return ParseError(reason="propose needs an action, such as: propose process.restart process=cart")
    return Propose(action=action, params=tuple(params.items()), incident=incident)
