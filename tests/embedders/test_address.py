"""Addresses of embedding servers, as people write them."""

from __future__ import annotations

import pytest

from deskloom.embedders.address import read_address
from deskloom.errors import SettingInvalid


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("HTTPS://API.openai.com/v1/embeddings/", "https://api.openai.com/v1"),
        ("embeddings.example.com", "https://embeddings.example.com/v1"),
        ("https://gateway.example.com/team/openai/v1/", "https://gateway.example.com/team/openai/v1"),
        ("https://ark.example.com/api/v3", "https://ark.example.com/api/v3"),
        ("localhost:11434", "http://localhost:11434/v1"),
        ("http://[::1]:8080", "http://[::1]:8080/v1"),
        (" http://tei:80 ", "http://tei:80/v1"),
        ("http://10.1.2.3:8080/v1", "http://10.1.2.3:8080/v1"),
        ("http://tei.search.svc.cluster.local", "http://tei.search.svc.cluster.local/v1"),
    ],
)
def test_what_people_write_means_one_address(written: str, meant: str) -> None:
    """With and without scheme, `/v1`, `/embeddings` and slashes; plain http in private networks."""
    assert read_address(written, keyed=False) == meant


@pytest.mark.parametrize(
    ("written", "keyed", "why"),
    [
        ("", False, "names no host"),
        ("http://", False, "names no host"),
        ("ftp://tei", False, "cannot start with ftp"),
        ("https://host:port/v1", False, "cannot be read"),
        ("https://user:secret@host/v1", False, "holds credentials"),
        ("https://host/v1?key=secret", False, "after its path"),
        ("http://api.openai.com/v1", False, "not in a private network"),
        ("http://8.8.8.8/v1", False, "not in a private network"),
        ("http://tei:8080", True, "A key is not sent"),
        ("http://10.1.2.3", True, "A key is not sent"),
    ],
)
def test_what_would_show_texts_or_keys_to_others_is_refused(written: str, keyed: bool, why: str) -> None:
    """The error names the setting, and repeats no secret."""
    with pytest.raises(SettingInvalid, match=why) as refused:
        read_address(written, keyed=keyed)
    assert refused.value.facts == {"setting": "DESKLOOM_EMBEDDER_URL"}
    assert "secret" not in refused.value.message


def test_a_key_may_go_over_plain_http_to_this_machine() -> None:
    """Nobody else can read there."""
    assert read_address("http://127.0.0.1:8080", keyed=True) == "http://127.0.0.1:8080/v1"
