"""Timers of Snakemake that would keep it waiting after its last job."""

from __future__ import annotations

import threading


def stop_timers() -> None:
    """End the timers of Snakemake's rate limit, for which it would wait before it exits."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.cancel()
