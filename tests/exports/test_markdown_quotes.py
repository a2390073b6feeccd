"""Quoted history: what was said before is left out, what is new stays."""

from __future__ import annotations

from deskloom.exports.markdown_quotes import Said

ASKED = (
    "Hello,\n\nsince the update the printer in room twelve is offline, and nobody can print.\n\nRegards\nAda\n-- \n"
    "Ada Ferro, Office lead, Mill & Sons, Some Street 12, phone +49 30 1234567"
)
ANSWER = (
    "Please switch it off.\n\nOn Mon, 3 Feb 2025 at 10:00, Ada Ferro <ada@mill.example> wrote:\n> Hello,\n>\n"
    "> since the update the printer in room twelve\n> is offline, and nobody can print.\n>\n> Regards"
)
FORWARD = (
    "See what the maker says.\n\n---------- Forwarded message ----------\nFrom: Maker <m@x.example>\n"
    "Date: Mon, 3 Feb 2025\nSubject: driver\nTo: Ada\n\nThe driver 4.2 is known to be broken on this model; take 4.3."
)


def test_a_quotation_of_what_was_said_is_left_out() -> None:
    """Folded into other lines or not, it is the same words."""
    said = Said()
    assert said.collapse(ASKED) == ASKED
    assert said.collapse(ANSWER) == "Please switch it off.\n\n\n[…]"


def test_a_quotation_of_what_was_never_said_stays() -> None:
    """A forwarded message, or mail from before there was a ticket, stands nowhere else."""
    said = Said()
    said.collapse("Hello, the printer is offline.")
    assert said.collapse(FORWARD) == FORWARD
    assert said.collapse("As told.\n\n" + FORWARD.split("\n\n", 1)[1]) == "As told.\n\n\n[…]"


def test_a_signature_stands_once() -> None:
    """The first time it may tell who writes; after that it is a repetition."""
    said = Said()
    signature = "\n-- \nAda Ferro, Office lead, Mill & Sons, Some Street 12, phone +49 30 1234567"
    assert said.collapse(f"It works now.{signature}") == f"It works now.{signature}"
    assert "Street" not in said.collapse(f"No, it does not.{signature}")


def test_answers_between_quoted_lines_keep_them() -> None:
    """Point by point, an answer means nothing without what it answers."""
    said = Said()
    said.collapse("Is the driver new, and which version is it then?\nIs the cable in, on both of its ends?")
    text = (
        "> Is the driver new, and which version is it then?\nYes, 4.3.\n> Is the cable in, on both of its ends?\nIt is."
    )
    assert said.collapse(text) == text


def test_own_words_are_never_left_out() -> None:
    """Not even where the same was said before."""
    said = Said()
    text = "The printer in room twelve is offline again, please look at it once more today."
    assert [said.collapse(text), said.collapse(text)] == [text, text]
