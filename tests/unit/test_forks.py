"""Jobs as forks of a process that has loaded their libraries."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakemake_logger_plugin_warpline import fork_server, forks

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux alone")


@pytest.fixture(scope="module")
def server():
    made = forks.Forks()
    yield made
    made.end()


@pytest.fixture
def run(server, tmp_path):
    """Run a script's text by a fork; its exit status."""

    def run(text, name="script.py", record=None, **more):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        environment = {**os.environ, "RESULT": str(tmp_path / "result"), **more}
        return server.run(str(path), environment, record)

    run.result = tmp_path / "result"
    return run


WRITE = "import os, sys\nfrom pathlib import Path\nsay = Path(os.environ['RESULT']).write_text\n"


def test_a_job_finds_loaded_what_jobs_need_and_is_main_in_its_own_process(run):
    loaded = "{'numpy', 'pandas', 'SimpleITK'} <= set(sys.modules)"
    assert run(f"{WRITE}say(' '.join(map(str, [{loaded}, __name__, os.getpid(), sys.argv])))") == 0
    loaded, name, pid, argv = run.result.read_text().split(maxsplit=3)
    assert (loaded, name) == ("True", "__main__")
    assert int(pid) != os.getpid()
    assert argv == repr([str(run.result.with_name("script.py"))])


def test_a_job_has_the_folder_and_just_the_environment_that_it_is_given(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONLY_HERE", "1")
    text = "import tempfile\nsay(' '.join([os.getcwd(), tempfile.gettempdir(),"
    text += " os.environ['GIVEN'], str('GONE' in os.environ)]))"
    assert run(WRITE + text, TMPDIR=str(tmp_path), GIVEN="ü x") == 0
    assert run.result.read_text() == f"{tmp_path} {tmp_path} ü x False"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("raise ValueError('an error of a test')", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL),
        ("import os, signal; signal.raise_signal(signal.SIGINT)", 128 + signal.SIGINT),
        ("raise SystemExit('told by a test')", 1),
        ("import sys; sys.exit()", 0),
    ],
)
def test_a_job_ends_as_it_would_by_itself(run, text, status):
    assert run(text) == status


def test_a_job_waits_for_its_threads_and_does_what_it_left_for_its_end(run):
    text = "import atexit, threading, time\nfrom concurrent.futures import ThreadPoolExecutor\n"
    text += "told = []\natexit.register(lambda: say(' '.join(told)))\n"
    text += "late = lambda: (time.sleep(0.3), told.append('thread'))\n"
    text += "threading.Thread(target=late).start()\nThreadPoolExecutor(1).submit(late)"
    assert run(WRITE + text) == 0
    assert run.result.read_text() == "thread thread"


def test_a_job_s_last_words_are_written(run):
    text = (
        "import ctypes, os\nos.dup2(os.open(os.environ['RESULT'], os.O_WRONLY | os.O_CREAT), 1)\n"
    )
    text += "print('by Python', end='')\nctypes.CDLL(None).printf(b' and by C')"
    assert run(text) == 0
    assert run.result.read_text() == "by Python and by C"


def test_a_job_computes_on_one_thread(run, tmp_path):
    """Libraries that are loaded before a job tells them its threads still do as they are told."""
    text = f"{WRITE}from warpline.jobs import job\nwith job({str(tmp_path / 'log')!r}, 1):\n"
    text += "    import SimpleITK as sitk, torch\n    itk = sitk.ProcessObject\n"
    text += (
        "    n = itk.GetGlobalDefaultNumberOfThreads()\n    say(f'{n} {torch.get_num_threads()}')"
    )
    for _ in range(3):  # the third finds torch loaded
        assert run(text, **forks._environment({})) == 0
        assert run.result.read_text() == "1 1"


def test_what_a_job_changes_no_other_sees(run):
    text = f"import json\n{WRITE}say(str(getattr(json, 'mark', 'none')))\njson.mark = 'left'"
    for _ in range(2):
        assert run(text) == 0
        assert run.result.read_text() == "none"


def test_what_two_jobs_had_to_load_the_third_finds(run):
    found = []
    for _ in range(3):
        assert run(f"{WRITE}say(str('jinja2' in sys.modules))\nimport jinja2") == 0
        found.append(run.result.read_text())
    assert found == ["False", "False", "True"]


def test_jobs_run_side_by_side(run, tmp_path):
    """Each waits for the other's file."""
    wait = (
        "import os, sys, time\nfrom pathlib import Path\nown, other = {}\nPath(own).touch()\n"
        "end = time.monotonic() + 60\n"
        "while not Path(other).exists():\n    time.sleep(0.01)\n"
        "    assert time.monotonic() < end\n"
    )
    names = [str(tmp_path / name) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        ends = [
            pool.submit(run, wait.format(order), f"{k}.py")
            for k, order in enumerate([names, names[::-1]])
        ]
        assert [end.result() for end in ends] == [0, 0]


def test_what_a_job_costs_is_that_of_its_own_process(run):
    from snakemake.benchmark import BenchmarkRecord

    record = BenchmarkRecord()
    work = "import time\nend = time.process_time() + 1.5\nwhile time.process_time() < end: pass"
    assert run(work, record=record) == 0
    assert record.running_time >= 1.5
    assert 0 < record.cpu_time <= record.running_time


def test_without_its_server_a_job_is_told_to_run_otherwise(tmp_path):
    lone = forks.Forks()
    script = tmp_path / "long.py"
    script.write_text(
        f"import os\nfrom pathlib import Path\nPath({str(tmp_path / 'pid')!r})"
        ".write_text(f'{os.getpid()} {os.getppid()}')\nimport time; time.sleep(60)\n"
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(lone.run, str(script), dict(os.environ))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        job, server = map(int, (tmp_path / "pid").read_text().split())
        os.kill(server, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="WARPLINE_FRESH=1"):
            running.result()
    os.kill(job, signal.SIGKILL)
    script.write_text("")
    assert lone.run(str(script), dict(os.environ)) is None
    lone.end()


def test_nothing_is_forked_beside_another_thread():
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert not fork_server._may_fork()
    finally:
        done.set()
        thread.join()


SCRIPTS = Path(__file__).parents[2] / "scripts"


def script(**changes):
    own = dict.fromkeys(("conda_env", "container_img", "env_modules", "shadow_dir"))
    place = {"is_local": True, "local_path": str(SCRIPTS / "evaluate.py")}
    usual = {"threads": 1, "rulename": "evaluate", "resources": {"tmpdir": "/tmp", "gpu": 0}}
    return SimpleNamespace(**own | place | usual | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 2},
        {"rulename": "arena_cell"},
        {"resources": {"gpu": 1}},
        {"resources": {"shell_exec": "zsh"}},
        {"conda_env": "envs/torch.yaml"},
        {"container_img": "image.sif"},
        {"env_modules": "torch"},
        {"shadow_dir": "shadow"},
        {"local_path": "/of/another/workflow/scripts/evaluate.py"},
        {"is_local": False},
    ],
)
def test_a_job_that_needs_another_python_gets_one(changes):
    assert forks._is_forked(script(), SCRIPTS)
    assert not forks._is_forked(script(**changes), SCRIPTS)


def test_a_job_of_one_thread_is_told_so_by_every_library(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    told = forks._environment({"tmpdir": "/elsewhere"})
    names = [f"{name}_NUM_THREADS" for name in ("OMP", "OPENBLAS", "MKL", "GOTO", "NUMEXPR")]
    assert {told[name] for name in (*names, "VECLIB_MAXIMUM_THREADS")} == {"1"}
    assert {told[name] for name in ("TMPDIR", "TMP", "TEMP", "TEMPDIR")} == {"/elsewhere"}
