"""Why the API server did not answer, as a person is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.redaction import clean, redact

_FORBIDDEN = re.compile(
    r"User \"(?P<user>[^\"]+)\" cannot (?P<verb>\w+) resource \"(?P<resource>[^\"]+)\" in API group "
    r"\"(?P<group>[^\"]*)\"(?: in the namespace \"(?P<namespace>[^\"]+)\"| at the cluster scope)?"
)


class Refused(Exception):
    """No answer; the text is what a person is told. ``status`` is the HTTP status where there was one,
    ``code`` the reason of a Kubernetes Status, ``manual`` what to ask kubectl to see why. Never leaves this
    package."""

    def __init__(
        self, reason: str, *, status: int | None = None, code: str = "", manual: tuple[str, ...] = ()
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.manual = manual


class Expired(Refused):
    """A continue token that is too old; ``token`` goes on with what is there now, where the server gives
    one."""

    def __init__(self, reason: str, token: str) -> None:
        super().__init__(reason, status=410, code="Expired")
        self.token = token


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked, for the sentence of a refusal. ``resource`` as RBAC writes it, such as ``pods/log``."""

    verb: str
    resource: str
    group: str = ""
    namespace: str | None = None

    @property
    def words(self) -> str:
        name = f"{self.resource}.{self.group}" if self.group else self.resource
        return name if self.namespace is None else f"{name} in namespace {self.namespace}"


def refusal(status: int, kind: str, body: object, asked: Asked) -> Refused:
    """The error for an answer that is not 2xx; ``body`` is the parsed Status, or the text."""
    said = body if isinstance(body, Mapping) and body.get("kind") == "Status" else {}
    code = str(said.get("reason") or "")
    message = clean(str(said.get("message") or ""), limit=250)
    match status:
        case 401:
            return Refused("answered 401: it does not accept our credential", status=status, code=code)
        case 403 if said:
            return _forbidden(message, asked)
        case 404 if not said:
            return Refused(f"does not know {asked.resource}", status=status)
        case 410:
            metadata = said.get("metadata")
            token = metadata.get("continue") if isinstance(metadata, Mapping) else None
            return Expired(message or "the list expired while it was read", str(token or ""))
        case 429:
            return Refused(
                f"answered 429: too many requests{_colon(message)}", status=status, code=code or "Throttled"
            )
    if not said:
        what = f"with {kind or 'something'} that is not the Kubernetes API"
        return Refused(f"answered {status} {what}", status=status)
    return Refused(f"answered {status} {code or 'error'}{_colon(message)}", status=status, code=code)


def _forbidden(message: str, asked: Asked) -> Refused:
    found = _FORBIDDEN.search(message)
    command = ["auth", "can-i", asked.verb, asked.words.partition(" ")[0]]
    if asked.resource.endswith("/log"):
        command = ["auth", "can-i", asked.verb, "pods", "--subresource=log"]
    if asked.namespace is not None:
        command += ["-n", asked.namespace]
    else:
        command += ["-A"] if asked.verb == "list" else []
    if found is not None and redact(found["user"]) == found["user"]:
        command.append(f"--as={found['user']}")
    who = f" for {found['user']}" if found is not None else ""
    rest = "" if found is not None else _colon(message)
    return Refused(
        f"may not {asked.verb} {asked.words}: RBAC denies it{who}{rest}",
        status=403,
        code="Forbidden",
        manual=tuple(command),
    )


def _colon(message: str) -> str:
    return f": {message}" if message else ""


def config_problem(error: Exception, source: str) -> str:
    """Why the configured way in cannot be used. The library's own texts quote whole entries of a kubeconfig,
    credentials and all, so only what names a key, a file or a command's end is taken from them."""
    text = str(error)
    if missing := re.search(r"Expected key ([\w-]+) in", text):
        return f"{source} has no {missing[1]}"
    if unknown := re.search(r"Expected object with name ([\w.:@/-]{1,100}) in .{0,200}?/?(\w+) list", text):
        return f"{source} has no entry {redact(unknown[1])} in {unknown[2]}"
    if gone := re.search(r"File does not exists: (\S{1,300})", text):
        return f"{source} names {gone[1]}, which is not there"
    if ended := re.match(r"exec: process returned (-?\d+)\. ?(.*)", text, re.DOTALL):
        return f"the login command of {source} ended with {ended[1]}{_colon(clean(ended[2], limit=150))}"
    if text.startswith("Service "):
        return "this process does not run in a pod with a service account"
    if isinstance(error, OSError):
        return f"{source}: {error.strerror or type(error).__name__}"
    return f"{source} cannot be used ({type(error).__name__})"


def kind_of(document: object) -> str:
    """What a document is, for the sentence that it is not what was asked for."""
    kind = document.get("kind") if isinstance(document, Mapping) else None
    return clean(str(kind or type(document).__name__), limit=60)
