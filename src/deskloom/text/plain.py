"""The characters of a text: invisible ones gone, every kind of space and line end made one, NFC."""

from __future__ import annotations

import re
import unicodedata

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\ue000]"
)
_JOINER = re.compile("(?<![\u0600-\u0dff\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])[\u200c\u200d]")
"""Joiners mean something between Arabic and Indic letters and in emoji, nothing elsewhere."""
_SPACES = re.compile("[\t \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_MANY_BREAKS = re.compile(r"\n{3,}")


def printable(text: str) -> str:
    """The text without NUL, control and invisible characters, surrogates and this package's own marks; LF only."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
    text = text.replace("\x85", "\n")
    if "\u200c" in text or "\u200d" in text:
        text = _JOINER.sub("", text)
    return _INVISIBLE.sub("", text)


def tidy(text: str) -> str:
    """NFC, no space at the ends of lines, at most one empty line in a row."""
    lines = (line.rstrip() for line in text.split("\n"))
    return unicodedata.normalize("NFC", _MANY_BREAKS.sub("\n\n", "\n".join(lines)).strip("\n").rstrip())


def plain_to_text(text: str) -> str:
    """The same for text that is no HTML: invisible characters gone, U+00A0 and its kin a space, NFC."""
    lines = (indent(line) for line in printable(text).split("\n"))
    return tidy("\n".join(lines))


def indent(line: str) -> str:
    """The line with its leading spaces kept and every other run of spaces made one."""
    body = line.lstrip("\t \u00a0\u3000")
    return " " * (len(line) - len(body)) + _SPACES.sub(" ", body)
