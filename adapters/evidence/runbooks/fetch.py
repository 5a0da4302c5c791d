"""Fetch one page from a listed host, over HTTPS, from an address that was looked at before connecting."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import aiohttp
from yarl import URL

from adapters.evidence.json_api import Refused, network_reason, without
from config.schema import RunbookHost, Runbooks

_REDIRECTS = 3
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """``whole`` is False where the end was left out."""

    kind: str
    charset: str
    body: bytes
    whole: bool


class Fetcher:
    """Pages of the listed hosts. Credentials go to the host they belong to and to no other."""

    def __init__(self, config: Runbooks, session: aiohttp.ClientSession) -> None:
        self._hosts: Mapping[str, RunbookHost] = {one.host.removesuffix(":443"): one for one in config.hosts}
        self._session = session
        self._seconds = config.timeout.total_seconds()
        self._max_bytes = config.max_bytes
        self._ca_file = config.ca_file
        self._trust: ssl.SSLContext | None = None

    def knows(self, url: str) -> bool:
        """Whether the address is HTTPS on a listed host, with its port, and carries no credential."""
        return self._host(url) is not None

    async def fetch(self, url: str) -> Page:
        """The page and its redirects within the host. Raises Refused for whatever went wrong."""
        try:
            async with asyncio.timeout(self._seconds):
                for _ in range(_REDIRECTS + 1):
                    host = self._host(url)
                    if host is None:
                        raise Refused("is not on a listed host over https")
                    found = await self._once(host, url)
                    if isinstance(found, Page):
                        return found
                    target = urljoin(url, found)
                    if self._host(target) is not host:
                        raise Refused("redirects to another server")
                    url = target
                raise Refused("redirects without end")
        except TimeoutError:
            raise Refused(f"no answer within {self._seconds:g} s") from None
        except aiohttp.ClientError as error:
            raise Refused(f"cannot be reached: {network_reason(error)}") from None
        except OSError as error:
            raise Refused(f"cannot be reached: {error.strerror or type(error).__name__}") from None
        except ValueError:
            raise Refused("is no address that can be asked") from None

    def _host(self, url: str) -> RunbookHost | None:
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError:
            return None
        if parts.scheme != "https" or parts.username is not None or parts.password is not None:
            return None
        name = (parts.hostname or "").lower()
        return self._hosts.get(name if port == 443 else f"{name}:{port}")

    async def resolve(self, host: RunbookHost) -> str:
        """The addresses of a listed host. Raises Refused."""
        name, _, port = host.host.partition(":")
        try:
            async with asyncio.timeout(self._seconds):
                return " ".join(await _addresses(name, int(port or 443), private=host.private))
        except TimeoutError:
            raise Refused(f"has no address within {self._seconds:g} s") from None
        except OSError as error:
            raise Refused(f"has no address: {error.strerror or type(error).__name__}") from None

    async def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:
            try:
                self._trust = await asyncio.to_thread(ssl.create_default_context, cafile=self._ca_file)
            except OSError as error:
                raise Refused(
                    f"cannot be fetched: ca_file: {error.strerror or type(error).__name__}"
                ) from None
        return self._trust

    async def _once(self, host: RunbookHost, url: str) -> Page | str:
        """The page, or where it says that it is."""
        parts = urlsplit(url)
        addresses = await _addresses(parts.hostname or "", parts.port or 443, private=host.private)
        for address in addresses[:-1]:
            try:
                return await self._at(address, host, url)
            except aiohttp.ClientConnectorCertificateError:
                raise
            except aiohttp.ClientConnectorError:
                continue
        return await self._at(addresses[-1], host, url)

    async def _at(self, address: str, host: RunbookHost, url: str) -> Page | str:
        parts = urlsplit(url)
        # Connect to the address that was looked at: asking the name again could give another one.
        target = URL(url).with_fragment(None).with_host(address)
        headers = {"Host": parts.netloc, "Accept": "text/markdown, text/plain, text/html;q=0.9"}
        secrets: list[str] = []
        if host.bearer is not None:
            secrets = [host.bearer.get_secret_value()]
            headers["Authorization"] = f"Bearer {secrets[0]}"
        elif host.basic is not None:
            secrets = [host.basic.password.get_secret_value()]
            headers["Authorization"] = aiohttp.encode_basic_auth(host.basic.username, secrets[0])
        async with self._session.get(
            target,
            headers=headers,
            allow_redirects=False,
            server_hostname=parts.hostname,
            ssl=await self._trusted(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
        ) as response:
            if 300 <= response.status < 400 and "Location" in response.headers:
                return response.headers["Location"]
            if response.status != 200:
                raise Refused(f"answered {response.status}")
            body = bytearray()
            async for chunk in response.content.iter_chunked(65_536):
                body += chunk
                if len(body) > self._max_bytes:
                    break
            return Page(
                kind=response.content_type.lower(),
                charset=response.charset or "utf-8",
                body=without(bytes(body[: self._max_bytes]), secrets),
                whole=len(body) <= self._max_bytes,
            )


async def _addresses(name: str, port: int, *, private: bool) -> list[str]:
    """Every address of a name. Refused when any of them lies where only insiders reach."""
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))
    if not private and not all(is_public(address) for address in addresses):
        raise Refused("has a private or loopback address; set private: true for the host if that is right")
    return addresses


def is_public(address: str) -> bool:
    """Whether anybody on the Internet could reach it, also where it is IPv4 within IPv6."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed in _NAT64:
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFF_FFFF)
        else:
            parsed = parsed.ipv4_mapped or parsed.sixtofour or parsed
    return parsed.is_global and not parsed.is_multicast
