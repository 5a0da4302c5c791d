"""Ed25519 keys: PEM text in, a signer and a verifier of DSSE envelopes out. Touches no file."""

from adapters.keys.ed25519 import Ed25519Signer, TrustedKeys, generate_signing_key, load_signer, load_trusted

__all__ = ["Ed25519Signer", "TrustedKeys", "generate_signing_key", "load_signer", "load_trusted"]
