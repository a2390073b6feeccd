"""Quoted history collapsed: what a message repeats of those before it is left out, what stands nowhere else is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from deskloom.text.email import own_text
from deskloom.text.html import CUT
from deskloom.text.quotes import quotation_at

LEFT_OUT = "[…]"
"""Stands where something was left out that can be read further up."""

_WORDS = re.compile(r"\w+")
_MARKS = re.compile(r"^(?:\s{0,3}>)+ ?")
_TOGETHER = 4
"""Words in a row that have to be the same: mail programs fold quoted lines, but do not change their words."""
_REPEATED = 0.6
"""Share of such rows that make a paragraph a repetition."""
_LEAST = 8
"""Words below which what is left of a quotation (its heading, a name, a greeting) says nothing."""


class Said:
    """What has been said on a ticket so far."""

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()

    def collapse(self, text: str) -> str:
        """The text (of `html_to_text(…, mail=True)`) without what was said before, which is remembered from now on.

        A forwarded message, or a quotation of mail that the help desk never saw, is new and stays; so do lines that
        are quoted above an answer to them.
        """
        kept: list[str] = []
        for own, lines in _parts(text):
            kept += lines if own else self._new(lines)
        self._said.update(_rows(_words("\n".join(kept))))
        return "\n".join(kept).strip("\n")

    def _new(self, lines: list[str]) -> list[str]:
        paragraphs = [list(part) for _, part in groupby(lines, key=_is_empty)]
        told = [(part, _words(_without_headings(part))) for part in paragraphs]
        fresh = [(part, words) for part, words in told if not self._knows(words)]
        if sum(len(words) for _, words in fresh) >= _LEAST:
            return [line for part, _ in fresh for line in part]
        return ["", LEFT_OUT, ""] if sum(len(words) for _, words in told) >= _LEAST else []

    def _knows(self, words: list[str]) -> bool:
        rows = list(_rows(words))
        return bool(rows) and sum(row in self._said for row in rows) >= _REPEATED * len(rows)


def _parts(text: str) -> Iterator[tuple[bool, list[str]]]:
    """The lines in order, the writer's own and the others in turn; empty lines belong to what stands above them."""
    own = [line for line in own_text(text).split("\n") if not _is_empty(line)]
    at, mine = 0, True
    said: list[tuple[bool, str]] = []
    for line in text.split("\n"):
        if line.strip() == CUT:
            continue
        if not _is_empty(line):
            mine = at < len(own) and line == own[at]
            at += mine
        said.append((mine, line))
    if at < len(own):  # nobody's own words may be lost, whatever was made of the others
        said = [(True, line) for _, line in said]
    for whose, lines in groupby(said, key=lambda entry: entry[0]):
        yield whose, [line for _, line in lines]


def _is_empty(line: str) -> bool:
    return not line.strip(" >")


def _without_headings(lines: list[str]) -> str:
    """The lines without the headings of quotations ("On Monday Ada wrote:", "From: … Sent: …")."""
    plain = [_MARKS.sub("", line) for line in lines]
    kept: list[str] = []
    at = 0
    while at < len(plain):
        after = quotation_at(plain, at)
        if after is None:
            kept.append(plain[at])
        at = after or at + 1
    return "\n".join(kept)


def _words(text: str) -> list[str]:
    return _WORDS.findall(text.casefold())


def _rows(words: list[str]) -> Iterator[tuple[str, ...]]:
    """Every few words in a row; of a shorter text all of it."""
    if 0 < len(words) < _TOGETHER:
        yield tuple(words)
    for at in range(len(words) - _TOGETHER + 1):
        yield tuple(words[at : at + _TOGETHER])
