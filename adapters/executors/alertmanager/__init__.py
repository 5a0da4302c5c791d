"""Silences in Alertmanager: actions ``alertmanager.silence`` and ``alertmanager.expire_silence``."""

from adapters.executors.alertmanager.executor import AlertmanagerExecutor
from adapters.executors.alertmanager.inspector import AlertmanagerInspector

__all__ = ["AlertmanagerExecutor", "AlertmanagerInspector"]
