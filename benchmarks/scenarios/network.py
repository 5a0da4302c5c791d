"""Calls between services that are refused, swallowed, delayed, led astray, or fail on a certificate."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.scenarios.box import Box, Scenario, failing, rule
from benchmarks.scenarios.truth import Cause, Truth
from tests.servers.synapse import steady_port

_TAGS = ("network", "recorded")
_SLOW = 'rate(http_request_duration_seconds_sum{service="checkout"}[10s]) / '
_SLOW += 'rate(http_request_duration_seconds_count{service="checkout"}[10s]) > 0.3'


async def refused(box: Box) -> Truth:
    """The one that is called is gone; the alert is the caller's."""
    box.traced()
    payments = await box.service("payments", rate=0)
    await box.service("checkout", upstreams={"payments": payments.url})
    await box.watch(failing("checkout"))
    payments.send(signal.SIGKILL)
    await box.alerted("HighErrorRate")
    faults = ("process_crash", "process_not_running", "dependency_down", "connection_refused", "target_down")
    return Truth(causes=[Cause(object="payments", fault=one, kind="") for one in faults], tags=_TAGS)


async def swallowed(box: Box) -> Truth:
    """Something holds the port of the one that is called, takes connections and never answers."""
    box.traced()
    payments = await box.service("payments", rate=0)
    await box.service("checkout", upstreams={"payments": payments.url}, timeout=1)
    await box.watch(failing("checkout"))
    payments.send(signal.SIGSTOP)
    await box.alerted("HighErrorRate")
    faults = ("process_hang", "dependency_slow", "dependency_down", "target_down")
    return Truth(causes=[Cause(object="payments", fault=one, kind="") for one in faults], tags=_TAGS)


async def two_callers(box: Box) -> Truth:
    """Two services fail at once because of the third that both call; the alert names one of them."""
    box.traced()
    stock = await box.service("stock", rate=0)
    await box.service("basket", upstreams={"stock": stock.url})
    await box.service("checkout", upstreams={"stock": stock.url})
    await box.watch(failing("checkout"))
    await stock.do("segfault")
    await box.alerted("HighErrorRate")
    faults = ("process_crash", "process_not_running", "dependency_down", "connection_refused", "target_down")
    return Truth(causes=[Cause(object="stock", fault=one, kind="") for one in faults], tags=_TAGS)


async def wrong_name(box: Box) -> Truth:
    """A change of configuration calls a name that does not exist."""
    box.traced()
    payments = await box.service("payments", rate=0)
    checkout = await box.service("checkout", upstreams={"payments": payments.url})
    await box.watch(failing("checkout"))
    await checkout.restart(upstreams={"payments": f"http://paymnets.invalid:{payments.port}/work"})
    box.changed(
        "7d10c2aa",
        "checkout",
        "Take the address of payments from the new inventory",
        kind="config",
        files=["checkout/config.json"],
        diff=f'-  "payments": "http://127.0.0.1:{payments.port}/work"\n'
        f'+  "payments": "http://paymnets.invalid:{payments.port}/work"\n',
    )
    await box.alerted("HighErrorRate")
    faults = ("service_name_wrong", "wrong_env_value", "dns_failure")
    return Truth(
        causes=[Cause(object="checkout", fault=one) for one in faults]
        + [Cause(object="paymnets.invalid", kind="external", fault="dns_failure")],
        culprit="7d10c2aa",
        tags=(*_TAGS, "change"),
    )


async def wrong_port(box: Box) -> Truth:
    """A change of configuration calls a port where nobody listens; the one that is called is well."""
    box.traced()
    payments = await box.service("payments", rate=2)
    checkout = await box.service("checkout", upstreams={"payments": payments.url})
    await box.watch(failing("checkout"))
    port = steady_port()
    await checkout.restart(upstreams={"payments": f"http://127.0.0.1:{port}/work"})
    box.changed(
        "c0ffe9b4",
        "checkout",
        "Move payments behind the new port",
        kind="config",
        files=["checkout/config.json"],
        diff=f'-  "payments": "{payments.url}"\n+  "payments": "http://127.0.0.1:{port}/work"\n',
    )
    await box.alerted("HighErrorRate")
    faults = ("service_port_wrong", "wrong_env_value", "connection_refused")
    return Truth(
        causes=[Cause(object="checkout", fault=one) for one in faults],
        culprit="c0ffe9b4",
        tags=(*_TAGS, "change"),
    )


def certificates(folder: Path, ends: Mapping[str, int]) -> Path:
    """A certificate authority, and by stem a certificate (.pem) and key (.key) of 127.0.0.1 that ends so many
    days from now. Returns the authority's own certificate."""
    issuer, issued_by = ec.generate_private_key(ec.SECP256R1()), _name("fenwick authority")
    authority = _certificate(issued_by, issuer, issued_by, issuer, days=900, authority=True)
    trust = folder / "trust.pem"
    trust.write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    for stem, days in ends.items():
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(_name("payments"), key, issued_by, issuer, days=days, authority=False)
        (folder / f"{stem}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
        (folder / f"{stem}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return trust


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issued_by: x509.Name,
    issuer: ec.EllipticCurvePrivateKey,
    *,
    days: int,
    authority: bool,
) -> x509.Certificate:
    ends = datetime.now(UTC) + timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issued_by)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=1000))
        .not_valid_after(ends)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(issuer, hashes.SHA256())
    )


async def certificate_expired(box: Box) -> Truth:
    """The one that is called is restarted, and now shows a certificate that ended two days ago."""
    box.traced()
    trust = certificates(box.folder, {"good": 60, "old": -2})
    good, old = (
        {"cert": f"{box.folder}/{one}.pem", "key": f"{box.folder}/{one}.key"} for one in ("good", "old")
    )
    payments = await box.service("payments", rate=0, tls=good)
    await box.service("checkout", upstreams={"payments": payments.url}, ca=str(trust))
    await box.watch(failing("checkout"))
    await payments.restart(tls=old)
    await box.alerted("HighErrorRate")
    return Truth(causes=[Cause(object="payments", fault="certificate_expiry")], tags=_TAGS)


class Delaying:
    """A TCP relay on loopback that holds back what it passes on by ``seconds``."""

    def __init__(self, target: int) -> None:
        self.port = steady_port()
        self.seconds = 0.0
        self._target = target

    async def start(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, back), self._pass(there, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                await asyncio.sleep(self.seconds)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


async def delayed(box: Box) -> Truth:
    """The way to the one that is called takes 400 ms each way; it answers as fast as ever."""
    box.traced()
    payments = await box.service("payments", rate=0)
    relay = Delaying(payments.port)
    await box.stack.enter_async_context(await relay.start())
    await box.service("checkout", upstreams={"payments": f"http://127.0.0.1:{relay.port}/work"})
    await box.watch(rule("SlowOrders", _SLOW, "checkout's orders take long", severity="warning"))
    relay.seconds = 0.4
    await box.alerted("SlowOrders", linger=15)
    faults = ("network_delay", "dependency_slow")
    return Truth(causes=[Cause(object="payments", fault=one, kind="") for one in faults], tags=_TAGS)


async def full_backlog(box: Box) -> Truth:
    """A black hole: a listening socket whose queue is full, so that connections are never made."""
    box.traced()
    payments = await box.service("payments", rate=0)
    checkout = await box.service("checkout", upstreams={"payments": payments.url}, timeout=1)
    await box.watch(failing("checkout"))
    await payments.stop(signal.SIGTERM)
    with socket.socket() as hole:
        hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        hole.bind(("127.0.0.1", payments.port))
        hole.listen(0)
        waiting = []
        for _ in range(3):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", payments.port))
            waiting.append(one)
        assert checkout.process is not None
        await box.alerted("HighErrorRate")
        await box.capture()
        for one in waiting:
            one.close()
    faults = ("process_stopped", "process_not_running", "dependency_down", "dependency_slow", "target_down")
    return Truth(causes=[Cause(object="payments", fault=one, kind="") for one in faults], tags=_TAGS)


SCENARIOS: dict[str, Scenario] = {
    "network-refused": refused,
    "network-swallowed": swallowed,
    "network-two-callers": two_callers,
    "network-wrong-name": wrong_name,
    "network-wrong-port": wrong_port,
    "network-certificate-expired": certificate_expired,
    "network-delayed": delayed,
    "network-black-hole": full_backlog,
}
