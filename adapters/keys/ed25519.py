"""Signing and verifying with Ed25519 through securesystemslib's DSSE envelope.

The envelope is https://github.com/secure-systems-lab/dsse/blob/master/envelope.md; a key's id is
securesystemslib's: the SHA-256 of the canonical public key metadata.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import FormatError, VerificationError
from securesystemslib.signer import (  # type: ignore[attr-defined]  # public names, not marked as re-exported
    CryptoSigner,
    Key,
    SSlibKey,
)

from approvals.canonical import strict_json
from bot.domain.errors import ConfigError, IntegrityError

MAX_ENVELOPE_BYTES = 1024 * 1024
_MAKE_ONE = "make one with: assent keys generate"


class Ed25519Signer:
    """Signs with one Ed25519 key. Its representation shows the key id and never the key."""

    __slots__ = ("_public", "_public_pem", "_signer")

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._signer = CryptoSigner(private_key)
        self._public = self._signer.public_key
        self._public_pem = (
            private_key.public_key()
            .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    @property
    def key_id(self) -> str:
        return str(self._public.keyid)

    @property
    def public_pem(self) -> str:
        """The public half, PEM (SubjectPublicKeyInfo): what another installation trusts."""
        return self._public_pem

    @property
    def public_key(self) -> Key:
        return self._public

    def sign(self, payload_type: str, payload: bytes) -> bytes:
        """Return a DSSE envelope (JSON bytes) over ``payload``."""
        envelope = Envelope(payload, payload_type, {})
        envelope.sign(self._signer)
        return json.dumps(envelope.to_dict(), separators=(",", ":"), sort_keys=True).encode()

    def __repr__(self) -> str:
        return f"Ed25519Signer(key_id={self.key_id})"

    def __reduce__(self) -> str:
        raise TypeError("a signing key is not copied or pickled")


class TrustedKeys:
    """Verifies envelopes: at least one trusted key must have signed exactly these bytes."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Sequence[Key]) -> None:
        self._keys = {str(key.keyid): key for key in keys}

    @property
    def key_ids(self) -> frozenset[str]:
        return frozenset(self._keys)

    def verify(self, payload_type: str, envelope: bytes) -> bytes:
        """Return the payload. Raises IntegrityError when no trusted key signed exactly it."""
        if not self._keys:
            raise IntegrityError("envelope: no key is trusted")
        if len(envelope) > MAX_ENVELOPE_BYTES:
            raise IntegrityError("envelope: too long")
        parsed = self._parse(envelope)
        if parsed.payload_type != payload_type:
            raise IntegrityError(f"envelope: payload type is not {payload_type}")
        try:
            parsed.verify(list(self._keys.values()), threshold=1)
        except VerificationError:
            signed_by = ", ".join(sorted(key_id[:8] for key_id in parsed.signatures)) or "nobody"
            raise IntegrityError(f"envelope: not signed by a trusted key (signed by {signed_by})") from None
        return bytes(parsed.payload)

    @staticmethod
    def _parse(envelope: bytes) -> Envelope:
        document = strict_json(envelope, "envelope")
        try:
            parsed = Envelope.from_dict(document)
        except (KeyError, ValueError, TypeError, AttributeError, FormatError):
            raise IntegrityError("envelope: not a DSSE envelope") from None
        if not isinstance(parsed.payload_type, str):
            raise IntegrityError("envelope: payloadType must be text")
        return parsed

    def __repr__(self) -> str:
        return f"TrustedKeys({', '.join(sorted(key_id[:8] for key_id in self._keys))})"


def generate_signing_key() -> str:
    """Return a fresh Ed25519 private key as PEM (PKCS 8, unencrypted)."""
    return (
        Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def load_signer(pem: str, *, where: str = "keys.signing_key") -> Ed25519Signer:
    """Return a signer from PEM text (PKCS 8, unencrypted). Raises ConfigError naming ``where``."""
    if "PUBLIC KEY" in pem and "PRIVATE KEY" not in pem:
        raise ConfigError([f"{where}: this is a public key; the private key is needed to sign"])
    if "ENCRYPTED" in pem:
        raise ConfigError([f"{where}: the key is encrypted; give it unencrypted, kept by your secret store"])
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # The library's own text may quote what it was given.
        raise ConfigError([f"{where}: not a PEM private key; {_MAKE_ONE}"]) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError([f"{where}: an Ed25519 key is needed, not another kind; {_MAKE_ONE}"])
    return Ed25519Signer(key)


def load_trusted(
    pems: Sequence[str], *, signer: Ed25519Signer | None = None, where: str = "keys.trusted"
) -> TrustedKeys:
    """Return a verifier for these public keys (PEM) and the signer's own. Raises ConfigError."""
    keys: list[Key] = [] if signer is None else [signer.public_key]
    problems: list[str] = []
    for index, pem in enumerate(pems):
        place = f"{where}[{index}]"
        if "PRIVATE KEY" in pem:
            problems.append(f"{place}: this is a private key; put only its public half here")
            continue
        try:
            key = serialization.load_pem_public_key(pem.encode())
        except (ValueError, TypeError, UnsupportedAlgorithm):
            problems.append(f"{place}: not a PEM public key")
            continue
        if not isinstance(key, Ed25519PublicKey):
            problems.append(f"{place}: an Ed25519 key is needed, not another kind")
            continue
        keys.append(SSlibKey.from_crypto(key))
    if problems:
        raise ConfigError(problems)
    return TrustedKeys(keys)
