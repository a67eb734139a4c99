"""A file server on this machine that fails as servers fail."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 16  # bytes


@dataclass
class Resource:
    """One address and how it answers.

    Attributes
    ----------
    drops
        For each answer with a body, after how many of its bytes the connection is dropped;
        answers beyond the list are whole.
    statuses
        Statuses of the first answers, before it answers normally.
    stalls
        For each answer with a body, seconds of silence after its first byte, then
        nothing more; answers beyond the list are whole.
    pause
        Seconds of silence before every piece of 64 KiB: a slow server.
    """

    content: bytes = b""
    etag: str | None = '"v1"'
    ranges: bool = True
    drops: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    location: str | None = None
    stalls: list[float] = field(default_factory=list)
    pause: float = 0.0


@dataclass
class Server:
    """What is served, and what was asked for and sent."""

    url: str
    resources: dict[str, Resource] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    sent: int = 0

    def add(self, path: str, **keys) -> str:
        """Serve a resource; its URL."""
        self.resources[path] = Resource(**keys)
        return self.url + path


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is expected here."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        served: Server = self.server.served
        wanted = self.headers.get("Range")
        served.requests.append((self.path, wanted))
        resource = served.resources.get(self.path)
        if resource is None:
            return self._answer(404, {})
        if resource.location:
            return self._answer(302, {"Location": resource.location})
        if resource.statuses:
            return self._answer(resource.statuses.pop(0), resource.headers)
        headers = dict(resource.headers)
        if resource.etag:
            headers["ETag"] = resource.etag
        start, total = 0, len(resource.content)
        same = self.headers.get("If-Range") == resource.etag
        if wanted and resource.ranges and same:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted).group(1))
            if start >= total:
                return self._answer(416, {"Content-Range": f"bytes */{total}"})
            headers["Content-Range"] = f"bytes {start}-{total - 1}/{total}"
        body = resource.content[start:]
        limit = resource.drops.pop(0) if resource.drops else len(body)
        self.send_response(206 if start else 200)
        self._headers(headers, len(body))
        if resource.stalls:
            self.wfile.write(body[:1])
            served.sent += 1
            time.sleep(resource.stalls.pop(0))
            return
        for begin in range(0, limit, PIECE):
            piece = body[begin : min(begin + PIECE, limit)]
            time.sleep(resource.pause)
            self.wfile.write(piece)
            served.sent += len(piece)
        if limit < len(body):
            self.wfile.flush()
            self.close_connection = True

    def _answer(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        self._headers(headers, 0)

    def _headers(self, headers: dict[str, str], length: int) -> None:
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


@contextmanager
def serve() -> Iterator[Server]:
    """A running server on a free port of this machine."""
    httpd = _QuietServer(("127.0.0.1", 0), _Handler)
    httpd.served = Server(f"http://127.0.0.1:{httpd.server_port}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield httpd.served
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()
