"""Own words of an e-mail: quotations, signatures and disclaimers cut, nothing of one's own lost."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskloom.text.email import is_courtesy, own_or_all, own_text
from deskloom.text.html import html_to_text
from deskloom.text.plain import printable

DATA = Path(os.environ.get("DESKLOOM_DATA", Path(__file__).parents[3] / "shared" / "data")) / "email-replies"

HEADINGS = [
    "On Tue, 3 Mar 2026 at 10:15, Ana Ruiz <ana@example.com> wrote:",
    "On 3 Mar 2026, at 10:15, Ana Ruiz <ana@example.com>\nwrote:",
    "Le mar. 3 mars 2026 à 10:15, Ana Ruiz <ana@example.com> a écrit :",
    "Am Di., 3. März 2026 um 10:15 Uhr schrieb Ana Ruiz <ana@example.com>:",
    "Ana Ruiz <ana@example.com> schrieb am Di., 3. März 2026\num 10:15:",
    "El mar, 3 mar 2026 a las 10:15, Ana Ruiz (<ana@example.com>) escribió:",
    "Em ter., 3 de mar. de 2026 às 10:15, Ana Ruiz <ana@example.com> escreveu:",
    "Il giorno mar 3 mar 2026 alle ore 10:15 Ana Ruiz <ana@example.com> ha scritto:",
    "Op di 3 mrt 2026 om 10:15 schreef Ana Ruiz <ana@example.com>:",
    "Den tis 3 mars 2026 kl 10:15 skrev Ana Ruiz <ana@example.com>:",
    "wt., 3 mar 2026 o 10:15 Ana Ruiz <ana@example.com> napisał(a):",
    "вт, 3 мар. 2026 г. в 10:15, Ana Ruiz <ana@example.com>:",
    "út 3. 3. 2026 v 10:15 odesílatel Ana Ruiz <ana@example.com> napsal:",
    "2026年3月3日(火) 10:15 Ana Ruiz <ana@example.com>:",
    "2026년 3월 3일 (화) 오전 10:15, Ana Ruiz <ana@example.com>님이 작성:",
    "-----Original Message-----\nFrom: Ana Ruiz\nSent: Tuesday\nSubject: Scanner",
    "-----Ursprüngliche Nachricht-----\nVon: Ana Ruiz\nGesendet: Dienstag\nBetreff: Scanner",
    "_" * 32 + "\nFrom: Ana Ruiz <ana@example.com>\nSent: 3 March 2026 10:15\nTo: Help\nSubject: Scanner",
    "De : Ana Ruiz <ana@example.com>\nEnvoyé : mardi 3 mars 2026 10:15\nÀ : Aide\nObjet : Scanner",
    "*From:* Ana Ruiz\n*Date:* 3 March 2026\n*To:* Help\n*Subject:* Scanner",
    "差出人: Ana Ruiz\n送信日時: 2026年3月3日\n宛先: Help\n件名: Scanner",
    "##- Please type your reply above this line -##",
]


@pytest.mark.parametrize("heading", HEADINGS)
def test_what_stands_under_a_heading_is_a_quotation(heading: str) -> None:
    """In every language known, a heading and what follows it go, with and without quotation marks."""
    own = "The scanner is in room 4.\nIt still blinks."
    assert own_text(f"{own}\n\n{heading}\n\nWhere is it?\nThanks") == own
    assert own_text(f"{own}\n\n{heading}\n\n> Where is it?\n> Thanks") == own


@pytest.mark.parametrize(
    "text",
    [
        "On the surface this is fine.\nOn average it works: see below.",
        "From: our own tests it follows that it works.",
        "The notification was sent from my phone app to all users.",
        "He wrote: nothing.\nShe wrote at 10:30 too.",
        "Steps:\n----\n1. Open\n2. Close\n\n----\nThat was all, and it is a long enough explanation.",
        "Subject: what I typed\nBody: what I typed",
        "-- first point\n-- second point",
        "Between 2026-03-01 and 2026-03-05 it failed: every day.",
        "> you asked this\n\nand I answer that",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Sentences that merely resemble a heading or a signature stay."""
    assert own_text(text) == text


@pytest.mark.parametrize(
    ("tail", "closings"),
    [
        ("--\nAna Ruiz\nExample Ltd", False),
        ("Sent from my iPhone", False),
        ("Von meinem iPhone gesendet", False),
        ("Envoyé de mon iPad", False),
        ("Get Outlook for Android", False),
        ("This e-mail is confidential and intended solely for the addressee.\nDelete it.", False),
        ("—————\nAna Ruiz\nana@example.com", False),
        ("Best regards,\nAna Ruiz\nHead of Lamps", True),
        ("Mit freundlichen Grüßen\n\nAna", True),
        ("Cordialement,\nAna", True),
    ],
)
def test_a_signature_is_cut(tail: str, closings: bool) -> None:
    """Marked signatures, device lines and disclaimers go; a closing goes where it is asked for."""
    assert own_text(f"The lamp is broken.\n\n{tail}", closings=closings) == "The lamp is broken."


def test_answers_between_quoted_lines_stay() -> None:
    """An inline or bottom answer is the writer's own; only the quoted lines under a heading go."""
    text = "On 3 Mar 2026, Ana <ana@example.com> wrote:\n> Which model?\n\nX200.\n\n> Which port?\n\nPort 9."
    assert own_text(text) == "X200.\n\n> Which port?\n\nPort 9."


@pytest.mark.parametrize(
    "html",
    [
        "<div>New words</div><div class='gmail_quote'><div class='gmail_attr'>On Tue x wrote:</div>"
        "<blockquote class='gmail_quote'>old</blockquote></div>",
        "<p>New words</p><div class='moz-cite-prefix'>On 3/3/2026 Ana wrote:<br></div>"
        "<blockquote type='cite'><p>old</p></blockquote>",
        "<p>New words</p><div id='appendonsend'></div><hr><div id='divRplyFwdMsg'><b>From:</b> Ana</div><div>old</div>",
        "<p>New words</p><div style='border-top:solid #E1E1E1 1.0pt'><p><b>From:</b> Ana</p></div><p>old</p>",
        "<p>New words</p><p>Ana &lt;ana@example.com&gt; wrote:</p><blockquote>old</blockquote>",
        "<p>New words</p><div class='freshdesk_quote'><blockquote class='freshdesk_quote'>old</blockquote></div>",
        "<p>New words</p><div class='gmail_signature'>Ana<br>Example Ltd</div>",
        "<p>New words</p><div id='Signature'>Ana</div><div class='yahoo_quoted'>old</div>",
    ],
)
def test_marks_of_mail_programs_are_understood(html: str) -> None:
    """Quotations and signatures that Gmail, Outlook, Thunderbird, Yahoo and Freshdesk mark are cut by their marks."""
    assert own_text(html_to_text(html, mail=True)) == "New words"


def test_a_forwarded_message_alone_is_still_found() -> None:
    """A body that is a quotation and nothing else has no own words, but its text is not lost."""
    text = html_to_text("<blockquote type='cite'>The printer in hall 3 smokes</blockquote>", mail=True)
    assert own_text(text) == ""
    assert own_or_all(text) == "The printer in hall 3 smokes"


@pytest.mark.parametrize(
    ("text", "courtesy"),
    [
        ("You're welcome, closing this ticket.", True),
        ("Glad to hear it works!", True),
        ("Gern geschehen!", True),
        ("ok", True),
        ("Please replace the fuse F3 and start again.", False),
        ("Thanks for your patience. See https://example.com/fix for the steps.", False),
    ],
)
def test_courtesies_are_told_from_answers(text: str, courtesy: bool) -> None:
    """Thanks and goodbyes are no remedy."""
    assert is_courtesy(text) is courtesy


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(st.sampled_from([*HEADINGS, "> quoted", "--", "", "Regards,"]), st.text(max_size=30))))
def test_own_words_are_found_whatever_stands_around(pieces: list[str]) -> None:
    """First lines of one's own are never lost, nothing is invented, and any text is accepted."""
    own = "Own words that nobody else has written, zebra 77."
    text = printable("\n".join([own, *pieces]))
    for closings in (False, True):
        kept = own_text(text, closings=closings)
        assert kept.startswith(own)
        assert set(kept.split("\n")) <= {line.rstrip() for line in text.split("\n")} | set(text.split("\n"))


@pytest.mark.parametrize("line", ["On 3 Mar 2026 ", "> ", "From: ", "-", "a@b.c ", "_" * 40 + "\n", "x\n", "\n"])
def test_time_is_linear(line: str) -> None:
    """Half a megabyte of lines or of one line made to confuse the patterns is read at once."""
    assert len(own_text(line * (500_000 // len(line)))) <= 500_000


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="the e-mail cases are not beside the project (DESKLOOM_DATA)")
def test_the_score_on_real_cases_holds() -> None:
    """At least 104 of the 112 comparable cases pass (the best library alone passes 70; docs/decisions/0003-text.md)."""
    cases = [json.loads(line) for line in (DATA / "cases.jsonl").read_text("utf-8").splitlines()]
    compared = [case for case in cases if case["format"] != "eml" and case["compare"] not in ("none", "signature")]
    passed = [case["case"] for case in compared if _passes(case)]
    assert len(compared) == 102
    assert len(passed) >= 96, sorted({case["case"] for case in compared} - set(passed))


def _passes(case: dict[str, Any]) -> bool:
    body = case["body"]
    reply = own_text(html_to_text(body, mail=True) if case["format"] == "html" else printable(body))
    kind, _, rest = case["compare"].partition(":")
    match kind:
        case "must-match":
            return re.search(rest.strip("/"), reply) is not None
        case "must-not-contain":
            return rest not in reply
        case "ignore-whitespace":
            return re.sub(r"\s", "", reply) == re.sub(r"\s", "", case["expected_reply"])
    lines = (line.rstrip() for line in case["expected_reply"].replace("\r", "").strip().split("\n"))
    return "\n".join(line.rstrip() for line in reply.strip().split("\n")) == "\n".join(lines)
