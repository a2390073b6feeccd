"""Secrets are masked, all else is left alone, and no text makes it slow. The secrets here are invented."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from deskloom.text.secrets import mask

P, K, T, C, A = (f"[{what} removed]" for what in ("password", "key", "token", "card number", "bank account"))
PEM = "PRIVATE KEY-----"
SECRETS = [
    ("password: hunter2", f"password: {P}"),
    ("my password is Tr0ub4dor&3.", f"my password is {P}."),
    ("Your new password is: Xk9#mm2", f"Your new password is: {P}"),
    ("pw: s3cretX, thanks", f"pw: {P}, thanks"),
    ("password = 'open sesame 1'", f"password = {P}"),
    ("Password | hunter2", f"Password | {P}"),
    ("Password:\nhunter22", f"Password:\n{P}"),
    ("password: swordfish", f"password: {P}"),
    ("Passwort: Geheim123!", f"Passwort: {P}!"),
    ("mot de passe : Soleil2024", f"mot de passe : {P}"),
    ("contraseña: gato1234", f"contraseña: {P}"),
    ("senha: abc12345", f"senha: {P}"),
    ("wachtwoord is Welkom01", f"wachtwoord is {P}"),
    ("hasło to Kotek123", f"hasło to {P}"),
    ("пароль: qwerty12", f"пароль: {P}"),
    ("パスワードは abc12345 です", f"パスワードは {P} です"),
    ("密码：qwe123456", f"密码：{P}"),
    ("비밀번호는 pass1234 입니다", f"비밀번호는 {P} 입니다"),
    ("كلمة المرور: abc12345", f"كلمة المرور: {P}"),
    ("PIN is 4821", f"PIN is {P}"),
    ("login: bob / hunter2", f"login: bob / {P}"),
    ("AKIA" + "IOSFODNN7EXAMPLE", K),
    ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", f"aws_secret_access_key = {K}"),
    ("use gh" + "p_" + "abcdefghijklmnopqrstuvwxyz0123456789 now", f"use {T} now"),
    ("xo" + "xb-123456789012-abcdefghij", T),
    ("sk_" + "live_abcdefghijklmnop1234", K),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NSJ9.abcDEF-123", T),
    ("Authorization: Bearer abcdef0123456789abcd", f"Authorization: Bearer {T}"),
    ("postgres://bob:s3cr3t@db.example.com/x", f"postgres://bob:{P}@db.example.com/x"),
    ("api key: 9f8e7d6c5b4a39281706", f"api key: {K}"),
    ('client_secret="a8F3kLm29QzXv7Tn"', f"client_secret={K}"),
    ("https://example.com/a?token=abcdef123456&b=1", f"https://example.com/a?token={T}&b=1"),
    ("card 4111 1111 1111 1111 exp 12/29", f"card {C} exp 12/29"),
    ("5500-0000-0000-0004", C),
    ("378282246310005", C),
    ("DE89 3704 0044 0532 0130 00", A),
    (
        f"key:\n-----BEGIN RSA {PEM}\nMIIEowIBAAKC\nabcdefghijk==\n-----END RSA {PEM}\nend",
        "key:\n[private key removed]\nend",
    ),
    (f"-----BEGIN {PEM}\nMIIEowIBAAKCAQEA\n\nthe rest", "[private key removed]\n\nthe rest"),
    ("ŞİFRE: Kedi2024", f"ŞİFRE: {P}"),
    ("ПАРОЛЬ: Kot2024x", f"ПАРОЛЬ: {P}"),
    ("İİİ paſſword: Hunter22 ok", f"İİİ paſſword: {P} ok"),
]
HARMLESS = [
    "I forgot my password",
    "Please reset the password.",
    "Password: please enter it again",
    "password is incorrect",
    "the password is wrong",
    "Password is required.",
    "password is case-sensitive",
    "password: OAuth2",
    "Password: ********",
    "Authentication method: Normal password",
    "My password is not accepted",
    "Primary Password is not set",
    "Password - reset",
    "password manager: KeePass",
    "the password to imap.example.com",
    "password is 12 characters",
    "password: none",
    'it asks "Enter your password for ann@example.com on mail.example.com:"',
    "パスワードが分かりません",
    "error 0x800CCC0E",
    "order 4929 12345",
    "version 115.10.1",
    "commit 3f2504e04f8941d39a0c0305e82c3301",
    "invoice 4539578763621487",
    "phone +1 (555) 010-9999",
    "serial ABCD-1234-EFGH-5678",
    "tracking 1Z999AA10123456784",
    "4111 1111 1111 1112",
    "key: Ctrl+Shift+K",
    "the token: expired",
    "token is invalid",
    "press the key F12",
    "pin it to the taskbar",
    "bypass: true",
    "secret: no",
    "key = value",
    "GB82 WEST 1234 5698 7654 33",
    "a basic authentication problem",
    "ticket 1234567890123456",
    "https://example.com/report?product=mail&signature=mozilla%3A%3Adetail",
    "http://example.com:8080/a@b",
]


@pytest.mark.parametrize(("text", "masked"), SECRETS)
def test_a_secret_is_masked(text: str, masked: str) -> None:
    """The value goes, what stands around it stays, and the mask says what stood there."""
    assert mask(text) == masked


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    """Questions about passwords, error codes, order, serial and phone numbers, versions and hashes are left alone."""
    assert mask(text) == text


PIECES = st.one_of(
    st.sampled_from(
        [text for text, _ in SECRETS] + HARMLESS + ["password", ": ", " is ", "\n", "=", "token", "?token=", "[", "://"]
    ),
    st.text(max_size=12),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(PIECES, max_size=12).map(" ".join))
@example("password: [password removed]")
@example("password password: password: hunter2 hunter3")
def test_masking_twice_is_masking_once(text: str) -> None:
    """`mask` is idempotent on any text."""
    assert mask(mask(text)) == mask(text)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abcdefghij \n.,;!äöü猫", max_size=300))
def test_text_without_secrets_is_never_touched(text: str) -> None:
    """Words without digits, signs or the words that announce a secret come back as they were."""
    assert mask(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "password:",
        "password is ",
        'password: "',
        "password:\n",
        f"-----BEGIN {PEM}",
        "1",
        "1 ",
        "a://a:",
        "eyJ",
        "eyJaaaaaaaaa.",
        "DE12 3456 ",
        "sk-",
        "token=",
        "?token=",
        "4111 1111 1111 ",
        "bearer ",
        "secret_key_",
        "x://",
        "a",
        "api_key ",
        "login: aa/",
    ],
)
def test_time_is_linear(text: str) -> None:
    """A megabyte made to confuse each pattern takes a few seconds at most (a bound far above the measured second)."""
    started = time.process_time()
    mask(text * (1_000_000 // len(text)))
    assert time.process_time() - started < 8
