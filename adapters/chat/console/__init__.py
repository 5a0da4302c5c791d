"""An incident room in the terminal: the Chat port for one person in front of one process."""

from adapters.chat.console.chat import ConsoleChat, open_console

__all__ = ["ConsoleChat", "open_console"]
