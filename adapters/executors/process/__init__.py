"""Restart a process of this machine: action ``process.restart`` with parameter ``process``."""

from adapters.executors.process.executor import ProcessExecutor
from adapters.executors.process.inspector import ProcessInspector
from adapters.executors.process.inventory import RESTART

__all__ = ["RESTART", "ProcessExecutor", "ProcessInspector"]
