"""What people type for a model, what the record keeps of it, and what is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from benchmarks.embedding_server import EmbeddingServer

from deskloom.embedders import Choice, choose, open_choice, open_embedder
from deskloom.errors import CredentialsRefused, SettingInvalid
from deskloom.settings import Settings


def settings(**values: Any) -> Settings:
    return Settings(_env_file=None, **values)


def test_words_folders_and_servers_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each form a person may type becomes one choice; a folder by its absolute path."""
    (tmp_path / "e5").mkdir()
    monkeypatch.chdir(tmp_path)
    served = settings(embedder="openai", embedder_url="http://localhost:8080", embedder_model="bge")
    assert [choose(served, text) for text in (None, "openai", "openai:bge", " openai:hf.co/a/b:Q8 ")] == [
        *[Choice(kind="openai", url="http://localhost:8080/v1", model="bge")] * 3,
        Choice(kind="openai", url="http://localhost:8080/v1", model="hf.co/a/b:Q8"),
    ]
    assert choose(settings(), "openai:text-embedding-3-small").url == "https://api.openai.com/v1"
    assert [choose(settings(), text) for text in (None, "minilm", "bge-m3", "e5", "./e6")] == [
        Choice(kind="minilm"),
        Choice(kind="minilm"),
        Choice(kind="bge-m3"),
        Choice(kind="folder", path=str(tmp_path / "e5")),
        Choice(kind="folder", path=str(tmp_path / "e6")),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("mini-lm", 'Did you mean "minilm"'),
        ("BGE_M3", 'Did you mean "bge-m3"'),
        ("open-ai", 'Did you mean "openai"'),
        ("wholly different", "Choose minilm, bge-m3, openai"),
        ("", "Choose minilm, bge-m3, openai"),
        ("openai", "DESKLOOM_EMBEDDER_MODEL"),
        ("openai:", "DESKLOOM_EMBEDDER_MODEL"),
    ],
)
def test_a_wrong_word_names_the_choices_and_the_nearest(text: str, told: str) -> None:
    """The sentence says what to type instead."""
    with pytest.raises(SettingInvalid, match=told):
        choose(settings(), text)


def test_a_choice_comes_back_from_the_record_as_it_was() -> None:
    """JSON and back gives the same choice, address included; what a later version wrote is refused by name."""
    for choice in (
        Choice(kind="minilm"),
        Choice(kind="folder", path="/models/e5"),
        Choice(kind="openai", url="https://a.example/v1", model="bge"),
    ):
        again = Choice.from_json(choice.to_json())
        assert (again, again.url) == (choice, choice.url)
    for stored in ({"kind": "cohere"}, {"kind": "minilm", "precision": "int8"}, {}):
        with pytest.raises(SettingInvalid, match="does not know"):
            Choice.from_json(stored)


def test_a_server_that_moves_serves_the_same_model() -> None:
    """Choices are equal if they name the same model, wherever it is served."""
    assert Choice(kind="openai", url="http://a/v1", model="m") == Choice(kind="openai", url="http://b/v1", model="m")
    assert Choice(kind="openai", url="http://a/v1", model="m") != Choice(kind="openai", url="http://a/v1", model="n")


async def test_a_choice_of_the_record_is_asked_where_the_settings_say() -> None:
    """The recorded address stands for a model that the settings do not name; the key goes to their server alone."""
    with EmbeddingServer(model="m", key="sk-right") as now, EmbeddingServer(model="m") as before:
        here = settings(
            embedder="openai", embedder_url=now.url, embedder_model="m", embedder_api_key="sk-right", retries=0
        )
        embedder = await open_choice(Choice(kind="openai", url=f"{before.url}/v1", model="m"), here)
        await embedder.aclose()
        assert (now.requests, before.requests, dict(now.keys)) == (1, 0, {"Bearer sk-right": 1})

        here = settings(
            embedder="openai", embedder_url=now.url, embedder_model="n", embedder_api_key="sk-right", retries=0
        )
        embedder = await open_choice(Choice(kind="openai", url=f"{before.url}/v1", model="m"), here)
        await embedder.aclose()
        assert (before.requests, dict(before.keys)) == (1, {"": 1})

        with pytest.raises(CredentialsRefused):
            await open_embedder(settings(embedder="openai", embedder_url=now.url, embedder_model="m", retries=0))
