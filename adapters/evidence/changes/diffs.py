"""What a change did, as text: without secrets, and short enough to be kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.domain.redaction import clean, is_secret_name, redact, strip_invisible

DIFF_BYTES = 32 * 1024
"""Bytes of one change's diff that are kept."""
MAX_FILES = 300
_RAW_LIMIT = 3 * DIFF_BYTES
"""Characters of one change's patches that are looked at."""

_SECRET_FILE = re.compile(
    r"(?:.*\.(?:pem|key|p12|pfx|jks|keystore|kdbx|asc|gpg|tfstate)"
    r"|\.env(?:\..*)?|.*\.env|\.netrc|\.npmrc|\.pypirc|\.pgpass|\.htpasswd|\.git-credentials|kubeconfig"
    r"|id_(?:rsa|dsa|ecdsa|ed25519)|.*(?:secret|credential|passw).*\.(?:ya?ml|json|toml|ini|conf|txt|tfvars))",
    re.IGNORECASE,
)
_BLOCK = re.compile(r"""(?P<indent>\s*(?:- )?)["']?(?P<name>[\w.-]{1,256})["']?\s*:\s*[|>][-+0-9]{0,2}\s*""")
_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY")
_MASKED = "[redacted:secret]"


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePatch:
    """One file of a change; ``patch`` in unified form, empty where the other side gives none."""

    path: str
    patch: str = ""
    renamed_from: str = ""


def file_names(patches: Sequence[FilePatch]) -> tuple[str, ...]:
    """Every path, redacted, at most ``MAX_FILES``."""
    return tuple(clean(one.path, limit=300) for one in patches[:MAX_FILES])


def diff_text(patches: Sequence[FilePatch]) -> str:
    """The patches one after the other in at most ``DIFF_BYTES``; of more, each file has its share.

    Redacted before it is cut, so that no cut goes through a secret.
    """
    kept = patches[:MAX_FILES]
    # What is surely cut away need not be looked at; a secret that is kept begins in what is looked at.
    looked_at = _shares([len(one.patch) for one in kept], _RAW_LIMIT)
    parts = [part for one, share in zip(kept, looked_at, strict=True) if (part := _part(one, share))]
    shares = _shares([len(part.encode()) + 1 for part in parts], DIFF_BYTES)
    return "\n".join(cut for part, share in zip(parts, shares, strict=True) if (cut := _cut(part, share - 1)))


def _shares(sizes: Sequence[int], total: int) -> list[int]:
    """What each may have: the small ones all they need, the large ones what is left in equal parts."""
    shares = [0] * len(sizes)
    for place, index in enumerate(sorted(range(len(sizes)), key=lambda index: sizes[index])):
        shares[index] = min(sizes[index], total // (len(sizes) - place))
        total -= shares[index]
    return shares


def _part(one: FilePatch, share: int) -> str:
    name = clean(one.path, limit=300)
    old = clean(one.renamed_from, limit=300) or name
    head = f"--- a/{old}\n+++ b/{name}"
    if not one.patch:
        return head if old != name else ""
    if _SECRET_FILE.fullmatch(one.path.rpartition("/")[2]):
        return f"{head}\n[redacted:secret-file]"
    raw = one.patch
    if len(raw) > share:
        # Only ever the end is left out: a secret is known by how it begins.
        raw = raw[: raw.rfind("\n", 0, share) + 1] + "… left out …"
    return f"{head}\n{redact_patch(raw)}"


def redact_patch(patch: str) -> str:
    """A patch without secrets. Its markers stand where YAML has its indentation, so that the values of
    blocks and keys over several lines must be found line by line."""
    lines = strip_invisible(patch).split("\n")
    return redact("\n".join(_without_blocks(lines)))


def _without_blocks(lines: Sequence[str]) -> Iterator[str]:
    block: int | None = None
    key = False
    for line in lines:
        marker, body = line[:1], line[1:]
        if line.startswith("@@"):
            block, key = None, False
            yield line
        elif key:
            yield f"{marker}{_MASKED}"
            key = _END.search(body) is None
        elif block is not None and (not body.strip() or _indent(body) > block):
            yield f"{marker}{_MASKED}"
        else:
            block = None
            found = _BLOCK.fullmatch(body)
            if found is not None and is_secret_name(found["name"]):
                block = len(found["indent"])
            if _BEGIN.search(body) is not None:
                yield f"{marker}{_MASKED}"
                key = _END.search(body) is None
            else:
                yield line


def _indent(body: str) -> int:
    return len(body) - len(body.lstrip())


def _cut(text: str, limit: int) -> str:
    raw = text.encode()
    if len(raw) <= limit:
        return text
    mark = "\n… left out …"
    room = limit - len(mark.encode())
    if room < 40:
        return ""
    return raw[:room].decode(errors="ignore") + mark
