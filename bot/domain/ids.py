"""Identifiers. Opaque strings made by an injected source of randomness, never parsed."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NewType

AlertId = NewType("AlertId", str)
IncidentId = NewType("IncidentId", str)
ShortId = NewType("ShortId", str)
EvidenceId = NewType("EvidenceId", str)
DiagnosisId = NewType("DiagnosisId", str)
ProposalId = NewType("ProposalId", str)
RequestId = NewType("RequestId", str)
ReviewId = NewType("ReviewId", str)
ExecutionId = NewType("ExecutionId", str)
PersonId = NewType("PersonId", str)
QuestionId = NewType("QuestionId", str)
WishId = NewType("WishId", str)
Digest = NewType("Digest", str)
"""Lower-case hex SHA-256, 64 characters."""

SHORT_ID_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""No 0/O and no 1/I: people read these aloud at 3 a.m."""
SHORT_ID_LENGTH = 4

RandomToken = Callable[[int], str]
"""Takes a number of bytes, returns that many as lower-case hex."""


def new_id(prefix: str, token: RandomToken = secrets.token_hex) -> str:
    """Return ``prefix_`` followed by 24 hex digits (96 random bits)."""
    return f"{prefix}_{token(12)}"


def new_short_id(token: RandomToken = secrets.token_hex, length: int = SHORT_ID_LENGTH) -> ShortId:
    """Return what people type for an incident; unique only once the store has accepted it."""
    number = int(token(length), 16)
    letters = []
    for _ in range(length):
        number, index = divmod(number, len(SHORT_ID_ALPHABET))
        letters.append(SHORT_ID_ALPHABET[index])
    return ShortId("".join(letters))
