"""Jobs as forks of a process that has loaded their libraries, which each would load for seconds.

Snakemake starts a Python for each script. Here one process, started with the run, has loaded what
most of them load, and forks for each (`fork_server`): a job begins in hundredths of a second, in a
process of its own as before, with the same output, environment and exit status. Jobs of several
threads, of a GPU, of an environment or container of their own, and those whose start is measured
start a Python as ever, and so does everything where this is not Linux, on a cluster, and with
``WARPLINE_FRESH=1``.
"""

from __future__ import annotations

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from snakemake.benchmark import benchmarked
from snakemake.script import PythonScript

from snakemake_logger_plugin_warpline.lighter import end_quickly, without_pandas

FRESH = "WARPLINE_FRESH"
SERVER = Path(__file__).with_name("fork_server.py")
# Rules whose jobs tell how long their libraries take to load.
MEASURED = {"arena_cell"}
# As Snakemake tells the jobs that it starts.
THREADS = ("OMP", "GOTO", "OPENBLAS", "MKL", "NUMEXPR")
FOLDERS = ("TMPDIR", "TMP", "TEMPDIR", "TEMP")


class Forks:
    """The process that forks for jobs, once it has been asked for one."""

    def __init__(self) -> None:
        self.control: socket.socket | None = None
        self.server: subprocess.Popen | None = None
        self.lock = threading.Lock()

    def start(self) -> None:
        """Start it, so that it loads while the graph of jobs is made."""
        self.control, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with other:
            self.server = subprocess.Popen(
                [sys.executable, "-P", str(SERVER), str(other.fileno())],
                pass_fds=[other.fileno()],
                env=_environment({}),
            )
        atexit.register(self.end)

    def end(self) -> None:
        """Let it end, and have its costs counted with those of the run."""
        if self.control is not None:
            self.control.close()
        if self.server is not None:
            self.server.wait()

    def run(self, path: str, environment: dict[str, str], record: Any = None) -> int | None:
        """Run a script; its exit status, or None if it has to be run in another way.

        Parameters
        ----------
        record
            Of Snakemake's: what the job costs is written into it.
        """
        request = {"script": path, "folder": os.getcwd(), "environment": environment}
        own, other = socket.socketpair()
        with own, own.makefile() as answers:
            with other, self.lock:
                if self.control is None:
                    self.start()
                try:
                    socket.send_fds(self.control, [json.dumps(request).encode()], [other.fileno()])
                except OSError:  # it is gone, or cannot be told so much
                    return None
            pid = answers.readline().strip()
            if not pid.isdigit():
                return None
            with benchmarked(int(pid), record) if record is not None else nullcontext():
                status = answers.readline().strip()
        if not status:
            raise RuntimeError(
                f"The process that starts jobs has ended while one ran; {FRESH}=1 does without it."
            )
        return int(status)


def start_quickly(workflow: Any, folder: Path) -> None:
    """Let a run, and its jobs, load less, and the run end sooner; see `fork_scripts`."""
    without_pandas()
    end_quickly()
    fork_scripts(workflow, folder)


def fork_scripts(workflow: Any, folder: Path) -> None:
    """Let the scripts of a folder be run by forks, if the run is a local one.

    Parameters
    ----------
    workflow
        Snakemake's.
    folder
        Other scripts, as of a workflow that uses this one as a module, run as ever.
    """
    settings = workflow.output_settings
    local = workflow.is_main_process and workflow.resource_settings.cores and settings is not None
    if not local or settings.dryrun or os.environ.get(FRESH, "0") not in ("", "0"):
        return
    if sys.platform != "linux" or not _tells_ends():
        return
    forks = Forks()
    forks.start()
    plain = getattr(PythonScript.execute_script, "plain", PythonScript.execute_script)

    def execute_script(self: PythonScript, fname: str, edit: bool = False) -> None:
        status = None
        if _is_forked(self, folder):
            status = forks.run(fname, _environment(self.resources), self.bench_record)
        if status is None:
            plain(self, fname, edit)
        elif status:
            raise subprocess.CalledProcessError(status, f"{sys.executable} {fname}")

    execute_script.plain = plain
    PythonScript.execute_script = execute_script


def _is_forked(script: PythonScript, folder: Path) -> bool:
    """Whether a job's script is one of the folder, and needs nothing that a fork lacks."""
    if not script.is_local or Path(script.local_path).resolve().parent != folder.resolve():
        return False
    own = (script.conda_env, script.container_img, script.env_modules, script.shadow_dir)
    resources = script.resources
    if any(own) or resources.get("gpu") or resources.get("shell_exec"):
        return False
    return script.threads == 1 and script.rulename not in MEASURED


def _environment(resources: Any) -> dict[str, str]:
    """The environment of a job of one thread."""
    folder = resources.get("tmpdir")
    found = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in THREADS}}
    found["VECLIB_MAXIMUM_THREADS"] = "1"
    return found | (dict.fromkeys(FOLDERS, folder) if folder else {})


def _tells_ends() -> bool:
    """Whether this system can tell when a process ends."""
    with suppress(AttributeError, OSError):
        os.close(os.pidfd_open(os.getpid()))
        return True
    return False
