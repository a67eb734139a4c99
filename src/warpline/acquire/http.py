"""Addresses, sessions and answers over HTTP; each address is checked before it is asked."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import requests
import urllib3

from warpline.acquire.archive import SourceFailed
from warpline.acquire.excerpt import excerpt
from warpline.acquire.patience import Patience, TryAgain, insist

MOST_REDIRECTS = 10
LARGEST_ANSWER = 1 << 24  # bytes: a longer answer describes no record
# Some hosts answer 403 to the default agents of command-line tools.
HEADERS = {"User-Agent": "Mozilla/5.0 (compatible; warpline)", "Accept-Encoding": "identity"}


def scheme_and_host(url: str) -> tuple[str | None, str]:
    """Of an address as the connection reads it: in odd ones other readers find another host."""
    try:
        parts = urllib3.util.parse_url(url)
    except urllib3.exceptions.LocationParseError:
        return None, ""
    return parts.scheme, (parts.host or "").strip("[]")


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def whole_number(text: str) -> int | None:
    """The number that a header holds; None for anything else, ``²`` or a thousand digits say."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def check_url(url: str, came_from: str | None = None) -> None:
    """Refuse addresses over which a file could be changed on its way.

    Raises
    ------
    SourceFailed
        If the address is neither ``https:`` nor ``http:`` of this machine, or leaves ``https:``.
    """
    scheme, host = scheme_and_host(url)
    secure_before = came_from is not None and scheme_and_host(came_from)[0] == "https"
    if scheme == "https" and host:
        return
    if scheme == "http" and is_loopback(host) and not secure_before:
        return
    what = f"redirects to {url}, which" if came_from else "it"
    raise SourceFailed(f"{what} is refused: only https is allowed (http on this machine alone)")


def session_for(url: str) -> requests.Session:
    """A session for the host of a URL."""
    session = requests.Session()
    session.headers.update(HEADERS)
    session.trust_env = not is_loopback(scheme_and_host(url)[1])  # no proxy to this machine
    return session


@contextmanager
def get(
    session: requests.Session, url: str, headers: Mapping[str, str], patience: Patience
) -> Iterator[requests.Response]:
    """A streamed answer, redirects followed one by one so that each address is checked."""
    for _ in range(MOST_REDIRECTS):
        try:
            response = session.get(
                url,
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(patience.connect, patience.read),
            )
        except requests.exceptions.InvalidURL as error:
            raise SourceFailed(f"is not a valid address ({error})") from error
        except requests.exceptions.SSLError as error:
            raise SourceFailed(f"the secure connection failed ({error})") from error
        except requests.RequestException as error:
            raise TryAgain(f"no connection ({_innermost(error)})") from error
        except ValueError as error:  # requests reads the address of a redirect
            raise SourceFailed(f"redirects to no valid address ({error})") from error
        with response:
            if not response.is_redirect:
                yield response
                return
            target = urljoin(url, response.headers["Location"])
            check_url(target, came_from=url)
            url = target
    raise SourceFailed(f"more than {MOST_REDIRECTS} redirects")


def check_status(response: requests.Response, patience: Patience) -> None:
    """Refuse an answer that is no file.

    Raises
    ------
    SourceFailed, TryAgain
        As the status says, or if a web page came.
    """
    status = f"HTTP {response.status_code} {response.reason}".strip()
    if response.status_code in (408, 429) or response.status_code >= 500:
        asked = response.headers.get("Retry-After", "")
        wait = whole_number(asked)
        if wait is not None and wait > patience.longest_wait:
            raise SourceFailed(f"{status}; it asks to come back in {wait:.0f} s")
        raise TryAgain(status, wait)
    if response.status_code not in (200, 206):
        raise SourceFailed(status)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        said = excerpt(response.raw.read(1 << 14, decode_content=True))
        raise SourceFailed(f"a web page came instead of the file (a login or consent page?){said}")


def read_json(address: str, what: str, name: str, patience: Patience) -> tuple[Any, bytes]:
    """The value that an interface answers with, and the answer itself.

    Parameters
    ----------
    what
        What it should list, for the error; `name`: of whom the log tells.

    Raises
    ------
    SourceFailed
        If there is no answer, or it is no JSON.
    """
    check_url(address)
    with session_for(address) as session:
        try:
            answer = insist(lambda: _read_small(session, address, patience), name, patience)
        except SourceFailed as error:
            raise SourceFailed(f"{address} does not list {what}: {error}") from error
    try:
        return json.loads(answer), answer
    except (ValueError, RecursionError) as error:
        raise SourceFailed(
            f"{address} answers with something else than JSON{excerpt(answer)}"
        ) from error


def _read_small(session: requests.Session, url: str, patience: Patience) -> bytes:
    """The whole body of an answer that is no large file."""
    with get(session, url, {}, patience) as response:
        check_status(response, patience)
        try:
            body = response.raw.read(LARGEST_ANSWER + 1, decode_content=True)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TryAgain(f"the connection broke ({_innermost(error)})") from error
    if len(body) > LARGEST_ANSWER:
        raise SourceFailed(f"the answer has more than {LARGEST_ANSWER} bytes")
    return body


def _innermost(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    return str(error) or type(error).__name__
