"""Every attempt, counted where the SDK makes it: below its retries."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from adapters.model.anthropic import failures
from bot.telemetry import Metrics
from investigators.analyst.ports import FailureKind, ModelFailure

if TYPE_CHECKING:
    from anthropic import APIRequest, AsyncAPIResponse

    CallNext = Callable[[APIRequest], Awaitable[AsyncAPIResponse[Any]]]


_GAVE_UP = (408, 502, 504)
"""Of somebody between us and a provider that may have been working."""


class Attempts:
    """The attempts of one conversation: middleware of the SDK's client. A retry that would begin after the
    turn's end, or that no waiting helps, is not made, nor one after an attempt that may be billed: a turn
    reserves money for one. ``last`` is why the last attempt of this turn failed; ``doubtful``: it may have
    cost something although no answer came; ``running``: one runs now."""

    def __init__(self, model: str, metrics: Metrics | None) -> None:
        self._model = model
        self._metrics = metrics
        self._deadline = 0.0
        self.last: ModelFailure | None = None
        self.doubtful = False
        self.running = False

    def begin(self, deadline: float) -> None:
        """A new turn. ``deadline`` is of the monotonic clock."""
        self._deadline = deadline
        self.last = None
        self.doubtful = False

    async def __call__(self, request: APIRequest, call_next: CallNext) -> AsyncAPIResponse[Any]:
        from anthropic import APIConnectionError, APITimeoutError

        began = time.monotonic()
        result = "cancelled"
        self.running = True
        try:
            response = await call_next(request)
            # Read here, so that a body that breaks off counts as this attempt's failure.
            raw = await response.read()
            result = self._judged(response.status_code, raw, failures.wait_of(response.headers))
            self.running = False
            return response
        except APIConnectionError as error:
            timed_out = isinstance(error, APITimeoutError)
            self.last = connection_failure(error)
            self.doubtful = not never_arrived(error)
            result = (FailureKind.TIMEOUT if timed_out else FailureKind.UNREACHABLE).value
            self.running = False
            if self.doubtful:
                raise self.last from None
            raise
        except ModelFailure as failure:
            result = failure.kind.value
            self.running = False
            raise
        finally:
            self._count(result, time.monotonic() - began)

    def _judged(self, status: int, raw: bytes, wait: Any) -> str:
        if status == 200:
            self.last = None
            return "ok"
        self.last = failures.of_status(status, raw, model=self._model, wait=wait)
        self.doubtful = status in _GAVE_UP
        hopeless = self.last.kind is FailureKind.SPEND_LIMIT
        too_late = wait is not None and time.monotonic() + wait.total_seconds() >= self._deadline
        if self.doubtful or hopeless or too_late:
            # Our own exception: the SDK neither retries it nor sleeps for it, however long it was told to.
            raise self.last
        return self.last.kind.value

    def _count(self, result: str, seconds: float) -> None:
        if self._metrics is not None:
            self._metrics.model_requests.labels(model=self._model, result=result).inc()
            self._metrics.model_seconds.labels(model=self._model).observe(seconds)


def connection_failure(error: Exception) -> ModelFailure:
    from anthropic import APITimeoutError

    if isinstance(error, APITimeoutError):
        return ModelFailure(FailureKind.TIMEOUT, "the provider did not answer in time")
    if never_arrived(error):
        return ModelFailure(FailureKind.UNREACHABLE, "the provider cannot be reached: look at model.base_url")
    return ModelFailure(FailureKind.UNREACHABLE, "the connection to the provider broke off")


def never_arrived(error: Exception) -> bool:
    """Whether the provider cannot have begun to work: there was no connection."""
    import httpx2

    cause = error.__cause__
    return isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout)
