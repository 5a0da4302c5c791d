"""Every sentence the bot says: pure functions from nouns to :class:`bot.domain.message.Message`."""
