"""Chat platforms: each subpackage implements ``bot.ports.Chat`` for one of them."""
