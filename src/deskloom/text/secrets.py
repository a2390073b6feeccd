"""Secrets taken out of a text: passwords, keys and tokens, card numbers, bank accounts. Nothing unmasked is indexed.

Every pattern is bounded, so the time is linear in the text. A value is masked for how it looks as much as for the word
before it: "I forgot my password" and "password: required" stay, "password: hunter2" does not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable

PASSWORD = "[password removed]"
KEY = "[key removed]"
TOKEN = "[token removed]"
PRIVATE_KEY = "[private key removed]"
CARD = "[card number removed]"
ACCOUNT = "[bank account removed]"


def mask(text: str) -> str:
    """The text with words in brackets where secrets stood, saying what they were. Masking twice is masking once."""
    for _ in range(_PASSES):
        before, text = text, _mask_once(text)
        if text == before:
            break
    return text


_PASSES = 8
"""A mask may uncover a secret that stood in its shade, so a text that changed is read again."""


def _mask_once(text: str) -> str:
    low = _lower(text)
    if "-----begin" in low:
        text = _without_private_keys(text)
    if _KNOWN_HINT.search(text):
        text = _KNOWN.sub(lambda found: TOKEN if found.lastgroup == "token" else KEY, text)
    if "://" in low:
        if "@" in low:
            text = _URL_PASSWORD.sub(rf"\1:{PASSWORD}@", text)
        text = _URL_TOKEN.sub(_mask_parameter, text)
    if any(word in low for word in ("bearer", "basic", "authorization")):
        text = _BEARER.sub(lambda found: found[0] if _readable(found[2]) else found[1] + TOKEN, text)
    if any(word in low for word in _KEY_WORDS):
        text = _replaced(_KEY_START, _KEY_VALUE, _mask_key, text)
    text = _replaced(_PASSWORD_START, _PASSWORD_VALUE, _mask_password, text)
    if "/" in low:
        text = _replaced(_NAME_START, _PASSWORD_AFTER_NAME, _mask_password, text)
    if _LONG_NUMBER.search(text):
        text = _CARD_NUMBER.sub(lambda found: CARD if _is_card(found[0]) else found[0], text)
        text = _IBAN.sub(lambda found: ACCOUNT if _is_iban(found[0]) else found[0], text)
    return text


def _lower(text: str) -> str:
    """Lower case of the same length, with one spelling of letters that `re.IGNORECASE` takes for i and s."""
    return text.replace("İ", "i").replace("ı", "i").replace("ſ", "s").lower()


def _replaced(
    start: re.Pattern[str], pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str], text: str
) -> str:
    """`pattern.sub(replace, text)`, tried only where `start` is found in the lower-cased text: many times faster."""
    low = _lower(text)
    pieces: list[str] = []
    done = at = 0
    while hint := start.search(low, at):
        if found := pattern.match(text, hint.start()):
            pieces += [text[done : found.start()], replace(found)]
            done = at = found.end()
        else:
            at = hint.start() + 1
    return "".join(pieces) + text[done:] if pieces else text


# ------------------------------------------------------------------------------------------- keys known by their looks

_KNOWN_HINT = re.compile(r"_[\w+/=]{10}|-[\w-]{10}|A(?:KIA|SIA|Iza)|:AA|S(?:G\.|K[0-9a-f])|29\.|yJ|\.slack\.")
"""A part of every known key that starts with a rare character, which makes it quick to search."""
_KNOWN = re.compile(
    r"(?<![\w-])(?:"
    r"(?P<token>eyJ[\w-]{8,4000}\.eyJ[\w-]{8,8000}(?:\.[\w-]{0,4000})?"
    r"|gh[pousr]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}|glpat-[\w-]{20,100}|xox[abeoprs]-[\w-]{10,250}"
    r"|xapp-[\w-]{10,250}"
    r"|ya29\.[\w-]{20,500}|npm_[A-Za-z0-9]{36}|pypi-AgE[\w-]{50,400}|dop_v1_[a-f0-9]{64}|shp(?:at|ss|ca"
    r"|pa)_[a-fA-F0-9]{32}"
    r"|hf_[A-Za-z0-9]{30,60}|\d{8,10}:AA[\w-]{30,40})"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|[sr]k_(?:live|test)_[A-Za-z0-9]{10,250}|whsec_[A-Za-z0-9+/=]{20,100}"
    r"|sk-(?:ant-|proj-|or-)?(?=[\w-]{0,60}\d)[\w-]{20,250}|AIza[\w-]{35}|SG\.[\w-]{16,40}\.[\w-]{16,80}"
    r"|key-[0-9a-f]{32}|SK[0-9a-f]{32}"
    r"|hooks\.slack\.com/services/[\w/]{20,100}"
    r")(?![\w])"
)
_PEM = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_PEM_END = re.compile(r"-----END (?:[A-Z0-9]{1,12} ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_PEM_LINES = re.compile(r"(?:\s{0,8}(?:[A-Za-z0-9+/=]{8,80}|[A-Z][\w-]{2,20}: [^\n]{0,80}))*")


def _without_private_keys(text: str) -> str:
    pieces: list[str] = []
    at = 0
    while found := _PEM.search(text, at):
        pieces += [text[at : found.start()], PRIVATE_KEY]
        end = _PEM_END.search(text, found.end(), found.end() + 20_000)
        lines = _PEM_LINES.match(text, found.end())
        at = end.end() if end else lines.end() if lines else found.end()
    return "".join(pieces) + text[at:]


# --------------------------------------------------------------------------------------------------- keys in addresses

_URL_PASSWORD = re.compile(r"(?<![a-z0-9])([a-z][a-z0-9+.-]{1,20}://[^\s:/@\[\]]{0,80}):(?!\[)([^\s@/]{1,120})@", re.I)
_URL_TOKEN = re.compile(
    r"([?&#;](?:[\w-]{0,20}(?P<sure>token|secret|passw(?:or)?d|passwd|pwd|api_?key|apikey)"
    r"|[\w-]{0,20}signature|sig|auth|sid|session(?:_?id)?)=)(?!\[)([^&\s#<>\"')\]]{6,1000})",
    re.I,
)


def _mask_parameter(found: re.Match[str]) -> str:
    return found[0] if not found["sure"] and _readable(re.sub(r"%[0-9A-Fa-f]{2}", " ", found[3])) else found[1] + TOKEN


_BEARER = re.compile(
    r"((?<!\w)(?:authorization[ \t]{0,3}[:=][ \t]{0,3}(?:bearer|basic|token|digest)?|bearer|basic)[ \t:]{1,3})"
    r"(?!\[)([\w.~+/=-]{12,4000})",
    re.I,
)

# ------------------------------------------------------------------------------------ keys and tokens by name

_KEY_WORDS = ("key", "secret", "token", "clé", "clave", "schlüssel", "chiave", "chave", "sleutel")
_KEY_OF = (
    r"(?:api|access|auth|account|private|secret|shared|storage|encryption|signing|client|consumer|webhook"
    r"|service|master|session|refresh|id|csrf|bot|personal|deploy|aws)"
)
_KEY_ALONE = r"(?:secret|token|apikey|schlüssel|clé api|clave api|chiave api|chave api)"
_KEY_START = re.compile(f"{_KEY_OF}|{_KEY_ALONE}")
_KEY_VALUE = re.compile(
    rf"({_KEY_OF}[ _.-]{{0,2}}(?:access[ _-]?)?(?:api[ _-]?)?(?:key|secret|token)(?:[ _-]?id)?"
    rf"|(?<![A-Za-z]){_KEY_ALONE})"
    r"([\"'`*]{0,2}[ \t]{0,3}(?:=>|:=|[:=：|]|(?:is|was|ist|est|es|è|é)(?=[ \t]))[ \t]{0,3}\n?[ \t]{0,3})"
    r"(?!\[)[\"'`<]?([A-Za-z0-9+/=_.~:-]{8,4000})[\"'`>]?",
    re.I,
)


def _mask_key(found: re.Match[str]) -> str:
    value = found[3].rstrip(".:")
    if _readable(value) or value.startswith(("http:", "https:", "//")):
        return found[0]
    rest = found[3][len(value) :]
    what = TOKEN if "token" in found[1].lower() else KEY
    return f"{found[1]}{found[2]}{what}{rest}"


def _readable(value: str) -> bool:
    """Words, versions, dates and short codes are no keys: a key is long, holds digits and letters, and looks random."""
    if len(value) < 12 or not any(char.isdigit() for char in value) or not any(char.isalpha() for char in value):
        return True
    counts = Counter(value)
    entropy = -sum(count / len(value) * math.log2(count / len(value)) for count in counts.values())
    return (
        entropy < 2.9
        or re.fullmatch(r"(?:[A-Za-z]+[-_./:])*[A-Za-z]+[-_./:]?\d{1,4}(?:\.\d{1,3}){0,3}", value) is not None
    )


# --------------------------------------------------------------------------------------------------------- passwords

_LATIN_WORDS = [
    "password",
    "passwd",
    "passcode",
    "passphrase",
    "pass phrase",
    "pass word",
    "passwort",
    "kennwort",
    "mot de passe",
    "mdp",
    "contraseña",
    "contrasena",
    "clave",
    "senha",
    "palavra-passe",
    "palavra passe",
    "wachtwoord",
    "lösenord",
    "losenord",
    "adgangskode",
    "passord",
    "salasana",
    "hasło",
    "haslo",
    "heslo",
    "şifre",
    "sifre",
    "parola",
    "jelszó",
    "jelszo",
    "lozinka",
    "geslo",
    "пароль",
    "пароля",
    "parole",
    "slaptažodis",
    "kata sandi",
    "sandi",
    "mật khẩu",
    "κωδικός",
    "pwd",
    "pw",
    "psw",
    "pass",
    "pin",
    "pin code",
    "pincode",
]
_OTHER_WORDS = (
    "パスワード",
    "暗証番号",
    "密码",
    "密碼",
    "口令",
    "비밀번호",
    "암호",
    "패스워드",
    "كلمة المرور",
    "كلمة السر",
    "סיסמה",
    "סיסמא",
    "รหัสผ่าน",
)
_LONGER_WORDS = {long for long in _LATIN_WORDS for word in _LATIN_WORDS if long != word and long.startswith(word)}
_ALL_WORDS = "|".join(
    [rf"(?<![^\W_]){re.escape(word)}s?" for word in sorted(_LATIN_WORDS, key=len, reverse=True)]
    + [re.escape(word) for word in _OTHER_WORDS]
)
_VALUE = (
    r"(?!\[)(?:\"([^\"\n]{3,80})\"|'([^'\n]{3,80})'|“([^”\n]{3,80})”|«\s?([^»\n]{3,80}?)\s?»"
    r"|`([^`\n]{3,80})`|([^\s|]{3,120}))"
)
_PASSWORD_VALUE = re.compile(
    rf"(?P<name>(?:{_ALL_WORDS})(?:[ \t](?:for|für|pour|para|per|voor|of)[ \t][^\s:=]{{1,40}})?[\"'`*)]{{0,3}})"
    r"(?P<sep>[ \t]{0,3}(?:=>|:=|[:=：|]|-(?=[ \t]))[ \t*]{0,5}\n?[ \t]{0,5}"
    r"|[ \t](?:is|was|are|ist|lautet|war|est|était|es|era|è|é|foi|is nu|is now|to jest|je|это|adalah|είναι"
    r"|(?<=salasana )on|(?<=hasło )to|(?<=haslo )to|(?<=lösenord )är|(?<=passord )er)(?:[ \t]{0,3}[:=：]"
    r"|[ \t])[ \t]{0,3}"
    r"|[ \t]?(?:は|が|是|为|為|는|은|هي|هو|היא)[ \t]{0,3}[:：]?[ \t]{0,3})" + _VALUE,
    re.I,
)
_PASSWORD_AFTER_NAME = re.compile(
    r"(?P<name>(?<!\w)(?:credentials?|user(?:name)?[ \t]?[/&][ \t]?pass(?:word)?|login(?:[ \t]?/[ \t]?pass(?:word)?)?))"
    r"(?P<sep>[ \t]{0,3}[:=][ \t]{0,3}\S{2,60}[ \t]{0,2}/[ \t]{0,2})" + _VALUE,
    re.I,
)
_PASSWORD_START = re.compile(
    "|".join(re.escape(word) for word in (*_LATIN_WORDS, *_OTHER_WORDS) if word not in _LONGER_WORDS)
)
_NAME_START = re.compile("credential|user|login")
_NOT_SECRET = re.compile(
    r"(?:n/?a|none|null|nil|empty|blank|hidden|required|optional|yes|no|ok|o\.k|oauth\d?|ssl/tls|starttls"
    r"|md5|sha-?\d+|ntlm|kerberos|imap4?|pop3"
    r"|normal|encrypted|invalid|incorrect|wrong|reset|changed?|forgotten|saved?|[*•·xX.●_#-]+|\W+|\d{1,3}"
    r"|\d+[-–]?\w*(?:character|digit|letter|zeichen)s?"
    r"|removed\]?|\d{1,2}[./:-]\d{1,2}(?:[./:-]\d{2,4})?)",
    re.I,
)


def _mask_password(found: re.Match[str]) -> str:
    quoted = next((value for value in found.groups()[2:7] if value is not None), None)
    bare = found.groups()[7]
    assigned = any(sign in found["sep"] for sign in ":=：|")
    if quoted is not None:
        words = quoted.split()
        secret = (
            _looks_secret(words[0], assigned=assigned, alone=True, number=True)
            if len(words) == 1
            else len(words) <= 6 and "@" not in quoted and any(char.isdigit() for char in quoted)
        )
        return f"{found['name']}{found['sep']}{PASSWORD}" if secret else found[0]
    value = bare.rstrip(".,;:!?)]}>\"'”»")
    rest = bare[len(value) :]
    if not bare[0].isascii() and found["sep"].strip() in tuple("はが는은是为為"):
        return found[0]  # the word before is the sentence's subject, not a label
    before = found["name"].lower().rstrip("\"'`*)")
    if not _looks_secret(
        value, assigned=assigned, alone=_ends_line(found), number=before.startswith(("pin", "pass", "暗証"))
    ):
        return found[0]
    return f"{found['name']}{found['sep']}{PASSWORD}{rest}"


def _ends_line(found: re.Match[str]) -> bool:
    """Whether nothing, or punctuation only, follows the value on its line, and it stands on the line of its name."""
    after = found.string[found.end() : found.end() + 3]
    return (not after.strip(" \t") or after.lstrip(" \t")[:1] in "\n,;|") and "\n" not in found["sep"]


def _looks_secret(value: str, *, assigned: bool, alone: bool, number: bool) -> bool:
    if (
        len(value) < 4
        or _NOT_SECRET.fullmatch(value)
        or value.startswith(("http:", "https:", "www.", "<", "$", "%", "{", "["))
    ):
        return False
    if not value.isascii() and not any(char.isascii() and char.isalnum() for char in value):
        return False
    if re.fullmatch(
        r"[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+|(?:[a-z][a-z-]{1,20}\.)?[\w-]{2,30}\.(?:com|net|org|de|fr|it|uk|io|edu)",
        value,
        re.I,
    ):
        return False
    letters = [char for char in value if char.isalpha()]
    digits = sum(char.isdigit() for char in value)
    if not letters:
        return digits >= 4 and (assigned or number) and (len(value) <= 12 or not value.isdigit())
    if digits:
        return True
    if any(char in "!@#$%^&*+=~?\\{}<>;_" for char in value):
        return True
    inner = "".join(letters[1:])
    if inner != inner.lower() and inner != inner.upper():
        return len(value) >= 6  # mixed case inside a word
    return assigned and alone and value.isascii() and value.isalpha() and value.islower() and len(value) >= 6


# --------------------------------------------------------------------------------------------- cards and bank accounts

_LONG_NUMBER = re.compile(r"\d[\dA-Z -]{12}")
"""In every card number, and in every account number from its check digits on."""
_CARD_NUMBER = re.compile(
    r"(?<![\w.@#/+-])(?:\d{14,19}|\d{4}(?:([ -])\d{4})(?:\1\d{4}){2}(?:\1\d{1,3})?"
    r"|3\d{3}([ -])\d{6}\2\d{4,5})(?![\w@-]|\.\d)"
)
_IIN = re.compile(
    r"4(?:\d{15}|\d{18})|5[1-5]\d{14}|(?:222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[68]\d)\d{11}"
    r"|(?:6011|65\d\d|64[4-9]\d)\d{12,15}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}|(?:5018|5020|5038|6304|6759"
    r"|676[1-3])\d{12,15}"
)
_IBAN = re.compile(r"(?<![\w-])[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)(?![\w-])")


def _is_card(shown: str) -> bool:
    """A known issuer's prefix and length, and the check digit (Luhn)."""
    digits = shown.replace(" ", "").replace("-", "")
    if not _IIN.fullmatch(digits) or len(set(digits)) < 2:
        return False
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(number - 9 if number > 9 else number for number in doubled) % 10 == 0


def _is_iban(shown: str) -> bool:
    """ISO 13616: the number modulo 97 is 1."""
    text = shown.replace(" ", "")
    if not 15 <= len(text) <= 34:
        return False
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1
