"""Timers inside one process, for sweeps; due times themselves live in rows.

APScheduler 3.11, ``AsyncIOScheduler`` with its memory store
(https://apscheduler.readthedocs.io/en/3.x/userguide.html).
"""

from adapters.schedule.sweeps import Schedule, open_schedule

__all__ = ["Schedule", "open_schedule"]
