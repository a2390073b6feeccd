"""HTML to text: structure kept, noise left out, no input too wild."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deskloom.text.html import html_to_text
from deskloom.text.plain import plain_to_text

BLOCKS = [
    ("<p>one</p><p>two</p>", "one\n\ntwo"),
    ("<div>one</div><div>two</div>", "one\ntwo"),
    ("one<br>two<br><br>three", "one\ntwo\n\nthree"),
    ("<h1>Reset</h1>Press <b>the</b> button", "Reset\n\nPress the button"),
    ("a<span>b</span>c <i>d</i>", "abc d"),
    ("<ul><li>one</li><li>two<ul><li>inner</li></ul></li></ul>after", "- one\n- two\n  - inner\n\nafter"),
    ("<ol start=3><li>three<li value=7>seven<li>eight</ol>", "3. three\n7. seven\n8. eight"),
    ("<ol><li><p>one</p><p>more</p></li></ol>", "1. one\n  more"),
    ("<table><tr><th>Model<th>Port<tr><td>X<td>80</table>", "Model | Port\nX | 80"),
    ("<table><tr><td><p>1</p></td><td><p>2</p></td></tr></table>end", "1 | 2\n\nend"),
    ("<table><tr><td>one<br>two</td><td>three</td></tr></table>", "one\ntwo\nthree"),
    ("<pre>  a\n    b</pre>", "  a\n    b"),
    ("<dl><dt>term</dt><dd>what it is</dd></dl>", "term\nwhat it is"),
    ("<p>unclosed <b>bold<p>next", "unclosed bold\n\nnext"),
    ("5 &lt; 6 &amp;&amp; 7 &gt; 6 &euro;", "5 < 6 && 7 > 6 €"),
    ("<blockquote>said</blockquote>answered", "said\n\nanswered"),
    ("plain text, no markup", "plain text, no markup"),
]
NOISE = [
    ("<style>p{}</style><script>x()</script><title>t</title><template>u</template>kept", "kept"),
    ("<head><meta charset=utf-8></head><body>kept</body>", "kept"),
    ("<div style='display:none'>preheader</div>kept<p hidden>gone</p>", "kept"),
    ("<!-- comment -->kept<![if mso]>", "kept"),
    ("a&nbsp;b\u200b\ufeffc\u00ad", "a bc"),
    ("nul\x00 byte", "nul byte"),
    ("lone \ud800 surrogate", "lone surrogate"),
    ("e\u0301", "é"),
    ("\u200c\u200c&zwnj; \u200c", ""),
    ("می\u200cخواهم", "می\u200cخواهم"),
    ('<img src="logo.png">', ""),
    ('<img src="shot.png" alt="Error 42">', "Error 42"),
    ('<img src="t.gif" width="1" height="1" alt="track">', ""),
]
LINKS = [
    ('<a href="https://example.com/help">the guide</a>', "the guide (https://example.com/help)"),
    ('<a href="https://example.com/">https://example.com</a>', "https://example.com"),
    ('<a href="https://www.example.com/help">example.com/help</a>', "example.com/help"),
    ('<a href="https://example.com/x?utm_source=mail&id=7">see</a>', "see (https://example.com/x?id=7)"),
    ('<a href="mailto:a@example.com">write us</a>', "write us"),
    ('<a href="#top">up</a> <a href="/kb/1">relative</a> <a href="javascript:x()">run</a>', "up relative run"),
    ('<a href="https://click.mail.example.com/u/0123456789012345678901234">open</a>', "open"),
    (
        '<a href="https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fexample.com%2Fa&data=05">go</a>',
        "go (https://example.com/a)",
    ),
    ('<a href="https://[broken">odd</a>', "odd"),
]


@pytest.mark.parametrize(("html", "text"), BLOCKS + NOISE + LINKS)
def test_text_is_what_a_person_reads(html: str, text: str) -> None:
    """Blocks, lists, tables and useful links survive; scripts, styles, hidden and invisible things do not."""
    assert html_to_text(html) == text


def test_t51_words_across_tags_are_not_joined() -> None:
    """HELPDESK-APIS T51: a line break or a table cell separates words, and style text is not text."""
    html = "<style>td{}</style>fan<br>noise<table><tr><td>left</td><td>right</td></tr></table>"
    assert html_to_text(html) == "fan\nnoise\n\nleft | right"


def test_plain_text_is_cleaned_alike() -> None:
    """Text without markup loses U+00A0 and invisible characters, and keeps its lines and indents."""
    assert plain_to_text("\u00a0Hello\u00a0there\r\n  code  x\u200b\r\n\r\n\r\n\r\nend \x00") == (
        " Hello there\n  code x\n\nend"
    )


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 100_000 + "x" + "</div>" * 100_000,
        "<b><i>" * 50_000 + "x",
        "<table><tr><td>x" * 20_000,
        "<ul><li>x" * 20_000,
        "<blockquote>x" * 20_000,
        "<a href='https://example.com/a'>x" * 10_000,
        "<p>hello <b>bold</b> &amp; more</p>\n" * 150_000,
        "<" * 1_000_000,
        "&" * 1_000_000,
        "<p " + "a=b " * 100_000 + ">x",
    ],
    ids=["div", "inline", "table", "list", "quote", "link", "5MB", "angle", "ampersand", "attributes"],
)
def test_no_input_is_too_deep_or_too_long(html: str) -> None:
    """Nesting of 100,000 elements and 5 MB of markup are read in linear time (a bound far above it)."""
    started = time.process_time()
    text = html_to_text(html, mail=True)
    assert time.process_time() - started < 15
    assert len(text) < 3 * len(html)


TAGS = (
    *(
        "<p>",
        "</p>",
        "<table>",
        "<tr>",
        "<td>",
        "</table>",
        "<li>",
        "<ul>",
        "</ul>",
        "<a href='https://e.com'>",
        "</a>",
    ),
    *(
        "<pre>",
        "</pre>",
        "<br>",
        "<svg>",
        "<blockquote>",
        "</blockquote>",
        "<style>",
        "</style>",
        "<select>",
        "<option>",
    ),
    *("</a>", "<option>", "</div>", "<form>", "<!--", "-->", "<![CDATA[", "]]>", "&#0;", "&zwnj;", "&#13;", "&nbsp;"),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from(TAGS),
            st.text(max_size=8),
        ),
        max_size=40,
    )
)
def test_any_soup_of_tags_gives_clean_text(soup: list[str]) -> None:
    """Whatever the markup: no exception, no NUL, no U+00A0, no trailing space, no two empty lines, always the same."""
    for mail in (False, True):
        text = html_to_text("".join(soup), mail=mail)
        assert text == html_to_text("".join(soup), mail=mail)
        assert not set(text) & set("\x00\u00a0\u200b\ufeff\r")
        assert "\n\n\n" not in text
        assert all(line == line.rstrip() for line in text.split("\n"))
