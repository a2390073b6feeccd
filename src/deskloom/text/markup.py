"""Tables of HTML: what starts a line or a paragraph, what is not for reading, how mail programs mark quotations."""

from __future__ import annotations

import re

SKIPPED = frozenset(
    [
        "audio",
        "canvas",
        "datalist",
        "embed",
        "head",
        "iframe",
        "map",
        "math",
        "nav",
        "noscript",
        "object",
        "picture",
        "script",
        "select",
        "style",
        "svg",
        "template",
        "textarea",
        "title",
        "video",
    ]
)
PARAGRAPHS = frozenset(
    [
        "article",
        "aside",
        "blockquote",
        "dl",
        "fieldset",
        "figure",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "main",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "ul",
    ]
)
LINES = frozenset(
    [
        "address",
        "body",
        "caption",
        "center",
        "dd",
        "details",
        "dir",
        "div",
        "dt",
        "figcaption",
        "form",
        "html",
        "legend",
        "li",
        "optgroup",
        "option",
        "summary",
        "tbody",
        "tfoot",
        "thead",
        "tr",
    ]
)

# What mail programs put around the message they answer, and around a signature. Public knowledge of their markup.
QUOTE_CLASSES = frozenset(
    [
        "gmail_quote",
        "gmail_quote_container",
        "gmail_extra",
        "moz-cite-prefix",
        "yahoo_quoted",
        "zmail_extra",
        "freshdesk_quote",
        "protonmail_quote",
        "tutanota_quote",
        "front-blockquote",
        "quoted-text",
        "moz-forward-container",
    ]
)
REST_IDS = frozenset(("divrplyfwdmsg", "appendonsend", "mail-editor-reference-message-container", "x_divrplyfwdmsg"))
SIGNATURE_CLASSES = frozenset(
    ["gmail_signature", "moz-signature", "protonmail_signature_block", "ms-outlook-mobile-signature", "zm_signature"]
)
SIGNATURE_IDS = frozenset(("applemailsignature", "ms-outlook-mobile-signature", "signature", "x_signature"))
OUTLOOK_RULE = re.compile(r"border-top\s*:\s*(?:solid|1pt solid|\S+ solid)[^;]*#?(?:b5c4df|e1e1e1)", re.I)
OUTLOOK_RULE_REVERSED = re.compile(r"border-top\s*:\s*#(?:b5c4df|e1e1e1)\s+\S+\s+solid", re.I)
