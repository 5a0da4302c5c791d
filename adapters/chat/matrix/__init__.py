"""Matrix: durable sync, threads, cards with reactions, encrypted rooms. Start at :func:`open_matrix`."""

from adapters.chat.matrix.chat import MatrixChat, open_matrix
from adapters.chat.matrix.probe import probe_matrix

__all__ = ["MatrixChat", "open_matrix", "probe_matrix"]
