"""A web server of runbooks over TLS, with an authority of its own."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.servers.trouble import Trouble


def certificate(folder: Path) -> Path:
    """A self-signed certificate for localhost and 127.0.0.1, its key beside it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "wiki.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "wiki.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return file


@dataclass(slots=True)
class Wiki:
    """``pages``: path to content type and text; ``moved``: path to where it is now."""

    pages: dict[str, tuple[str, str]] = field(default_factory=dict)
    moved: dict[str, str] = field(default_factory=dict)
    login: str | None = None
    trouble: Trouble = field(default_factory=Trouble)
    hosts: list[str] = field(default_factory=list)

    async def _page(self, request: web.Request) -> web.Response:
        self.hosts.append(request.headers["Host"])
        if self.login is not None and request.headers.get("Authorization") != self.login:
            return web.Response(status=401, text="who are you?")
        if request.path in self.moved:
            return web.Response(status=302, headers={"Location": self.moved[request.path]})
        if request.path not in self.pages:
            return web.Response(status=404, text="no such page")
        kind, text = self.pages[request.path]
        return web.Response(body=text.encode(), headers={"Content-Type": kind})

    @asynccontextmanager
    async def serving(self, file: Path) -> AsyncIterator[int]:
        """The port it listens on, on 127.0.0.1."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file, file.with_suffix(".key"))
        app = web.Application(middlewares=[self.trouble.middleware])
        app.router.add_get("/{path:.*}", self._page)
        server = TestServer(app, scheme="https")
        await server.start_server(ssl=context)
        try:
            assert server.port is not None
            yield server.port
        finally:
            await server.close()
