"""The server's own plain text of a body."""

from __future__ import annotations

import html
import re

_TAG = re.compile(r"<[^>]*>")
_STYLE = re.compile(r"<(style|script)\b.*?</\1>", re.S | re.I)


def plain(markup: str | None) -> str | None:
    """The server's own plain text, as rough as the real one: each tag becomes a space."""
    if markup is None:
        return None
    text = _TAG.sub(" ", _STYLE.sub(" ", markup)) if "<" in markup else markup
    return html.unescape(text).strip(" ") if "&" in text or "<" in markup else text
