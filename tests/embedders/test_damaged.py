"""Folders that are no model, or not a whole one: each says what is wrong, with which file, and what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.embedders.made import (
    Made,
    make_bge_m3,
    make_transformer,
    save_json,
    save_modules,
    save_safetensors,
    save_torch,
    unigram,
)

from deskloom.embedders.folder import open_folder
from deskloom.embedders.torch_file import read_torch_file
from deskloom.embedders.weights import read_weights
from deskloom.errors import DeskloomError, ModelDamaged, ModelMissing, SettingInvalid

MADE = Made()
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 90868376\n"
HERE = Path(__file__).parent


def edit(file: Path, **facts: object) -> None:
    save_json(file, json.loads(file.read_text()) | facts)


def cut(file: Path, share: float = 0.5) -> None:
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def shards(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    save_json(folder / "model.safetensors.index.json", {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}})


def nan(folder: Path) -> None:
    make_transformer(folder, MADE)
    tensors = {name: tensor.copy() for name, tensor in make_transformer(folder, MADE).items()}
    tensors["encoder.layer.0.output.dense.bias"][:] = np.nan
    save_safetensors(folder / "model.safetensors", tensors)


def without(folder: Path, name: str) -> None:
    tensors = make_transformer(folder, MADE)
    save_safetensors(folder / "model.safetensors", {key: value for key, value in tensors.items() if key != name})


def older_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "sentencepiece.bpe.model")


def small_vocabulary(folder: Path) -> None:
    edit(folder / "config.json", vocab_size=20)


def pool_last(folder: Path) -> None:
    save_modules(folder, "lasttoken")


def strange_module(folder: Path) -> None:
    save_json(folder / "modules.json", [{"idx": 0, "path": "", "type": "sentence_transformers.models.CNN"}])


CASES: list[tuple[Callable[[Path], object], type[DeskloomError], str]] = [
    (lambda f: cut(f / "model.safetensors"), ModelDamaged, "not copied whole"),
    (lambda f: cut(f / "model.safetensors", 0.001), ModelDamaged, "cut short"),
    (lambda f: (f / "model.safetensors").write_bytes(b""), ModelDamaged, "cut short"),
    (lambda f: (f / "model.safetensors").write_text(POINTER), ModelDamaged, "git lfs pull"),
    (lambda f: (f / "model.safetensors").write_text("<html>" + " " * 99), ModelDamaged, "not a safetensors file"),
    (lambda f: (f / "model.safetensors").unlink(), ModelMissing, "holds no weights"),
    (shards, ModelMissing, "Of the 2 weight files.*one.safetensors"),
    (lambda f: without(f, "encoder.layer.1.output.dense.weight"), ModelDamaged, "lacks the tensor encoder.layer.1"),
    (lambda f: edit(f / "config.json", num_hidden_layers=3), ModelDamaged, "lacks the tensor encoder.layer.2"),
    (lambda f: edit(f / "config.json", hidden_size=48), ModelDamaged, "514×32 F32, where config.json implies 514×48"),
    (lambda f: edit(f / "config.json", intermediate_size=65), ModelDamaged, "implies 65×32"),
    (lambda f: edit(f / "config.json", model_type="deberta-v2"), SettingInvalid, '"deberta-v2".*Export it to ONNX'),
    (lambda f: edit(f / "config.json", auto_map={"AutoModel": "code.Own"}), SettingInvalid, "code of its own"),
    (lambda f: edit(f / "config.json", position_embedding_type="rotary"), SettingInvalid, '"rotary"'),
    (lambda f: edit(f / "config.json", hidden_act="swiglu"), SettingInvalid, '"swiglu"'),
    (lambda f: (f / "config.json").write_text("{"), ModelDamaged, "config.json is not JSON"),
    (lambda f: (f / "config.json").write_text(POINTER), ModelDamaged, "git lfs pull"),
    (lambda f: (f / "config.json").write_text("[]"), ModelDamaged, "does not describe an encoder"),
    (lambda f: edit(f / "config.json", hidden_size=None), ModelDamaged, "does not describe an encoder"),
    (lambda f: (f / "tokenizer.json").unlink(), ModelMissing, "no tokenizer.json.*save_pretrained"),
    (older_tokenizer, ModelMissing, "only the older sentencepiece.bpe.model.*save_pretrained"),
    (lambda f: (f / "tokenizer.json").write_text("{}"), ModelDamaged, "is not a tokenizer"),
    (lambda f: (f / "tokenizer.json").write_text(POINTER), ModelDamaged, "git lfs pull"),
    (small_vocabulary, ModelDamaged, "the model knows 20: they do not belong"),
    (nan, ModelDamaged, "cannot embed a short text"),
    (pool_last, SettingInvalid, "the pooling lasttoken.*embedding server"),
    (strange_module, SettingInvalid, 'a module "CNN"'),
    (lambda f: (f / "modules.json").write_text('{"a": 1}'), ModelDamaged, "does not list modules"),
    (lambda f: (f / "1_Pooling" / "config.json").unlink(), ModelMissing, "1_Pooling/config.json is missing"),
    (lambda f: (f / "sparse_linear.pt").write_text(POINTER), ModelDamaged, "git lfs pull"),
    (lambda f: (f / "sparse_linear.pt").write_bytes(b"PK"), ModelDamaged, "cut short"),
    (lambda f: save_torch(f / "sparse_linear.pt", {"bias": np.zeros(1, np.float32)}), ModelDamaged, "weighs words"),
]


@pytest.mark.parametrize(("damage", "error", "words"), CASES, ids=[words for _, _, words in CASES])
def test_damage_is_named(
    tmp_path: Path, damage: Callable[[Path], object], error: type[DeskloomError], words: str
) -> None:
    """A folder with one thing wrong raises one sentence that names it, and no other error."""
    make_transformer(tmp_path, MADE)
    save_modules(tmp_path, "mean")
    damage(tmp_path)
    with pytest.raises(error, match=f"(?s){words}") as raised:
        open_folder(tmp_path)
    assert str(tmp_path) in raised.value.message


def test_a_folder_that_is_none_is_named(tmp_path: Path) -> None:
    """An unknown path, a file, an empty folder and the folder above a model each say so."""
    with pytest.raises(ModelMissing, match="There is no model folder"):
        open_folder(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelMissing, match="There is no model folder"):
        open_folder(tmp_path / "file")
    with pytest.raises(ModelMissing, match="is not a model folder"):
        open_folder(tmp_path)
    make_transformer(tmp_path / "snapshots" / "5617a9f", MADE)
    with pytest.raises(ModelMissing, match=r"Did you mean .*snapshots/5617a9f"):
        open_folder(tmp_path)


@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_a_half_copied_pytorch_file_is_refused(tmp_path: Path, share: float) -> None:
    """A cut pytorch_model.bin, wherever it was cut."""
    make_bge_m3(tmp_path)
    cut(tmp_path / "pytorch_model.bin", share)
    with pytest.raises(ModelDamaged, match=r"pytorch_model\.bin is cut short"):
        open_folder(tmp_path)


def test_what_pytorch_saved_is_read() -> None:
    """`saved_by_torch.pt`, written by torch 2.13 (`torch.save(nn.Linear(4, 1).half().state_dict())`), holds this."""
    tensors = {name: one.read().tolist() for name, one in read_weights((HERE / "saved_by_torch.pt",)).tensors.items()}
    assert tensors == {
        "weight": [[-0.495849609375, -0.170166015625, 0.110595703125, -0.4873046875]],
        "bias": [0.0298919677734375],
    }


@pytest.mark.parametrize("wanted", ["posix\nsystem", "builtins\neval", "torch\nload", "collections\nCounter"])
def test_a_file_that_asks_for_more_than_tensors_is_refused(tmp_path: Path, wanted: str) -> None:
    """A pickle that calls anything else is refused before it is called."""
    proof = tmp_path / "proof"
    call = f"c{wanted}\n(X".encode() + len(f"touch {proof}").to_bytes(4, "little") + f"touch {proof}".encode() + b"tR0"
    save_torch(tmp_path / "weights.bin", {"a": np.zeros(2, np.float32)}, first=call)
    with pytest.raises(ValueError, match="which has no place among weights"):
        read_torch_file(tmp_path / "weights.bin")
    assert not proof.exists()


def test_a_matrix_stored_by_columns_is_refused(tmp_path: Path) -> None:
    """Tensors whose numbers do not lie row by row would be read wrongly."""
    save_torch(tmp_path / "weights.bin", {"a": np.zeros((3, 4), np.float32).T})
    with pytest.raises(ValueError, match="row by row"):
        read_torch_file(tmp_path / "weights.bin")


def test_the_vocabularies_of_these_tests_fit() -> None:
    """The made tokenizer has the special ids of XLM-RoBERTa, so that the cases above test what they say."""
    assert [unigram().token_to_id(token) for token in ("<s>", "<pad>", "</s>", "<unk>")] == [0, 1, 2, 3]
