"""The Messages API, of Anthropic or of any server that speaks it."""

from adapters.model.anthropic.client import AnthropicModel, open_anthropic

__all__ = ["AnthropicModel", "open_anthropic"]
