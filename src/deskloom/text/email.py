"""What the writer of an e-mail wrote themselves: quoted messages, signatures and disclaimers cut off."""

from __future__ import annotations

import re

from deskloom.text.html import CODE, CUT
from deskloom.text.plain import tidy
from deskloom.text.quotes import quotation_at

_QUOTED = re.compile(r"^\s{0,3}[>|](?!\s?\|)")
_RULE = re.compile(r"^[\s>*]*[-_=~*#+·.ᐧ—–|]*[\s*]*$")
_FENCE = re.compile(rf"^\s{{0,3}}(?:```|~~~|{CODE}$)")
_SHORT_DELIMITER = re.compile(r"^\s{0,3}(?:--|__|—|–|––)\s*$")
_LONG_DELIMITER = re.compile(r"^\s{0,3}(?:[-–—]{3,}|_{3,})\s*$")
_CONTACT = re.compile(
    r"[\w.+-]+@[\w-]+\.\w|https?://|www\.|\+?\(?\d[\d\s().-]{7,}\d|\b(?:tel|phone|fax|mobile|skype)\b", re.I
)

_MY = (
    r"my|mon|ma|mi|meu|minha|mio|mia|mijn|min|mein\w*|moj\w*|mého|mobil\w*|mobile|моего|iphone|ipad|android"
    r"|blackberry|galaxy"
    r"|outlook|yahoo|windows|mail(?:box)?|airmail|proton\w*|samsung|huawei|phone|cell|tablet|sparrow|nine"
    r"|k-9|gmail|aol|t-online"
)
_DEVICE = re.compile(
    rf"^[\s\W_]{{0,6}}(?:(?:sent|envoyé|gesendet|enviado|enviada|inviato|verzonden|skickat|sendt|lähetetty"
    rf"|wysłan[eo]|отправлено"
    rf"|odesláno|odoslané|trimis|gönderildi|dikirim)\s(?:from|by|via|with|using|de(?:puis)?|à partir de|von"
    rf"|mit|desde|do|da|dal|met"
    rf"|vanaf|van|från|fra|z|ze|с|από|melalui|dari|mijn|min)?\s?\W?(?:{_MY})\b"
    rf"|von (?:{_MY})\b.{{0,40}}gesendet|get outlook for\b|outlook (?:für|pour|para|per|voor) (?:ios|android)\b"
    r"|diese nachricht wurde von mein|this (?:e-?mail|message) was sent from my"
    r"|從我的 .{0,20}傳送|发自我的|我的.{0,12}发送|iPhoneから送信|나의 iPhone에서 보냄"
    r"|\w+ from mobile$|from my (?:iphone|ipad|phone|mobile|android)\b|get .{3,20} for (?:ios|android)\b"
    r"|via mobile\W*$).{0,90}$",
    re.I,
)
_DISCLAIMER = re.compile(
    r"^\W{0,4}(?:(?:confidentiality|privacy|legal) (?:notice|note|disclaimer)\b|disclaimer\W*$|"
    r"(?:this|the information (?:contained )?in this) (?:e-?mail|message|communication|transmission)[^.]{0,160}"
    r"(?:confidential|privileged|intended (?:only |solely )?for|checked for viruses|scanned)"
    r"|if you (?:are not the intended|have received this (?:e-?mail|message) in error)"
    r"|diese (?:e-?mail|nachricht)[^.]{0,120}vertraulich|(?:ce (?:message|courriel)|cet e-?mail)[^.]{0,120}confidentiel"
    r"|este (?:mensaje|correo|mensagem|e-?mail)[^.]{0,120}confidencia|esta mensagem[^.]{0,120}confidencia"
    r"|(?:questo messaggio|questa e-?mail|il presente messaggio)[^.]{0,120}(?:riservat|confidenzial)"
    r"|dit bericht[^.]{0,120}vertrouwelijk|please consider the environment before printing"
    r"|p(?:lease )?think before you print"
    r"|virus-free\.|viren?frei\.|to unsubscribe (?:from this|send)|you (?:received"
    r"|are receiving) this (?:e-?mail|message) because)",
    re.I,
)
_CLOSING = re.compile(
    r"^\W{0,3}(?:(?:with |mit |met )?(?:(?:my |our )?(?:very )?(?:best|kind(?:est)?|warm(?:est)?|many"
    r"|freundliche[nr]?|beste|viele|"
    r"schöne|liebe|vriendelijke|hartelijke)\s)?(?:regards|wishes|grüße[n]?|grüsse[n]?|gru(?:ß|ss)"
    r"|groet(?:en)?)|sincerely(?: yours)?"
    r"|yours (?:sincerely|truly|faithfully)|cheers|best|thanks|thank you|thx|many thanks|thanks (?:again"
    r"|in advance|so much)"
    r"|thanks (?:and|&) (?:best |kind )?regards|thank you (?:very much|so much|in advance)|respectfully|take care"
    r"|mfg|lg|vg|danke|vielen dank|cordialement|bien cordialement|salutations|merci(?: d'avance)?|bien à vous"
    r"|(?:un )?saludos?(?: cordiales)?|atentamente|gracias|muchas gracias|atenciosamente|att|obrigad[oa]"
    r"|cumprimentos|abraços"
    r"|(?:cordiali|distinti) saluti|saluti|grazie(?: mille)?|mvg|bedankt|alvast bedankt|pozdraw\w+"
    r"|z poważaniem|s pozdravem"
    r"|děkuji|med vänlig hälsning|(?:med )?v?ennlig hilsen|mvh|hälsningar|hilsen|ystävällisin terveisin"
    r"|terveisin|kiitos"
    r"|üdvözlettel|köszönöm|saygılarımla|teşekkürler|с уважением|спасибо)\s*[,.!]?\s*$",
    re.I,
)


def own_text(text: str, *, closings: bool = False) -> str:
    """The own words of a message, given as text (`html_to_text(…, mail=True)` for HTML). Empty if there are none.

    A quotation is cut where its heading stands above it, or where it ends the message; an own answer between or below
    quoted lines stays, and so does a quotation that has no heading. With `closings`, a last "Best regards, …" goes too.
    """
    lines = _without_signature(_without_quotes(text.split("\n")))
    if closings:
        lines = _without_closing(lines)
    return "\n".join(lines).strip("\n").rstrip()


def own_or_all(text: str, *, closings: bool = False) -> str:
    """`own_text`, or, if it is empty (a forwarded message and nothing else), all of the text without its marks."""
    return own_text(text, closings=closings) or tidy(
        "\n".join(re.sub(r"^(?:\s{0,3}>)+ ?", "", line) for line in text.replace(CUT, "").split("\n"))
    )


_COURTESY = re.compile(
    r"you(?:'|’)?re (?:very |most )?welcome|you are (?:very |most )?welcome|no problem|my pleasure|(?:glad"
    r"|happy|pleased|good) to (?:hear|help|know)"
    r"|glad (?:it|that|you)|thanks? (?:you )?(?:very much |so much )?for (?:contacting|your|the|letting"
    r"|getting|confirming)"
    r"|clos(?:e|ing) (?:this|the|your) (?:ticket|case|request)|(?:ticket|case|request) (?:has been|is|was"
    r"|will be) (?:now )?closed"
    r"|(?:have a|enjoy your) (?:nice|great|good|lovely)?\s?(?:day|weekend|week)|gern geschehen|freut mich"
    r"|kein problem|de rien"
    r"|je vous en prie|avec plaisir|de nada|con gusto|por nada|di niente|prego|graag gedaan|var så god"
    r"|proszę bardzo|není zač",
    re.I,
)


def is_courtesy(text: str) -> bool:
    """Whether a reply says thanks, goodbye or "closing this" and nothing else: short, or without a second sentence."""
    words = text.split()
    return len(words) < 3 or (len(words) <= 30 and _COURTESY.search(text) is not None and "http" not in text)


def _without_quotes(lines: list[str]) -> list[str]:
    kept: list[str] = []
    at = 0
    fenced = False
    while at < len(lines):
        line = lines[at]
        if _FENCE.match(line):
            fenced = not fenced
        after = at + 1 if line.strip() == CUT else None if fenced else quotation_at(lines, at)
        if after is None:
            kept.append(line)
            at += 1
            continue
        own = any(not _RULE.match(before) and not _QUOTED.match(before) for before in kept)
        quoted = after < len(lines) and _next_is_quoted(lines, after)
        if quoted or _QUOTED.match(line):
            at = _end_of_quote(lines, after)
        elif own:
            break
        else:
            at = after  # nothing above it: what follows is all there is
    return _without_last_quote(kept)


def _next_is_quoted(lines: list[str], at: int) -> bool:
    while at < len(lines) and not lines[at].strip():
        at += 1
    return at < len(lines) and _QUOTED.match(lines[at]) is not None


def _end_of_quote(lines: list[str], at: int) -> int:
    """The first line that is not quoted. A line between two quoted ones after a long one was wrapped on its way."""
    end = at
    for number in range(at, len(lines)):
        line = lines[number]
        if _QUOTED.match(line):
            end = number + 1
        elif line.strip():
            wrapped = (
                number > 0
                and len(lines[number - 1]) >= 60
                and _QUOTED.match(lines[number - 1])
                and number + 1 < len(lines)
                and _QUOTED.match(lines[number + 1])
            )
            if not wrapped:
                break
    return end


def _without_last_quote(lines: list[str]) -> list[str]:
    """Quoted lines that end the message are not the writer's, heading or not."""
    end = len(lines)
    while end and (not lines[end - 1].strip() or _QUOTED.match(lines[end - 1])):
        end -= 1
    return lines[:end]


def _without_signature(lines: list[str]) -> list[str]:
    end = len(lines)
    for number, line in enumerate(lines):
        if len(line) > 300 and not _DISCLAIMER.match(line):
            continue
        if not any(not _RULE.match(before) for before in lines[:number]) if number < 3 else False:
            continue
        rest = [after for after in lines[number + 1 :] if after.strip()] if _delimits(line) else []
        if (
            (_SHORT_DELIMITER.match(line) and len(rest) <= 14 and sum(map(len, rest)) <= 1000)
            or (
                _LONG_DELIMITER.match(line)
                and 1 <= len(rest) <= 12
                and max(map(len, rest)) <= 80
                and _CONTACT.search("\n".join(rest))
            )
            or _DEVICE.match(line)
            or _DISCLAIMER.match(line)
        ):
            end = number
            break
    while end and _RULE.match(lines[end - 1]):
        end -= 1
    return lines[:end]


def _delimits(line: str) -> bool:
    return line.strip()[:1] in ("-", "_", "–", "—")


def _without_closing(lines: list[str]) -> list[str]:
    """Cut a closing phrase on its own line, if at most six short lines follow it and own words stand above."""
    filled = [number for number, line in enumerate(lines) if line.strip()]
    for place in range(max(1, len(filled) - 7), len(filled)):
        number = filled[place]
        after = [lines[later] for later in filled[place + 1 :]]
        if len(lines[number]) <= 60 and _CLOSING.match(lines[number]) and all(len(line) <= 60 for line in after):
            return lines[:number]
    return lines
