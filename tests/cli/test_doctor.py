"""What `doctor` says of a model behind HTTP."""

from __future__ import annotations

from benchmarks.embedding_server import EmbeddingServer
from tests.cli.terminal import Terminal


def test_doctor_tells_host_width_and_limit_of_an_embedding_server(terminal: Terminal) -> None:
    """While the server is up; once it is down, what to check, and never the key."""
    with EmbeddingServer("tei", key="sk-right", dimensions=48, max_tokens=300) as server:
        served = {
            "DESKLOOM_EMBEDDER": "openai",
            "DESKLOOM_EMBEDDER_URL": server.url,
            "DESKLOOM_EMBEDDER_MODEL": server.model,
            "DESKLOOM_EMBEDDER_API_KEY": "sk-right",
        }
        found = {item["part"]: item for item in terminal.run("doctor", "--json", **served).json()["items"]}
        assert found["model"] == {
            "part": "model",
            "level": "ok",
            "detail": f"openai:stub-embed at 127.0.0.1:{server.port}: width 48, texts of up to 300 tokens",
        }
    down = terminal.run("doctor", **served)
    assert down.status == 1
    assert f"The embedding server 127.0.0.1:{server.port} cannot be reached" in down.out
    assert "sk-right" not in down.out + down.err
