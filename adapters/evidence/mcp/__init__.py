"""Tools of servers of the Model Context Protocol: allow-listed, pinned, read only.

Nothing here imports the library before a server is connected to.
"""

from adapters.evidence.mcp.listing import Listed, differing, flaw
from adapters.evidence.mcp.pins import Pin, PinFile, pin_file, pin_of, pins_of
from adapters.evidence.mcp.source import McpTools, missing

__all__ = [
    "Listed",
    "McpTools",
    "Pin",
    "PinFile",
    "differing",
    "flaw",
    "missing",
    "pin_file",
    "pin_of",
    "pins_of",
]
