"""A small server of a folder's files, for this machine alone."""

from __future__ import annotations

import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from warpline.errors import WarplineError


class Handler(SimpleHTTPRequestHandler):
    """Files as they are now: a run that is made anew is seen at once; says nothing of requests."""

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def server(folder: str | os.PathLike, port: int = 0) -> ThreadingHTTPServer:
    """A server of a folder at 127.0.0.1; 0 is any free port. A context that closes it.

    Raises
    ------
    WarplineError
        If the port is taken or not allowed.
    """
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
    except (OSError, OverflowError) as error:
        raise WarplineError(
            f"The port cannot be used ({error}).", where=f"--port {port}", do="Leave it out."
        ) from error
