from __future__ import annotations

import base64
import copy
import json
import pickle

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.keys import Ed25519Signer, generate_signing_key, load_signer, load_trusted
from bot.domain.errors import ConfigError, IntegrityError

TYPE = "application/vnd.in-toto+json"
PEM = serialization.Encoding.PEM


def rsa_pem() -> str:
    return (
        rsa.generate_private_key(65537, 2048)
        .private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        .decode()
    )


@pytest.fixture(scope="module")
def pem() -> str:
    return generate_signing_key()


@pytest.fixture(scope="module")
def signer(pem: str) -> Ed25519Signer:
    return load_signer(pem)


def test_what_was_signed_is_verified_and_given_back(signer: Ed25519Signer) -> None:
    envelope = signer.sign(TYPE, b"payload")
    assert load_trusted([], signer=signer).verify(TYPE, envelope) == b"payload"
    assert load_trusted([signer.public_pem]).verify(TYPE, envelope) == b"payload"


def test_the_signature_is_plain_dsse_that_any_tool_can_check(signer: Ed25519Signer, pem: str) -> None:
    document = json.loads(signer.sign(TYPE, b"payload"))
    assert set(document) == {"payload", "payloadType", "signatures"}
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, Ed25519PrivateKey)
    pae = b"DSSEv1 %d %s 7 payload" % (len(TYPE), TYPE.encode())
    key.public_key().verify(base64.b64decode(document["signatures"][0]["sig"]), pae)
    assert document["signatures"][0]["keyid"] == signer.key_id


def test_the_key_id_stays_the_same_for_the_same_key(signer: Ed25519Signer, pem: str) -> None:
    assert load_signer(pem).key_id == signer.key_id
    assert load_signer(generate_signing_key()).key_id != signer.key_id
    assert load_trusted([signer.public_pem]).key_ids == {signer.key_id}


def test_the_private_key_is_never_shown_copied_or_pickled(signer: Ed25519Signer, pem: str) -> None:
    body = pem.splitlines()[1]
    for shown in (repr(signer), str(signer), f"{signer}", repr(load_trusted([], signer=signer))):
        assert body not in shown
    assert signer.key_id in repr(signer)
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="not copied"):
            duplicate(signer)


def test_another_key_does_not_verify(signer: Ed25519Signer) -> None:
    stranger = load_signer(generate_signing_key())
    with pytest.raises(IntegrityError, match=f"signed by {stranger.key_id[:8]}"):
        load_trusted([], signer=signer).verify(TYPE, stranger.sign(TYPE, b"payload"))


def test_with_no_trusted_key_nothing_verifies(signer: Ed25519Signer) -> None:
    with pytest.raises(IntegrityError, match="no key is trusted"):
        load_trusted([]).verify(TYPE, signer.sign(TYPE, b"payload"))


def test_a_payload_of_another_type_is_refused(signer: Ed25519Signer) -> None:
    with pytest.raises(IntegrityError, match="payload type"):
        load_trusted([], signer=signer).verify(TYPE, signer.sign("text/plain", b"payload"))


def test_claiming_the_right_key_id_is_not_enough(signer: Ed25519Signer) -> None:
    forged = json.loads(load_signer(generate_signing_key()).sign(TYPE, b"payload"))
    forged["signatures"][0]["keyid"] = signer.key_id
    with pytest.raises(IntegrityError, match="not signed by a trusted key"):
        load_trusted([], signer=signer).verify(TYPE, json.dumps(forged).encode())


@pytest.mark.parametrize("member", ["payload", "payloadType"])
def test_a_changed_envelope_does_not_verify(signer: Ed25519Signer, member: str) -> None:
    document = json.loads(signer.sign(TYPE, b"payload"))
    document[member] = base64.b64encode(b"other").decode() if member == "payload" else "text/plain"
    with pytest.raises(IntegrityError):
        load_trusted([], signer=signer).verify(TYPE, json.dumps(document).encode())


@pytest.mark.parametrize(
    "envelope",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"payload":"!","payloadType":"x","signatures":[]}',
        b'{"payload":"aGk=","payloadType":5,"signatures":[]}',
        b'{"payload":"aGk=","payloadType":"application/vnd.in-toto+json","signatures":[]}',
        b'{"payload":"aGk=","payloadType":"application/vnd.in-toto+json","signatures":[{}]}',
        b'{"payload":"aGk=","payloadType":"application/vnd.in-toto+json","signatures":[5]}',
        b'{"payload":"aGk=","payloadType":"application/vnd.in-toto+json","signatures":'
        b'[{"keyid":"a","sig":"AA=="},{"keyid":"a","sig":"AA=="}]}',
        b"[" * 200_000,
        b" " * 2_000_000,
    ],
)
def test_anything_that_is_no_signed_envelope_is_an_integrity_error(
    signer: Ed25519Signer, envelope: bytes
) -> None:
    with pytest.raises(IntegrityError):
        load_trusted([], signer=signer).verify(TYPE, envelope)


def test_a_key_that_cannot_sign_is_refused_with_a_remedy(signer: Ed25519Signer) -> None:
    encrypted = (
        Ed25519PrivateKey.generate()
        .private_bytes(
            PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
        )
        .decode()
    )
    for text, complaint in (
        ("", "not a PEM private key; make one with: assent keys generate"),
        ("hunter2", "not a PEM private key"),
        (rsa_pem(), "an Ed25519 key is needed"),
        (encrypted, "encrypted"),
        (signer.public_pem, "this is a public key"),
    ):
        with pytest.raises(ConfigError, match=complaint) as caught:
            load_signer(text)
        assert str(caught.value).startswith("keys.signing_key: ")
        assert "hunter2" not in str(caught.value)


def test_every_bad_trusted_key_is_named_at_once(signer: Ed25519Signer, pem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_trusted([signer.public_pem, pem, "nonsense"])
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "keys.trusted[1]",
        "keys.trusted[2]",
    ]
    assert pem.splitlines()[1] not in str(caught.value)
