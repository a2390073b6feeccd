"""Text as markdown: read by a real markdown parser it is the same text again, and nothing but text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from deskloom.exports.markdown_text import one_line, to_markdown
from deskloom.text.html import CODE, HEADING, html_to_text

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
PLAIN = {
    *("paragraph_open", "paragraph_close", "inline", "fence", "text", "softbreak", "hardbreak", "code_inline"),
    *("bullet_list_open", "bullet_list_close", "ordered_list_open", "ordered_list_close", "list_item_open"),
    *("list_item_close", "blockquote_open", "blockquote_close", "link_open", "link_close", "text_special"),
}
"""What the parser may find: neither headings nor rules, tables, emphasis, images or HTML."""

nasty = st.text(
    st.sampled_from("ab1 \n\n-*+_#>=|~`\\[](){}<!&;:.^$%/\"'\u00e9") | st.characters(exclude_categories=["C", "Z"]),
    max_size=60,
)
pieces = st.sampled_from(
    ["---", "===", "# a", "- b", "1. c", "> d", "<!-- e -->", "[[f]]", "```", "~~~", "| g | h |", "&lt;", "    i"]
) | st.sampled_from(
    ["https://x.example/a_b(c)", "[j]: http://k.example", "![l](m)", "\\", "<b>", "n  ", "$$o$$", "%%p%%", "+++"]
)
texts = st.lists(nasty | pieces, max_size=6).map("\n".join) | st.lists(nasty | pieces, max_size=6).map("".join)


def tokens(markdown: str) -> list[Token]:
    """Every token, those within lines too."""
    return [each for token in PARSER.parse(markdown) for each in (token, *(token.children or ()))]


def shown(markdown: str) -> str:
    """The text a reader sees."""
    return "".join(
        token.content if token.type in ("text", "code_inline", "fence", "text_special") else " "
        for token in tokens(markdown)
        if token.type != "inline"
    )


def letters(text: str) -> str:
    return "".join(mark for mark in text if mark.isalpha())


@given(texts)
def test_whatever_was_written_is_text_and_all_of_it(text: str) -> None:
    """No text makes anything but paragraphs, lists, quotations, links and code; no letter is lost."""
    made = to_markdown(text)
    assert {token.type for token in tokens(made)} <= PLAIN
    assert letters(shown(made)) == letters(text)


@given(texts)
def test_a_line_in_a_heading_stays_in_it(text: str) -> None:
    """Whatever the subject is, the document has one heading, and the subject is what it says, sign by sign."""
    made = one_line(text)
    found = [token for token in PARSER.parse(f"# {made}\n\nafter") if token.type.endswith("_open")]
    assert [token.type for token in found] == ["heading_open", "paragraph_open"]
    assert "".join(shown(f"# {made}").split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("C:\\Users\\ada and a_b, 5 * 3", "C:\\Users\\ada and a_b, 5 \\* 3"),
        ("#tag, C# and #12", "\\#tag, C# and #12"),
        ("see https://x.example/a_b_(c).", "see <https://x.example/a_b_(c)>."),
        ("the page (https://x.example/)", "the page (<https://x.example/>)"),
        ("$5", "$5"),
        ("$5 or $6", "\\$5 or \\$6"),
        ("a\nb\n\nc", "a  \nb\n\nc"),
        ("[[wiki]] ==x== %%y%% {{z}}", "\\[\\[wiki\\]\\] \\=\\=x\\=\\= \\%\\%y\\%\\% \\{{z}}"),
        ("- [ ] task", "- \\[ \\] task"),
        ("> [!note] x", "> \\[!note\\] x"),
        ("a\n- b\n  - c\n    d\n1. e\nf", "a\n\n- b\n  - c  \n    d\n1. e\n\nf"),
        ("> a\n> > b\nc", "> a\n>\n> > b\n\nc"),
    ],
)
def test_what_it_looks_like(text: str, made: str) -> None:
    """Escaped is what means something, and nothing else."""
    assert to_markdown(text) == made


def test_lists_links_code_and_quotations_of_html_are_kept() -> None:
    """What a mail or an article has of them is there in the markdown."""
    html = (
        "<p>Do <a href='https://x.example/y'>this</a>:</p><ol><li>Run <code>rm `x`</code><ul><li>twice</li></ul></li>"
        "<li>Wait</li></ol><pre>a  b\n```\n# c</pre><blockquote>said</blockquote><h2>Then</h2>done"
    )
    assert to_markdown(html_to_text(html, mail=True, marks=True)) == (
        "Do this (<https://x.example/y>):\n\n1. Run `` rm `x` ``\n   - twice\n2. Wait\n\n"
        "````\na  b\n```\n# c\n````\n\n> said\n\n**Then**\n\ndone"
    )


def test_headings_stand_below_those_of_the_document() -> None:
    """With `headings`, an article's own headings are headings again, so many levels down, at most the sixth."""
    text = html_to_text("<h1>A #1 #</h1><p>b</p><h6>C</h6>", marks=True)
    assert to_markdown(text, headings=1) == "## A #1 \\#\n\nb\n\n###### C"


def test_marks_cannot_come_from_outside() -> None:
    """The characters that mark code and headings are taken out of what they are to be found in."""
    assert html_to_text(f"&#1;a{CODE}&#2;{HEADING}", marks=True) == "a"
    assert re.search(f"[{CODE}{HEADING}]", to_markdown(f"{CODE}\nx\n{HEADING}y {CODE}z")) is None


def test_a_hostile_text_takes_linear_time() -> None:
    """A megabyte of signs that patterns stumble over is done with."""
    for sign in ("#", "^", "\\", "https://(", "> ", "[", "_*", "1. ", "- ", CODE, "~$"):
        assert to_markdown(sign * (200_000 // len(sign))) is not None
