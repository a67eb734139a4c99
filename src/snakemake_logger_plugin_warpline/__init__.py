"""What Snakemake shows: on a terminal one screen of bars and running jobs, elsewhere plain text.

The bars, and the errors of jobs in full, are those of snakemake-logger-plugin-rich. The Snakefile
puts this in the place of Snakemake's own lines (`take_the_terminal`), so that no profile has to
name what an environment may lack; where another ``--logger`` is asked for, that one is left alone.
Without rich's plugin, without a terminal, in a dry run or with ``WARPLINE_PLAIN=1`` Snakemake
writes as it always does.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from logging import Logger, LogRecord
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_warpline import command

PLAIN = "WARPLINE_PLAIN"
OWN = "DefaultStreamHandler"  # Snakemake's name of what writes its lines
# Tells jobs that their logs are looked at, so that they write nothing to the terminal themselves.
SCREEN = "WARPLINE_SCREEN"
TAIL_BYTES = 4096
TAIL_SECONDS = 0.5

command.check()


@dataclass
class Running:
    """A job that runs: its rule and wildcards, its log, and since when."""

    name: str
    log: str | None
    started: float = field(default_factory=time.monotonic)
    _line: str = ""
    _read: float = 0.0

    def line(self) -> str:
        """The last line of its log, read twice a second at the most."""
        if self.log and time.monotonic() - self._read >= TAIL_SECONDS:
            self._line, self._read = last_line(self.log), time.monotonic()
        return self._line


def take_the_terminal(logger: Logger, settings: Any) -> None:
    """Put the screen in the place of Snakemake's own lines, where there is a terminal for it.

    Parameters
    ----------
    logger
        Snakemake's.
    settings
        Of its output; None where Snakemake has been asked for something else than a run.
    """
    if settings is None:
        return
    for own in [handler for handler in logger.handlers if handler.name == OWN]:
        screen = LogHandler(settings, None)
        if screen.writes_to_stream:
            logger.removeHandler(own)
            logger.addHandler(screen)


def last_line(path: str | os.PathLike) -> str:
    """The last line of a log that says something; empty if there is none yet.

    Of a progress line the name before the colon, which the job's wildcards tell as well, is left
    out.
    """
    try:
        with Path(path).open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - TAIL_BYTES))
            text = stream.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    name, found, rest = lines[-1].partition(": ")
    return rest if found and " " not in name else lines[-1]


def named(rule: str, wildcards: Iterable[Any]) -> str:
    """A job in a few words."""
    return " ".join([rule.replace("_", " "), *map(str, wildcards)])


class LogHandler(LogHandlerBase):
    """Bars and running jobs on a terminal."""

    def __post_init__(self) -> None:
        self.running: dict[int, Running] = {}
        self.rich = None
        stream = sys.stdout if self.common_settings.stdout else sys.stderr
        plain = os.environ.get(PLAIN, "") not in ("", "0") or os.environ.get("TERM") == "dumb"
        if plain or self.common_settings.dryrun or not stream.isatty():
            return
        try:
            from rich.console import Group
            from rich.progress import MofNCompleteColumn
            from snakemake_logger_plugin_rich.handler import RichLogHandler
        except ImportError:  # an environment of another project's: text will do
            return
        os.environ[SCREEN] = "1"
        self.rich = RichLogHandler(settings=self.common_settings)
        bars = self.rich.live_display.renderable
        # How many run stands above, by name; how many there are tells more than a percentage.
        spinner, _, name, bar, _, elapsed = self.rich.progress.columns
        self.rich.progress.columns = (spinner, name, bar, MofNCompleteColumn(), elapsed)
        self.rich.live_display.update(Group(_Jobs(self.running), bars))

    def emit(self, record: LogRecord) -> None:
        """Show a record, if there is a screen."""
        if self.rich is None:
            return
        event = getattr(record, "event", None)
        if event == LogEvent.JOB_INFO:
            logs = list(getattr(record, "log", None) or [])
            wildcards = dict(getattr(record, "wildcards", None) or {})
            name = named(record.rule_name, wildcards.values())
            self.running[record.jobid] = Running(name, logs[0] if logs else None)
        elif event == LogEvent.JOB_FINISHED:
            self.running.pop(record.job_id, None)
        elif event == LogEvent.JOB_ERROR:
            self.running.pop(record.jobid, None)
        self.rich.emit(record)
        if event == LogEvent.JOB_FINISHED:
            self._hide_finished()

    def _hide_finished(self) -> None:
        """Leave the screen to what is still to be done: only the first bar, of all, stays."""
        for task in self.rich.progress.tasks[1:]:
            if task.visible and task.completed >= (task.total or 0):
                self.rich.progress.update(task.id, visible=False)

    def close(self) -> None:
        """Take the screen down."""
        if self.rich is not None:
            self.rich.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        """Whether Snakemake leaves the terminal to this plugin."""
        return self.rich is not None

    @property
    def writes_to_file(self) -> bool:
        """It does not."""
        return False

    @property
    def has_filter(self) -> bool:
        """Rich's handler chooses itself what it shows."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Rich's handler formats itself."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """It does not."""
        return False


class _Jobs:
    """The running jobs as a table, as they are whenever the screen is drawn."""

    def __init__(self, running: dict[int, Running]):
        self.running = running

    def __rich_console__(self, console: Any, options: Any) -> Iterable[Any]:
        from rich.panel import Panel
        from rich.table import Table
        from rich.text import Text

        jobs = list(self.running.values())
        table = Table.grid(padding=(0, 2), expand=True)
        table.add_column(no_wrap=True, max_width=44)
        table.add_column(no_wrap=True, justify="right", width=8)
        table.add_column(ratio=1, style="dim")
        for job in jobs:
            minutes, seconds = divmod(int(time.monotonic() - job.started), 60)
            # Text, not markup: a log may say anything.
            table.add_row(job.name, f"{minutes}:{seconds:02d}", Text(job.line()))
        if jobs:
            yield Panel(table, title="Running", border_style="dim", padding=(0, 1))
