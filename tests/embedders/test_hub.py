"""Models from a hub: every file whole and as pinned, resumed where it broke off, or nothing in place."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deskloom.embedders.bge_m3 import BGE_M3, PUBLISHED
from deskloom.embedders.hub import TRIES, fetch_from_hub
from deskloom.embedders.models import Hub, Model, fetch_model
from deskloom.errors import EmbedderUnavailable, ModelDamaged, ModelMissing

CONTENT = {
    "config.json": b'{"model_type": "xlm-roberta"}',
    "1_Pooling/config.json": b'{"pooling_mode_cls_token": true}',
    "pytorch_model.bin": bytes(range(256)) * 12_000,
}
SIZE = sum(map(len, CONTENT.values()))


def model(content: dict[str, bytes] = CONTENT, *, size: int = SIZE) -> Model:
    files = {name: (name, hashlib.sha256(data).hexdigest()) for name, data in content.items()}
    return Model(name="tiny", origin=Hub("acme/tiny", "0123abc"), size=size, files=files)


@dataclass
class Faults:
    """What the hub does wrong, and what it was asked."""

    content: dict[str, bytes] = field(default_factory=lambda: dict(CONTENT))
    cut_after: list[int] = field(default_factory=list)
    """Bytes after which an answer breaks off, one for each of the next answers with the weights."""
    status: list[int] = field(default_factory=list)
    ranges: bool = True
    wrong_part: bool = False
    asked: list[tuple[str, str | None]] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    faults: Faults

    def do_GET(self) -> None:
        """A hub's paths lead by a redirect to another host's; there ranges are answered."""
        faults = self.faults
        found = re.fullmatch(r"/(acme/tiny/resolve/0123abc|cdn)/(.+)", self.path)
        name = found[2] if found else ""
        if found and found[1] != "cdn":
            self.send_response(302)
            self.send_header("location", f"http://localhost:{self.server.server_port}/cdn/{name}")  # type: ignore[attr-defined]
            self.send_header("content-length", "0")
            self.end_headers()
            return
        faults.asked.append((name, self.headers.get("range")))
        status = faults.status.pop(0) if faults.status else 200
        if name not in faults.content or status != 200:
            self.send_response(404 if name not in faults.content else status)
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.answer(name, faults.content[name])

    def answer(self, name: str, data: bytes) -> None:
        faults, start = self.faults, 0
        if faults.ranges and (wanted := self.headers.get("range")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("content-range", f"bytes */{len(data)}")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            self.send_response(206)
            shown = start + 7 if faults.wrong_part else start
            self.send_header("content-range", f"bytes {shown}-{len(data) - 1}/{len(data)}")
            faults.wrong_part = False
        else:
            self.send_response(200)
        self.send_header("content-length", str(len(data) - start))
        self.end_headers()
        if name == "pytorch_model.bin" and faults.cut_after:
            self.wfile.write(data[start : start + faults.cut_after.pop(0)])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(data[start:])

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Server:
    url: str
    faults: Faults


@pytest.fixture
def hub() -> Iterator[Server]:
    faults = Faults()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"faults": faults}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Server(f"http://127.0.0.1:{server.server_port}", faults)
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(hub: Server, models: Path, wanted: Model | None = None, pauses: list[float] | None = None) -> None:
    models.mkdir(exist_ok=True)
    wanted = wanted or model()
    assert isinstance(wanted.origin, Hub)
    waited = [] if pauses is None else pauses
    fetch_from_hub(wanted, wanted.origin, models, hub=hub.url, pause=waited.append)


def visible(models: Path) -> dict[str, bytes]:
    files = (path for path in models.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    return {str(path.relative_to(models)): path.read_bytes() for path in files}


WHOLE = {f"tiny/{name}": data for name, data in CONTENT.items()}


def test_a_model_is_downloaded_once_and_counted(hub: Server, tmp_path: Path) -> None:
    """Every file arrives through its redirect, progress ends at the whole, and a second fetch asks nothing."""
    told: list[tuple[int, int]] = []
    for _ in range(2):
        fetch_model(model(), tmp_path, hub=hub.url, progress=lambda *counts: told.append(counts))
    assert visible(tmp_path) == WHOLE
    assert [name for name, _ in hub.faults.asked] == list(CONTENT)
    assert told == sorted(told)
    assert told[-1] == (SIZE, SIZE)


def test_a_broken_download_goes_on_where_it_broke_off(hub: Server, tmp_path: Path) -> None:
    """As long as bytes come, it resumes, however often; what came is not asked for again."""
    pauses: list[float] = []
    hub.faults.cut_after = [400_000] * 7
    fetch(hub, tmp_path, pauses=pauses)
    assert visible(tmp_path) == WHOLE
    asked = [wanted for name, wanted in hub.faults.asked if name == "pytorch_model.bin"]
    assert asked == [None, *(f"bytes={400_000 * place}-" for place in range(1, 8))]
    assert pauses == [1] * 7


def test_a_later_fetch_takes_up_what_an_earlier_one_left(hub: Server, tmp_path: Path) -> None:
    """A download that was given up is resumed by the next one; until then no model is in place."""
    hub.faults.cut_after = [1_000_000, *[0] * TRIES]
    with pytest.raises(ModelMissing, match="What came is kept"):
        fetch(hub, tmp_path)
    assert not (tmp_path / "tiny").exists()
    hub.faults.asked.clear()
    fetch(hub, tmp_path)
    assert visible(tmp_path) == WHOLE
    assert hub.faults.asked == [("pytorch_model.bin", "bytes=1000000-")]


def test_a_part_that_is_whole_already_is_not_fetched_again(hub: Server, tmp_path: Path) -> None:
    """A process that was killed after the last byte left a whole part; the hub says that there is no more."""
    part = tmp_path / ".tiny.partial" / "pytorch_model.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT["pytorch_model.bin"])
    fetch(hub, tmp_path)
    assert visible(tmp_path) == WHOLE


@pytest.mark.parametrize("fault", ["no ranges", "another part", "too long a part"])
def test_a_hub_that_cannot_resume_sends_all_again(hub: Server, tmp_path: Path, fault: str) -> None:
    """Without ranges, with the wrong one, or with more bytes than there are, the file is begun anew and whole."""
    part = tmp_path / ".tiny.partial" / "pytorch_model.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * (9_000_000 if fault == "too long a part" else 5_000) if fault != "no ranges" else b"old")
    hub.faults.ranges = fault != "no ranges"
    hub.faults.wrong_part = fault == "another part"
    fetch(hub, tmp_path)
    assert visible(tmp_path) == WHOLE


def test_other_content_is_not_kept(hub: Server, tmp_path: Path) -> None:
    """A file with another hash raises `ModelDamaged`, nothing of it stays, and a later fetch mends it."""
    hub.faults.content["pytorch_model.bin"] = b"y" + CONTENT["pytorch_model.bin"][1:]
    with pytest.raises(ModelDamaged, match=r"pytorch_model\.bin .* another content"):
        fetch(hub, tmp_path)
    assert not any("pytorch_model" in name for name in visible(tmp_path))
    hub.faults.content = dict(CONTENT)
    fetch(hub, tmp_path)
    assert visible(tmp_path) == WHOLE


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_file_that_is_not_there_ends_it_at_once(hub: Server, tmp_path: Path, status: int) -> None:
    """A hub that refuses is not asked again; the way without a network is told."""
    hub.faults.status = [status]
    with pytest.raises(ModelMissing, match=f"{status} for config.json.*copy the folder.*HF_ENDPOINT"):
        fetch(hub, tmp_path)
    assert len(hub.faults.asked) == 1


def test_a_hub_out_of_order_is_asked_again_and_then_given_up(hub: Server, tmp_path: Path) -> None:
    """5xx and 429 are tried again with growing pauses, so that a short outage does no harm."""
    hub.faults.status = [503, 429, 500]
    pauses: list[float] = []
    fetch(hub, tmp_path, pauses=pauses)
    assert (visible(tmp_path), pauses) == (WHOLE, [2, 4, 8])
    hub.faults.status = [503] * TRIES
    with pytest.raises(ModelMissing, match="it answers 503"):
        fetch(hub, tmp_path / "again")


def test_without_a_network_the_way_is_told(tmp_path: Path) -> None:
    """A hub that cannot be reached names its host, the folder to copy, and the settings; twice tried is enough."""
    pauses: list[float] = []
    with pytest.raises(ModelMissing) as missing:
        fetch(Server("http://127.0.0.1:9", Faults()), tmp_path, pauses=pauses)
    for words in ("127.0.0.1", f"{tmp_path}/tiny", "DESKLOOM_EMBEDDER", "HF_ENDPOINT", "deskloom models get tiny"):
        assert words in missing.value.message
    assert len(pauses) == 1


def test_a_damaged_model_is_mended_file_by_file(hub: Server, tmp_path: Path) -> None:
    """Only what is damaged is fetched again; intact files, and files of others, stay."""
    fetch(hub, tmp_path)
    (tmp_path / "tiny" / "config.json").write_text("{}")
    (tmp_path / "tiny" / "notes.txt").write_text("mine")
    hub.faults.asked.clear()
    fetch_model(model(), tmp_path, hub=hub.url)
    assert visible(tmp_path) == WHOLE | {"tiny/notes.txt": b"mine"}
    assert hub.faults.asked == [("config.json", None)]


def test_a_full_disk_is_told_before_the_download(hub: Server, tmp_path: Path) -> None:
    """A model that cannot fit is not begun."""
    with pytest.raises(EmbedderUnavailable, match=r"No space left.*DESKLOOM_MODELS"):
        fetch_model(model(size=1 << 60), tmp_path, hub=hub.url)
    assert hub.faults.asked == []


def test_the_pins_of_bge_m3_agree() -> None:
    """Every file that the layout needs is pinned, and the size is that of the files."""
    needed = {"config.json", "tokenizer.json", "modules.json", "1_Pooling/config.json", "sparse_linear.pt"}
    assert needed | {"sentence_bert_config.json", "pytorch_model.bin"} <= BGE_M3.files.keys()
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for _, digest in BGE_M3.files.values())
    assert 0 < BGE_M3.size - sum(size for size, _ in PUBLISHED.values()) < 10_000
