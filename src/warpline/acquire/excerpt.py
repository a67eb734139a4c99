"""What a page or message says that came in place of a file."""

from __future__ import annotations

import html
import re

LONGEST = 200  # characters of what a server says in place of a file


def excerpt(content: bytes) -> str:
    """What a page or message says that came in place of something else, to be put after it."""
    text = content.decode("utf-8", "replace")
    if not text.strip() or "\ufffd" in text[:LONGEST] or "\0" in text:
        return ""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", text, flags=re.IGNORECASE | re.DOTALL)
    for part in (title.group(1) if title else "", body):
        words = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part)).split())
        if words:
            return f"; it says: {words[:LONGEST]}"
    return ""
