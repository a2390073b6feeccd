"""Which link targets are worth reading: real addresses, without tracking, that the link's text does not say already."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

_LONGEST = 160
_NOISE = re.compile(
    r"(?:utm_|mc_|mkt_|hsa_|pk_|_hs|vero_|oly_)\w*|(?:gclid|fbclid|msclkid|yclid|igshid|trk|ref_src)", re.I
)
_TRACKER = re.compile(
    r"^(?:click|clicks|track|tracking|trk|email|links?|url\d+|t|ct|go|r)\.[^/]*/.{24,}|/(?:ls/click"
    r"|wf/(?:open|click)|track/click)\b"
    r"|list-manage\.com/track|sendgrid\.net|mandrillapp\.com/track",
    re.I,
)
_WRAPPED = re.compile(
    r"(?:^|\.)(?:safelinks\.protection\.outlook\.com|google\.[a-z.]{2,6}|l\.facebook\.com|urldefense\.com)$"
)


def target_to_show(href: str, shown: str) -> str | None:
    """The address to put behind a link's text, or None: not http(s), tracking, or said by the text already."""
    href = href.strip()
    if len(href) > 4000 or not href[:8].lower().startswith(("http://", "https://")):
        return None
    try:
        parts = urlsplit(href)
        if _WRAPPED.search(parts.netloc.lower()):
            inner = dict(parse_qsl(parts.query, max_num_fields=50))
            if (url := inner.get("url") or inner.get("q") or inner.get("u")) and url.startswith(
                ("http://", "https://")
            ):
                href, parts = url, urlsplit(url)
        if _TRACKER.search(parts.netloc + parts.path):
            return None
        kept = [
            pair
            for pair in parse_qsl(parts.query, keep_blank_values=True, max_num_fields=50)
            if not _NOISE.fullmatch(pair[0])
        ]
        if len(kept) != parts.query.count("&") + 1:
            href = urlunsplit(parts._replace(query=urlencode(kept)))
    except ValueError:
        return None
    if (
        len(href) > _LONGEST
        or _bare(href) in _bare(shown)
        or (len(shown) > 8 and _bare(shown).rstrip(".…") in _bare(href))
    ):
        return None
    return href


def _bare(url: str) -> str:
    """Without what makes two spellings of an address differ."""
    return re.sub(r"^https?://(?:www\.)?", "", url.strip().lower()).rstrip("/")
