"""Where an e-mail stops being the writer's own: attribution lines, header blocks and separators, in many languages."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WROTE = (
    r"wrote|writes|a écrit|ecrit|schrieb|hat geschrieben|geschrieben|schreef|geschreven|escribi[óo]|ha escrito|escreveu"
    r"|ha scritto|skrev|skrifaði|kirjoitti|napisał(?:a|\(a\)|/a)?|napísala?|napsal(?:a|\(a\))?|napisa[ol]a?|írta|yazdı"
    r"|написала?|написав|пише|пишет|έγραψε|a scris|rašė|kirjutas|rakstīja|menulis|đã viết|เขียน|写道|寫道|書きました"
    r"|のメール"
    r"|님이 작성|작성|كتب|نوشت|כתבה?"
)
_VERB = re.compile(rf"(?:^|[\s>\"')\]】，,]|\d)(?:{_WROTE})(?![\w])|写道|寫道|書きました", re.I)
_VERB_AT_END = re.compile(rf"(?:{_WROTE})[\s*_]*[:：]?[\s*_]*$", re.I)
_MAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]{1,80}@[\w-]{1,80}(?:\.[\w-]{1,60})+")
_YEAR = r"(?:19|20)\d\d"
_DATE = re.compile(
    rf"\b\d{{1,2}}[./-]\d{{1,2}}[./-](?:{_YEAR}|\d\d)\b|\b{_YEAR}[./-]\s?\d{{1,2}}[./-]\s?\d{{1,2}}\b|{_YEAR}\s?[年년]"
    rf"|\b\d{{1,2}}\.?\s(?:de\s)?[^\W\d_]{{3,12}}\.?,?\s(?:de\s)?{_YEAR}\b"
    rf"|\b[^\W\d_]{{3,12}}\.?\s\d{{1,2}},?\s{_YEAR}\b"
)
_DATE_INSIDE = re.compile(r"\d[\d./-]\d\d")
"""In every date of `_DATE`, and found much faster."""
_STARTER = re.compile(
    r"^(?:on|at|le|am|op|el|em|il|in data|den|dnia|w dniu|dne|dňa|v|kuupäeval|pe|ma|ti|ke|to|la|su|tir|ons"
    r"|tor|fre|lør|søn"
    r"|man|пн|вт|ср|чт|пт|сб|вс|в|з|στις|la|tarihinde|pada|vào|วันที่|在|於|בתאריך|في|در)\b\.?,?\s?.{0,40}\d",
    re.I,
)
_DATED_SENDER = re.compile(
    rf"^(?:[^\W\d_]{{2,12}}\.?,?\s)?(?:\d{{1,2}}[./]\d{{1,2}}[./]\d{{2,4}}|{_YEAR}[./-]\d{{1,2}}[./-]\d{{1,2}}"
    rf"|\d{{1,2}}\.?\s[^\W\d_]{{3,12}}\.?\s{_YEAR}|{_YEAR}\s?[年년])[^@]{{0,120}}@[^\s@]{{1,80}}>?\s?[:：]?$"
)
_GMAIL_SENDER = re.compile(rf"^{_YEAR}-\d\d-\d\d \d{{1,2}}:\d\d (?:GMT|UTC)[+-]\d{{1,2}}:\d\d\s?\S.{{0,100}}$")
_BARE_SENDER = re.compile(r"^[^<>@:]{1,60}<[^<>\s@]{1,80}@[^<>\s]{1,100}>\s*[:：]?$")

_MESSAGE = (
    r"message|nachricht|mensaje|mensagem|messaggio|bericht|besked|melding|meddelande|viesti|wiadomość"
    r"|zpráva|správa|üzenet"
    r"|mesaj|mesajul|ileti|сообщение|повідомлення|μήνυμα|pesan|e-?mail|邮件|郵件|メッセージ|메시지|원본|رسالة|הודעה"
)
_SEPARATOR = re.compile(
    rf"^[\s>*_]*(?:[-–—_=]{{3,}}\s*[^-–—_=]{{0,40}}(?:{_MESSAGE})[^-–—_=]{{0,40}}\s*[-–—_=]{{3,}}"
    r"|-{2,}\s*On\s.{8,200}\swrote\s*-{2,}|begin forwarded message\s?:|début du message (?:réexpédié|transféré)\s?:"
    r"|anfang der weitergeleiteten nachricht\s?:|inicio del mensaje reenviado\s?:|inizio messaggio inoltrato\s?:"
    r"|vidarebefordrat brev\s?:|begin doorgestuurd bericht\s?:|#{2}-.{5,120}-#{2})[\s*_]*$",
    re.I,
)

_LABELS = {
    "from": "from|von|de|da|van|från|fra|od|от|від|lähettäjä|kimden|gönderen|feladó|από|expéditeur"
    "|remitente|mittente|dari"
    "|frá|差出人|发件人|發件人|寄件者|보낸 ?사람|من|מאת|จาก",
    "date": "sent|date|gesendet|gesendet am|datum|envoyé|envoyé le|date d'envoi|enviado|enviado el"
    "|enviado em|enviada em"
    "|fecha|data|inviato|verzonden|skickat|sendt|dato|lähetetty|päivämäärä|päiväys|wysłano|data wysłania"
    "|отправлено|дата|"
    "надіслано|odesláno|odoslané|tarih|gönderilen|gönderme tarihi|elküldve|dátum|送信日時|日時|日付"
    "|发送时间|發送時間"
    "|日期"
    "|날짜|보낸 ?날짜|التاريخ|תאריך|dikirim|tanggal",
    "to": "to|an|à|a|para|per|aan|till|til|do|кому|komu|kime|címzett|vastaanottaja|kepada|宛先|收件人|收件者|받는 ?사람"
    "|إلى|אל",
    "subject": "subject|betreff|objet|asunto|assunto|oggetto|onderwerp|ämne|emne|temat|тема|předmět|predmet"
    "|konu|tárgy|aihe"
    "|otsikko|perihal|件名|主题|主旨|主題|제목|الموضوع|נושא",
    "other": "cc|bcc|kopie|copie|kopi|reply-to|risposta|répondre à|antwort an|importance|priority|attachments",
}
_KIND = {label: kind for kind, labels in _LABELS.items() for label in labels.split("|")}
_KIND.update({label.replace(" ?", ""): kind for label, kind in tuple(_KIND.items())})
_KIND.update({label.replace(" ?", " "): kind for label, kind in tuple(_KIND.items())})
_LABEL = re.compile(r"^[>|\s*_]{0,40}([^\W\d_][\w' -]{0,24}?)[\s*_]{0,3}[:：]")
_LONGEST_LINE = 400


def _dated(text: str) -> bool:
    return _DATE_INSIDE.search(text) is not None and _DATE.search(text) is not None


def quotation_at(lines: Sequence[str], at: int) -> int | None:
    """If a quotation's heading starts at this line, the number of the first line after it; else None."""
    line = lines[at].strip()
    if not line or len(line) > _LONGEST_LINE:
        return None
    if _SEPARATOR.match(line):
        return _after_headers(lines, at + 1)
    return _header_block(lines, at) or _attribution(lines, at)


def _after_headers(lines: Sequence[str], at: int) -> int:
    """Behind a separator line: skip the header block, if there is one."""
    start = at
    while start < len(lines) and not lines[start].strip(" >\t"):
        start += 1
    if start < len(lines):
        return _header_block(lines, start, enough=2) or at
    return at


def _header_block(lines: Sequence[str], at: int, *, enough: int = 3) -> int | None:
    """`From: … Sent: … Subject: …`: at least `enough` kinds of header, the sender among them, up to an empty line."""
    if _kind(lines[at]) is None:
        return None
    kinds: set[str] = set()
    end = at
    other = 0
    for number in range(at, min(at + 14, len(lines))):
        if not lines[number].strip(" >\t*"):
            break
        kind = _kind(lines[number])
        other = 0 if kind else other + 1
        if other > 2:
            break
        if kind:
            kinds.add(kind)
        end = number + 1
    kinds.discard("other")
    return end if "from" in kinds and len(kinds) >= enough else None


def _kind(line: str) -> str | None:
    found = _LABEL.match(line[:80])
    return _KIND.get(found[1].strip().lower()) if found else None


def _attribution(lines: Sequence[str], at: int) -> int | None:
    """`On <date>, <somebody> wrote:` over one to four lines, or a dated sender without a verb."""
    first = lines[at].strip().lstrip("> ")
    dated = _dated(first)
    starts = _STARTER.match(first) is not None
    if not (dated or starts or first.endswith("<") or ("@" in first and _MAIL.search(first))):
        return None
    joined = ""
    gap = False
    for number in range(at, min(at + 5, len(lines))):
        piece = lines[number].strip()
        if number > at:
            piece = piece if piece.startswith("> wrote") else piece.lstrip("> ")
            if _STARTER.match(piece) and (not starts or (not dated and _dated(piece))):
                return None  # the heading starts further down; this is the end of the text above it
            if not piece:
                # one empty line is bridged only inside an unmistakable start
                if gap or not (dated and starts) or joined.endswith((":", "：")):
                    return None
                gap = True
                continue
        joined = f"{joined} {piece}".strip()
        if len(joined) > _LONGEST_LINE:
            return None
        if _is_attribution(joined, dated=dated, starts=starts):
            return number + 1
    return None


def _is_attribution(text: str, *, dated: bool, starts: bool) -> bool:
    mail = _MAIL.search(text) is not None
    if _VERB_AT_END.search(text) and _VERB.search(text):
        return mail or ((dated or starts) and text.endswith((":", "：", "wrote", "wrote:*")))
    if not text.endswith((":", "：", ">")):
        return _GMAIL_SENDER.match(text) is not None
    if _DATED_SENDER.match(text) or (dated and mail and _GMAIL_SENDER.match(text)):
        return True
    return (
        mail
        and text.endswith((":", "："))
        and ((_VERB.search(text) is not None and (starts or dated or _dated(text))) or (starts and dated))
    )
