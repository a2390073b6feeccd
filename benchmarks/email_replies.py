"""Quoted replies and signatures: the score of each candidate, per origin of the cases, and the chosen one last.

Run: python benchmarks/email_replies.py [--failures]
The rivals are measured where they are installed (`uv run --with talon --with quotequail --with mail-parser-reply
--with email-reply-parser python benchmarks/email_replies.py`); they are no dependencies of the project.
"""

from __future__ import annotations

import argparse
import email
import email.policy
import importlib
import json
import os
import re
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from deskloom.text.email import own_text
from deskloom.text.html import html_to_text
from deskloom.text.plain import printable

DATA = Path(os.environ.get("DESKLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))
Candidate = Callable[[str | None, str | None], str]
"""Takes the text and the HTML of a message (either may be None) and returns the reply as text."""


def bodies(case: dict[str, Any]) -> tuple[str | None, str | None]:
    """Text and HTML of a case."""
    if case["format"] == "text":
        return case["body"], None
    if case["format"] == "html":
        return None, case["body"]
    message = email.message_from_string(case["body"], policy=email.policy.default)
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    return (plain.get_content() if plain else None), (html.get_content() if html else None)


def passes(case: dict[str, Any], reply: str) -> bool | None:
    """Compare as the case's origin does; None where it cannot be compared as one text."""
    compare = case["compare"]
    if compare in ("none", "signature"):
        return None
    if compare.startswith("must-match:"):
        return re.search(compare.removeprefix("must-match:").strip("/"), reply) is not None
    if compare.startswith("must-not-contain:"):
        return compare.partition(":")[2] not in reply
    if compare == "ignore-whitespace":
        return re.sub(r"\s+", "", reply) == re.sub(r"\s+", "", case["expected_reply"])
    return _lines(reply) == _lines(case["expected_reply"])


def _lines(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.replace("\r", "").strip().split("\n"))


def _text(plain: str | None, html: str | None) -> str:
    return plain if plain is not None else html_to_text(html or "")


def _own(plain: str | None, html: str | None, *, closings: bool = False) -> str:
    return own_text(printable(plain) if plain is not None else html_to_text(html or "", mail=True), closings=closings)


def candidates() -> Iterator[tuple[str, Candidate]]:
    """Every candidate whose library is there, floor first, ours last."""
    yield "nothing cut (floor)", _text
    for name, module, build in (
        ("mail-parser-reply", "mailparser_reply", _mail_parser_reply),
        ("email-reply-parser", "email_reply_parser", _email_reply_parser),
        ("quotequail", "quotequail", _quotequail),
        ("talon", "talon.quotations", _talon),
    ):
        try:
            reply = build(importlib.import_module(module))
        except ImportError:
            print(f"{name}: not installed, not measured")
            continue
        yield name, reply
        yield f"{name}, then own rules", lambda plain, html, reply=reply: own_text(printable(reply(plain, html)))
        if name != "talon":  # talon reads HTML itself, so there is nothing to hand on in between
            yield f"own rules, then {name}", lambda plain, html, reply=reply: reply(_own(plain, html), None)
    yield "own rules, closings cut", lambda plain, html: _own(plain, html, closings=True)
    yield "own rules (chosen)", _own


def _mail_parser_reply(module: Any) -> Candidate:
    languages = list(importlib.import_module("mailparser_reply.constants").MAIL_LANGUAGES)
    parser = module.EmailReplyParser(languages=languages)
    return lambda plain, html: parser.parse_reply(text=_text(plain, html)) or ""


def _email_reply_parser(module: Any) -> Candidate:
    return lambda plain, html: str(module.EmailReplyParser.parse_reply(_text(plain, html)))


def _quotequail(module: Any) -> Candidate:
    def reply(plain: str | None, html: str | None) -> str:
        if plain is not None:
            found = module.unwrap(plain)
            return plain if found is None else found.get("text_top") or found.get("text") or ""
        found = module.unwrap_html(html)
        return html_to_text(html or "" if found is None else found.get("html_top") or found.get("html") or "")

    return reply


def _talon(module: Any) -> Candidate:
    def reply(plain: str | None, html: str | None) -> str:
        if plain is not None:
            return str(module.extract_from_plain(plain))
        return html_to_text(module.extract_from_html(html))

    return reply


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--failures", action="store_true", help="name the cases that the chosen rules fail")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    cases = [json.loads(line) for line in (DATA / "email-replies" / "cases.jsonl").read_text("utf-8").splitlines()]
    failed: list[str] = []
    for name, reply in candidates():
        marks: dict[str, list[bool]] = defaultdict(list)
        failed = []
        started = time.perf_counter()
        for case in cases:
            try:
                verdict = passes(case, reply(*bodies(case)))
            except Exception:  # a rival that falls over has failed the case (talon does, on Outlook's HTML)
                verdict = False
            if verdict is not None:
                marks[case["case"].partition("/")[0]].append(verdict)
                failed += [] if verdict else [case["case"]]
        spent = time.perf_counter() - started
        total = [verdict for verdicts in marks.values() for verdict in verdicts]
        origins = "  ".join(f"{origin} {sum(verdicts)}/{len(verdicts)}" for origin, verdicts in sorted(marks.items()))
        print(f"{name:38s} {sum(total):3d}/{len(total)}  {origins}  {spent * 1000:.0f} ms")
    if options.failures:
        print("failed:", *failed, sep="\n  ")


if __name__ == "__main__":
    main()
