"""Text as markdown that shows exactly this text: lists, quotations, links and code kept, all other markup defused.

What a customer wrote must not become a heading, front matter, a comment, a table or a wiki link of the document it
stands in. Escapes are those of CommonMark; defused are also the additions of GitHub and Obsidian.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from deskloom.text.html import CODE, HEADING

_QUOTE = re.compile(r"^ {0,3}>(?: {0,3}>)* ?")
_ITEM = re.compile(r"(?:([-*+•])|(\d{1,3})[.)]) +(?=\S)")
_RULED = re.compile(r"[-=_*:|~+ \t]+$")
"""A line of nothing else is a rule, the underline of a heading, the head of a table or a fence."""
_LEADING = re.compile(r"(?:[#>]|[-+*](?=\s|$)|!!!|\?\?\?|:::)")
_NUMBERED = re.compile(r"(\d{1,9})([.)])(?=\s|$)")
_HEADED = re.compile(f"({HEADING}+)")
_INLINE = re.compile(
    r"[`*\[\]<]|\\(?=[!-/:-@\[-`{-~]|$)"
    r"|(?<![^\W_])_|_(?![^\W_])"  # within a word it means nothing
    r"|(?<![\w&/#])#(?=[\w/-]*[^\W\d])"  # a tag
    r"|&(?=#?\w{1,32};)|==|%%|\{(?=[{%#])|\^(?=[\w-]+$)"
)
_LINK = re.compile(r"https?://[^\s<>\x00-\x20\\^`{|}\"]{2,2000}", re.I)
_DEEPEST = 8
_BREAK = "  "
"""At the end of a line: the next line starts here, too."""


@dataclass(slots=True)
class _Line:
    """A line of the result: how deep it is quoted, what it is, and its text behind the quotation marks."""

    quotes: int
    kind: str
    text: str


def to_markdown(text: str, *, headings: int = 0) -> str:
    """Markdown of a text made by `html_to_text` (`marks=True`) or of plain text.

    A marked heading is one `headings` levels further down; with 0 it is a bold line, since it is not the document's.
    """
    return _Writer(headings).write(text)


def one_line(text: str) -> str:
    """Markdown of a text for a place that has one line: a heading, an entry."""
    line = _inline(" ".join(text.replace(CODE, "").replace(HEADING, "").split()))
    return re.sub(r"(?<!\\)(#+)$", r"\\\1", line)


def code_block(lines: list[str]) -> list[str]:
    """The lines between fences that none of them can close."""
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence, *lines, fence]


class _Writer:
    """Goes through the lines once, and puts an empty line wherever what comes next is not part of what stands."""

    def __init__(self, headings: int) -> None:
        self.headings = headings
        self.out: list[_Line] = []
        self.lists: list[tuple[int, int]] = []  # of each open item: its indent in the text, its content's in markdown
        self.dollars = self.tildes = False

    def write(self, text: str) -> str:
        self.dollars, self.tildes = text.count("$") > 1, text.count("~") > 1
        lines = iter(text.split("\n"))
        for line in lines:
            quotes, rest = _unquoted(line)
            body = rest.lstrip(" ")
            indent = len(rest) - len(body)
            if self.out and self.out[-1].quotes != quotes and body:
                self.lists.clear()
            if body == CODE:
                self._put_code(quotes, indent, lines)
            elif body:
                self._put_text(quotes, indent, body)
            else:
                self._put(quotes, "", "")
        return "\n".join(self._rendered())

    def _put(self, quotes: int, kind: str, text: str) -> None:
        self.out.append(_Line(quotes, kind, text))

    def _put_code(self, quotes: int, indent: int, lines: Iterator[str]) -> None:
        found: list[str] = []
        for line in lines:
            rest = _unquoted(line, quotes)[1]
            own = rest[min(indent, len(rest) - len(rest.lstrip(" "))) :]
            if own == CODE:
                break
            found.append(own.replace(CODE, "").replace(HEADING, ""))
        within = " " * self._within(indent)
        for line in code_block(found):
            self._put(quotes, "code", within + line)
        self._put(quotes, "", "")

    def _put_text(self, quotes: int, indent: int, body: str) -> None:
        if headed := _HEADED.match(body):
            self.lists.clear()
            self._put_heading(quotes, len(headed[1]), body[headed.end() :])
            return
        item = None if _RULED.match(body) else _ITEM.match(body)
        if item is None:
            within = self._within(indent)
            # Other leading spaces would make code of the line; these are only shown.
            pad = "" if self.lists or indent < 2 else "\u00a0" * indent
            self._put(quotes, "item" if self.lists else "text", " " * within + pad + self._safe(body))
            return
        while self.lists and self.lists[-1][0] >= indent:
            self.lists.pop()
        within = self.lists[-1][1] if self.lists else 0
        marker = f"{item[2]}. " if item[2] else "- "
        self.lists.append((indent, within + len(marker)))
        self._put(quotes, "new item", " " * within + marker + self._safe(body[item.end() :]))

    def _put_heading(self, quotes: int, level: int, body: str) -> None:
        words = one_line(body)
        if words:
            hashes = "#" * min(level + self.headings, 6)
            self._put(quotes, "", "")
            self._put(quotes, "text", f"{hashes} {words}" if self.headings else f"**{words}**")
            self._put(quotes, "", "")

    def _within(self, indent: int) -> int:
        """The indent, in markdown, of a line that is no item; closes the lists that it does not belong to."""
        while self.lists and self.lists[-1][0] >= indent:
            self.lists.pop()
        return self.lists[-1][1] if self.lists else 0

    def _safe(self, body: str) -> str:
        return _start(_spans(body, dollars=self.dollars, tildes=self.tildes), body)

    def _rendered(self) -> Iterator[str]:
        """The lines with their quotation marks. A line that goes on in the next one ends with a break."""
        before: _Line | None = None
        gap: int | None = None  # how deep the empty line was quoted that stands before the next line
        for line in self.out:
            if not line.text:
                gap = line.quotes if gap is None else min(gap, line.quotes)
                continue
            if before is not None:
                joined = gap is None and before.quotes == line.quotes and not _apart(before.kind, line.kind)
                goes_on = joined and "code" not in (before.kind, line.kind) and line.kind != "new item"
                yield "> " * before.quotes + before.text + (_BREAK if goes_on else "")
                if not joined:
                    depth = min(before.quotes, line.quotes, *(() if gap is None else (gap,)))
                    yield ("> " * depth).rstrip()
            before, gap = line, None
        if before is not None:
            yield "> " * before.quotes + before.text


def _apart(before: str, after: str) -> bool:
    """Whether two lines must not become one paragraph, or one a part of the other."""
    if "code" in (before, after):
        return before != after
    return (before == "text") != (after == "text")


def _unquoted(line: str, most: int = _DEEPEST) -> tuple[int, str]:
    """How deep a line is quoted, and what stands behind the marks."""
    quotes, at = 0, 0
    found = _QUOTE.match(line)
    if found and most:
        for place, mark in enumerate(found[0]):
            if mark == ">" and quotes < most:
                quotes, at = quotes + 1, place + 1
        at += line[at : at + 1] == " "
    return quotes, line[at:]


def _start(safe: str, body: str) -> str:
    """What would mean something only at the start of a line."""
    if _RULED.match(body) or _LEADING.match(safe):
        return safe if safe.startswith("\\") else "\\" + safe
    return _NUMBERED.sub(r"\1\\\2", safe, count=1) if _NUMBERED.match(safe) else safe


def _spans(text: str, *, dollars: bool = False, tildes: bool = False) -> str:
    """The text of a line: what stands between code marks as code, the rest escaped."""
    parts = text.replace(HEADING, "").split(CODE)
    if len(parts) % 2 == 0:  # its other end is on another line
        return _inline("".join(parts), dollars=dollars, tildes=tildes)
    return "".join(
        _code(part) if place % 2 else _inline(part, dollars=dollars, tildes=tildes) for place, part in enumerate(parts)
    )


def _code(text: str) -> str:
    if not text.strip():
        return text
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _inline(text: str, *, dollars: bool = True, tildes: bool = True) -> str:
    made: list[str] = []
    at = 0
    for link in _LINK.finditer(text):
        url = _trimmed(link[0])
        made += (_escape(text[at : link.start()], dollars, tildes), f"<{url}>")
        at = link.start() + len(url)
    made.append(_escape(text[at:], dollars, tildes))
    return "".join(made)


def _escape(text: str, dollars: bool, tildes: bool) -> str:
    safe = _INLINE.sub(lambda found: "".join(f"\\{mark}" for mark in found[0]), text)
    if dollars:
        safe = safe.replace("$", "\\$")
    return safe.replace("~", "\\~") if tildes else safe


def _trimmed(url: str) -> str:
    """A link without the punctuation of the sentence it stands in."""
    while True:
        url = url.rstrip(".,;:!?'*_~")
        if url.endswith((")", "]")) and url.count("()[]"["()[]".index(url[-1]) - 1]) < url.count(url[-1]):
            url = url[:-1]
            continue
        return url
