"""Policy engines."""

from adapters.policy.rego import RegoEngine, load_engine

__all__ = ["RegoEngine", "load_engine"]
