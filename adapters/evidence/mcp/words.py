"""What a server says, as text that may be shown."""

from __future__ import annotations

import json
from collections.abc import Iterable

from adapters.evidence.build import EXCERPT_LIMIT
from bot.domain.redaction import clean, redact, strip_invisible

REASON = 300
"""Characters of what a server says of its own failure."""
_MASKABLE = 8
"""Characters below which a credential is too short to be told from other text."""
_READ = 64 * 1024
"""Characters of a result that are looked through for secrets; the rest is left out unread."""
_EDGE = 4 * 1024
"""Characters before that end which are left out too: a secret that was cut there is not known as one."""


class Refused(Exception):
    """There is no answer; the text is what a person is told. Never leaves the adapter."""


class Lost(Refused):
    """The connection ended before the answer came."""


class Masks:
    """Takes our own credentials out of whatever repeats them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in (secret, json.dumps(secret)[1:-1])}
        self._forms = sorted((form for form in forms if len(form) >= _MASKABLE), key=len, reverse=True)

    def hidden(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, "[redacted:token]")
        return text

    def line(self, text: str, *, limit: int = REASON) -> str:
        """One line of it, redacted and cut."""
        return " ".join(clean(self.hidden(strip_invisible(text[:_READ])), limit=limit).split())

    def excerpt(self, text: str, *, limit: int = EXCERPT_LIMIT) -> str:
        """The text redacted; what is longer than ``limit`` characters keeps its head and, unless it is very
        long, its tail."""
        if len(text) <= _READ:
            return clean(self.hidden(strip_invisible(text)), limit=limit)
        head = redact(self.hidden(strip_invisible(text[:_READ])))[:-_EDGE][: limit - 60]
        return f"{head}\n… the rest of {len(text)} characters left out …"
