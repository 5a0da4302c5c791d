"""Reading a request body without ever holding more of it than the limit."""

from __future__ import annotations

import asyncio
import zlib

from aiohttp import web

_GZIP_WINDOW = zlib.MAX_WBITS | 16


class Refusal(Exception):
    """A request that is answered with ``status`` and ``reason`` and read no further."""

    def __init__(self, status: int, reason: str) -> None:
        self.status = status
        self.reason = reason
        super().__init__(reason)


async def read_limited(request: web.BaseRequest, *, limit: int, seconds: float) -> bytes:
    """The bytes as they came over the wire.

    Raises Refusal: 413 over ``limit`` bytes (before reading anything when Content-Length says so), 408 when
    the body is not complete after ``seconds``, 400 when the sender broke off.
    """
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    if request.content.is_eof():
        # It came whole with the headers, as small bodies do: no need to arm a timer.
        whole = request.content.read_nowait()
        if len(whole) > limit:
            raise _too_large(limit)
        return whole
    received = bytearray()
    try:
        async with asyncio.timeout(seconds):
            while chunk := await request.content.readany():
                received += chunk
                if len(received) > limit:
                    raise _too_large(limit)
    except TimeoutError:
        raise Refusal(408, f"the body was not complete after {seconds:g} s") from None
    return bytes(received)


def decode(request: web.BaseRequest, body: bytes, *, limit: int) -> bytes:
    """Undo the request's Content-Encoding. Raises Refusal: 413 when the result is over ``limit`` bytes,
    400 when it is not what the header says, 415 for an encoding that is not spoken here."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return body
    if encoding not in ("gzip", "x-gzip"):
        raise Refusal(415, "Content-Encoding: only gzip and identity are understood")
    stream = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        plain = stream.decompress(body, limit + 1)
    except zlib.error:
        raise Refusal(400, "Content-Encoding is gzip, but the body is not") from None
    if len(plain) > limit:
        raise _too_large(limit)
    if not stream.eof or stream.unused_data:
        raise Refusal(400, "the gzip body is not one complete stream")
    return plain


def _too_large(limit: int) -> Refusal:
    return Refusal(
        413,
        f"the body is larger than {limit} bytes (limits.body_bytes); "
        "send fewer alerts in one request (Alertmanager: max_alerts, group_by)",
    )
