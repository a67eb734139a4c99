"""The soak's downloads: files from a server that fails in a third of its answers."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from soak_account import Account

ROOT = Path(__file__).parents[1]
FAULTS = ("refused", "hung up", "silent", "flipped", "page")
# A process that fetches files, as a run that is started anew until it has what it wants.
FETCH = """
import json, sys, time
from warpline.acquire.archive import Archive
from warpline.acquire.fetch import fetch
from warpline.acquire.patience import Patience
from warpline.errors import WarplineError
folder, url, wanted = sys.argv[1], sys.argv[2], json.load(sys.stdin)
patience = Patience(attempts=3, backoff=0.01, longest_backoff=0.05, read=0.3, quiet=60)
done, again = {}, 0
for name, digest in wanted:
    sources = tuple(f"{url}/{mirror}/{name}" for mirror in range(3))
    for _ in range(20):
        try:
            fetch(Archive(name, sources, ("sha256:" + digest,)), folder, progress=False,
                  patience=patience)
            done[name] = time.time()
            break
        except WarplineError:
            again += 1
json.dump([done, again], sys.stdout)
"""


class Faulty(BaseHTTPRequestHandler):
    """Serves its server's files under ``/<mirror>/<name>``, a third of the answers at fault."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        content, server = self.server.files[name], self.server
        with server.lock:
            fault = server.moments.choice(FAULTS) if server.moments.random() < 1 / 3 else None
            cut = server.moments.randrange(len(content))
            if fault:
                server.faults += 1
                server.first.setdefault(name, time.time())
        if fault == "refused":
            return self._send(503, b"", {"Retry-After": "0"})
        if fault == "page":
            return self._send(200, b"<html>Please sign in</html>", {"Content-Type": "text/html"})
        wanted = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")
        start = int(wanted) if self.headers.get("If-Range") == f'"{name}"' else 0
        headers = {"ETag": f'"{name}"'}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if fault == "flipped":
            content = content[:cut] + bytes([content[cut] ^ 1]) + content[cut + 1 :]
        body, status = content[start:], 206 if start else 200
        if fault in ("hung up", "silent"):
            self._send(status, body, headers, body[: max(0, cut - start)])
            time.sleep(0.6 if fault == "silent" else 0)
            self.close_connection = True
        else:
            self._send(status, body, headers)

    def _send(self, status: int, body: bytes, headers: dict, part: bytes | None = None) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body if part is None else part)
        self.wfile.flush()


class QuietServer(ThreadingHTTPServer):
    """A server of some files."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is expected here."""


@contextmanager
def serve(files: dict[str, bytes], seed: int) -> Iterator[QuietServer]:
    """A running server on a free port of this machine."""
    server = QuietServer(("127.0.0.1", 0), Faulty)
    server.files, server.first, server.faults = files, {}, 0
    server.moments, server.lock = random.Random(seed), threading.Lock()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def downloads(number: int, processes: int, seed: int, folder: Path) -> Account:
    """Fetch `number` files by several processes from a server that fails."""
    draw = random.Random(seed)
    files = {f"f{i:04}.bin": draw.randbytes(draw.randrange(1000, 400_000)) for i in range(number)}
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    account = Account("downloads")
    with serve(files, seed) as server:
        running = []
        for k in range(processes):
            # Its own files and those of the next one, in its own order.
            wanted = [
                pair for i, pair in enumerate(digests.items()) if (i - k) % processes in (0, 1)
            ]
            draw.shuffle(wanted)
            url = f"http://127.0.0.1:{server.server_port}"
            process = subprocess.Popen(
                [sys.executable, "-c", FETCH, str(folder), url],
                env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            process.stdin.write(json.dumps(wanted))
            process.stdin.close()
            running.append(process)
        done, again = {}, 0
        for process in running:
            times, more = json.loads(process.stdout.read() or "[{}, 0]")
            process.wait()
            again += more
            for name, when in times.items():
                done[name] = min(when, done.get(name, when))
    account.faults = server.faults
    account.seconds = [done[name] - first for name, first in server.first.items() if name in done]
    account.lost = [name for name in files if not (folder / name).exists()]
    account.wrong = [
        path.name
        for path in folder.iterdir()
        if path.suffix != ".json"
        and hashlib.sha256(path.read_bytes()).hexdigest() != digests.get(path.name)
    ]
    account.said = f"; {number} files, {processes} processes, {again} runs started anew"
    return account
