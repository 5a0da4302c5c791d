"""The listener: webhooks in, health and metrics out."""

from __future__ import annotations

from adapters.http.listener import BoundListener, Readiness, open_listener

__all__ = ["BoundListener", "Readiness", "open_listener"]
