"""HTML to plain text: blocks, lists, tables and links kept, everything that is not for reading left out.

The parser is turbohtml's (docs/decisions/0003-text.md): the WHATWG tree, walked as events in linear time, so neither
malformed markup nor 100,000 nested elements are a danger. HELPDESK-APIS T51: text made by deleting tags joins words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from turbohtml.saxparse import SaxHandler, sax_parse

from deskloom.text.links import target_to_show
from deskloom.text.markup import (
    LINES,
    OUTLOOK_RULE,
    OUTLOOK_RULE_REVERSED,
    PARAGRAPHS,
    QUOTE_CLASSES,
    REST_IDS,
    SIGNATURE_CLASSES,
    SIGNATURE_IDS,
    SKIPPED,
)
from deskloom.text.plain import printable, tidy

CUT = "\ue000"
"""Marks, in text made with `mail=True`, the line from which on an e-mail is a quotation."""
CODE = "\x01"
"""Marks, in text made with `marks=True`, where code begins and ends: alone on a line for whole lines of it."""
HEADING = "\x02"
"""Stands, in text made with `marks=True`, before a heading, as often as the heading's level says."""

_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.I)
_MARKS = re.compile(f"([{CUT}{CODE}{HEADING}])")
_HEADINGS = {f"h{level}": HEADING * level for level in range(1, 7)}
_IN_LINE = frozenset(("code", "kbd", "samp", "tt"))
_DEEPEST = 8
"""Quotation marks, list indents and tables in tables are followed this deep; beyond it the text stays, flat."""


def html_to_text(html: str, *, mail: bool = False, marks: bool = False) -> str:
    """The text a person would read. With `mail`, quotations have `> ` before their lines and signatures that the mail
    program marked are left out, as `own_text` expects; with `marks`, code and headings have theirs. Any input is fine;
    nothing is raised."""
    writer = _Writer(mail, marks)
    sax_parse(printable(html), writer)
    # once more, for what came in as entities
    return tidy("".join(part if _MARKS.match(part) else printable(part) for part in _MARKS.split(writer.text())))


class _Table:
    """The row being read of one table: cells so far, and where the text before it is kept."""

    __slots__ = ("cells", "outer")

    def __init__(self, outer: list[str]) -> None:
        self.outer = outer
        self.cells: list[str] = []


class _Writer(SaxHandler):
    """Turns parser events into text. Breaks are remembered and written only when text follows."""

    def __init__(self, mail: bool, marks: bool) -> None:
        self.mail = mail
        self.marks = marks
        self.out: list[str] = []
        self.breaks = 0
        self.space = False
        self.skipping = 0  # how many open elements stand inside the one left out; 0: none is
        self.open: list[str] = []  # what is to be undone at each open element's end: one letter per thing
        self.quotes = 0
        self.pre = 0
        self.lists: list[int | None] = []
        self.marker = ""
        self.links: list[tuple[str, int]] = []
        self.rows: list[_Table] = []

    def text(self) -> str:
        while self.rows:
            self._end_row()
        return "".join(self.out)

    # ------------------------------------------------------------------------------------------------------ events

    def start_element(self, tag: str, attrs: tuple[tuple[str, str | None], ...]) -> None:
        if self.skipping:
            self.skipping += 1
            return
        named = {name: value or "" for name, value in attrs} if attrs else {}
        if tag in SKIPPED or (named and self._left_out(named)):
            self.skipping = 1
            return
        undo = ""
        if tag in PARAGRAPHS:
            self._break(1 if self.lists and tag in ("p", "ul", "ol") else 2)
            undo = "P"
        elif tag in LINES:
            self._break(1)
            undo = "L"
        if self.mail and (tag == "blockquote" or (named and self._quotation(tag, named))):
            self._break(1)
            self.quotes += 1
            undo += "q"
        match tag:
            case "br":
                self._line_break()
            case "pre":
                if self.marks and not self.pre:
                    self._code_line()
                self.pre += 1
                undo += "r"
            case "ul" | "ol" | "menu":
                self.lists.append(_number(named.get("start"), 1) if tag == "ol" else None)
                undo += "l"
            case "li":
                self._start_item(named)
            case "tr":
                self._start_row()
                undo += "t"
            case "td" | "th":
                self._start_cell()
                undo += "c"
            case "a" if "href" in named:
                self.links.append((named["href"], len(self.out)))
                undo += "a"
            case "img":
                self._image(named)
            case _ if self.marks and tag in _IN_LINE and not self.pre:
                self._write(CODE)
                undo += "k"
            case _ if self.marks and tag in _HEADINGS:
                self._write(_HEADINGS[tag])
        self.open.append(undo)

    def end_element(self, tag: str) -> None:
        if self.skipping:
            self.skipping -= 1
            return
        if not self.open:
            return
        for what in reversed(self.open.pop()):
            self._undo(what)

    def characters(self, data: str) -> None:
        if self.skipping:
            return
        if _MARKS.search(data):
            data = _MARKS.sub("", data)
        if self.pre:
            for number, line in enumerate(data.split("\n")):
                if number:
                    self._line_break()
                if line:
                    self._write(line.replace("\u00a0", " "))
            return
        words = data.split()
        if not words:
            self.space = True
            return
        if data[0].isspace():
            self.space = True
        self._write(" ".join(words))
        self.space = data[-1].isspace()

    # ----------------------------------------------------------------------------------------------------- writing

    def _write(self, text: str) -> None:
        if self.breaks or not self.out:
            self._new_line()
        elif self.space and self.out[-1] != "\n":
            self.out.append(" ")
        self.space = False
        self.out.append(text)

    def _new_line(self) -> None:
        prefix = "> " * min(self.quotes, _DEEPEST)
        if self.out:
            self.out.append("\n")
            self.out.extend([prefix.rstrip() + "\n"] * (min(self.breaks, 2) - 1))
        if self.lists:
            prefix += "  " * (min(len(self.lists), _DEEPEST) - 1) + (self.marker or "  ")
        self.marker = ""
        self.out.append(prefix)
        self.breaks = 0

    def _break(self, lines: int) -> None:
        self.space = False
        if self.out:
            self.breaks = max(self.breaks, lines)

    def _line_break(self) -> None:
        """A `<br>`: the second one in a row makes an empty line."""
        self.space = False
        if self.out:
            self.breaks = min(self.breaks + 1, 2)

    def _undo(self, what: str) -> None:
        match what:
            case "P":
                self._break(1 if self.lists else 2)
            case "L":
                self._break(1)
            case "q":
                self._break(1)
                self.quotes -= 1
            case "r":
                self.pre -= 1
                if self.marks and not self.pre:
                    self._code_line()
            case "k":
                self._write(CODE)
            case "l":
                self.lists.pop()
                self._break(1 if self.lists else 2)
            case "t":
                self._end_row()
            case "c":
                self._end_cell()
            case "a":
                self._end_link()

    def _code_line(self) -> None:
        """The line that begins or ends lines of code."""
        self._break(1)
        self._write(CODE)
        self._break(1)

    # ------------------------------------------------------------------------------------- lists, links and images

    def _start_item(self, named: Mapping[str, str]) -> None:
        if not self.lists:
            self.marker = ""
            return
        number = self.lists[-1]
        if number is None:
            self.marker = "- "
            return
        number = _number(named.get("value"), number)
        self.marker = f"{number}. "
        self.lists[-1] = number + 1

    def _end_link(self) -> None:
        href, start = self.links.pop()
        shown = "".join(self.out[start:][:50]) if start <= len(self.out) else ""
        if target := target_to_show(href, shown):
            self.space = bool(shown.strip())
            self._write(f"({target})" if shown.strip() else target)

    def _image(self, named: Mapping[str, str]) -> None:
        alt = " ".join(named.get("alt", "").split())
        if alt and named.get("width") not in ("0", "1") and named.get("height") not in ("0", "1"):
            self._write(alt[:300])

    # ------------------------------------------------------------------------------------------------------ tables

    def _start_row(self) -> None:
        """A row's cells are read apart: when each fits on a line they are written side by side."""
        if len(self.rows) < _DEEPEST:
            if self.breaks or not self.out:
                self._new_line()
            self.rows.append(_Table(self.out))
            self.out = []
        else:
            self.rows.append(_Table([]))

    def _deep(self) -> bool:
        return len(self.rows) > _DEEPEST

    def _start_cell(self) -> None:
        if not self.rows or self._deep():
            self._break(1)
        else:
            self.out, self.breaks, self.space = [], 0, False

    def _end_cell(self) -> None:
        if not self.rows or self._deep():
            self._break(1)
            return
        self.rows[-1].cells.append("".join(self.out).strip())
        self.out, self.breaks, self.space = [], 0, False

    def _end_row(self) -> None:
        if not self.rows:
            return
        deep = self._deep()
        row = self.rows.pop()
        if deep:
            self._break(1)
            return
        cells = [cell for cell in (*row.cells, "".join(self.out).strip()) if cell]
        self.out = row.outer
        self.space = False
        if cells:
            self.out.append((" | " if all("\n" not in cell for cell in cells) else "\n").join(cells))
            self.breaks = 1
        else:
            self.breaks = max(self.breaks, 1)

    # -------------------------------------------------------------------------------------------------- e-mail marks

    def _left_out(self, named: Mapping[str, str]) -> bool:
        if "hidden" in named or ("style" in named and _HIDDEN.search(named["style"])):
            return True
        return self.mail and (
            named.get("id", "").lower() in SIGNATURE_IDS
            or not SIGNATURE_CLASSES.isdisjoint(named.get("class", "").lower().split())
            or named.get("data-smartmail") == "gmail_signature"
        )

    def _quotation(self, tag: str, named: Mapping[str, str]) -> bool:
        style = named.get("style", "")
        if named.get("id", "").lower() in REST_IDS or (
            style and (OUTLOOK_RULE.search(style) or OUTLOOK_RULE_REVERSED.search(style))
        ):
            self._break(1)
            self._write(CUT)
            self._break(1)
            return False
        return (
            not QUOTE_CLASSES.isdisjoint(named.get("class", "").lower().split())
            or named.get("data-marker") == "__QUOTED_TEXT__"
            or named.get("name") in ("quote", "messageReplySection")
            or named.get("id") in ("OLK_SRC_BODY_SECTION", "yahoo_quoted")
        )


def _number(text: str | None, otherwise: int) -> int:
    """An `<ol>` number: small ASCII integers only."""
    if text and text.isascii() and text.lstrip("-").isdigit() and len(text) < 7 and text.count("-") <= 1:
        return int(text)
    return otherwise
