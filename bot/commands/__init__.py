"""What people may ask of the bot: text → closed command type → handler → message."""
