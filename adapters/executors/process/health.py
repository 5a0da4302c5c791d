"""One look at a health URL."""

from __future__ import annotations

from datetime import timedelta

import aiohttp

HEALTH_TIMEOUT = timedelta(seconds=2)


async def answers(url: str, timeout: timedelta = HEALTH_TIMEOUT) -> tuple[bool, str]:
    """Return whether a GET answers 200 in time, and one phrase about it. Redirects are not followed."""
    limit = aiohttp.ClientTimeout(total=timeout.total_seconds())
    try:
        async with aiohttp.ClientSession(timeout=limit) as session:
            async with session.get(url, allow_redirects=False) as response:
                return response.status == 200, f"HTTP {response.status}"
    except TimeoutError:
        return False, f"no answer in {timeout.total_seconds():g} s"
    except aiohttp.ClientConnectorError:
        return False, "no connection"
    except aiohttp.ClientError as error:
        return False, type(error).__name__
