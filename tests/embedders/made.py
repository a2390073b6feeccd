"""Small sentence models with random weights, written in exactly the files that published ones have, without torch."""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

TEXT = """The printer is offline again and the volcano on the second floor nobody can log in to the mail server since
this morning although the password has not changed two invoices were sent for order which one is right refund fox"""
WORDS = list(dict.fromkeys(TEXT.lower().split()))
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a model is made with; `family` as its config.json says it."""

    family: str = "xlm-roberta"
    layers: int = 2
    heads: int = 4
    width: int = 32
    inner: int = 64
    positions: int = 514
    activation: str = "gelu"
    epsilon: float = 1e-5
    seed: int = 1
    prefix: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def padding(self) -> int:
        return 0 if self.family == "bert" else 1


BGE_M3 = Made(positions=8194)
"""The layout of BGE-M3 in small."""


def save_json(path: Path, facts: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(facts), encoding="utf-8")


def make_transformer(folder: Path, made: Made, *, half: str = "") -> dict[str, np.ndarray]:
    """config.json, tokenizer.json and model.safetensors; returns the tensors as they are stored, in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = wordpiece() if made.family == "bert" else unigram()
    tokenizer.save(str(folder / "tokenizer.json"))
    save_json(folder / "config.json", config(made, tokenizer.get_vocab_size()))
    tensors = random_tensors(made, tokenizer.get_vocab_size())
    stored = save_safetensors(folder / "model.safetensors", {made.prefix + k: v for k, v in tensors.items()}, half)
    return {name.removeprefix(made.prefix): tensor for name, tensor in stored.items()}


def make_bge_m3(folder: Path, made: Made = BGE_M3) -> dict[str, np.ndarray]:
    """Every file of the published repository but the ONNX export; returns the tensors, those of the sparse layer as
    `sparse.weight` and `sparse.bias`."""
    tensors = make_transformer(folder, made)
    (folder / "model.safetensors").unlink()
    # The published file has the position ids as a buffer of integers, and the layer for words is in half precision.
    save_torch(folder / "pytorch_model.bin", {"embeddings.position_ids": np.arange(made.positions)[None], **tensors})
    rng = np.random.default_rng(made.seed + 1)
    sparse = {
        "weight": rng.normal(size=(1, made.width)).astype(np.float16),
        "bias": np.full(1, 0.05, np.float16),
    }
    save_torch(folder / "sparse_linear.pt", sparse)
    colbert = {"weight": np.eye(made.width, dtype=np.float16), "bias": np.zeros(made.width, np.float16)}
    save_torch(folder / "colbert_linear.pt", colbert)
    save_modules(folder, "cls", normalize=True)
    save_json(folder / "sentence_bert_config.json", {"max_seq_length": made.positions - 2, "do_lower_case": False})
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "cls_token": "<s>", "pad_token": "<pad>"}
    save_json(folder / "special_tokens_map.json", special)
    save_json(folder / "tokenizer_config.json", {**special, "model_max_length": made.positions - 2})
    save_json(folder / "config_sentence_transformers.json", {"__version__": {"pytorch": "2.1.2"}})
    floats = {name: tensor.astype(np.float32) for name, tensor in sparse.items()}
    return tensors | {f"sparse.{name}": tensor for name, tensor in floats.items()}


def save_modules(folder: Path, pooling: str, *, normalize: bool = False, dense: bool = False) -> None:
    """modules.json and 1_Pooling/config.json; `pooling` as in `pooling_mode_{pooling}`, without `_token(s)`."""
    kinds = ["Transformer", "Pooling", *["Dense"] * dense, *["Normalize"] * normalize]
    modules = [
        {
            "idx": place,
            "name": str(place),
            "path": "" if place == 0 else f"{place}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for place, kind in enumerate(kinds)
    ]
    save_json(folder / "modules.json", modules)
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len": "mean_sqrt_len_tokens"}
    modes |= {"lasttoken": "lasttoken"}
    flags = {f"pooling_mode_{mode}": name == pooling for name, mode in modes.items()}
    save_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": 32, **flags})


def config(made: Made, vocabulary: int) -> dict[str, Any]:
    return {
        "model_type": made.family,
        "hidden_act": made.activation,
        "hidden_size": made.width,
        "intermediate_size": made.inner,
        "num_hidden_layers": made.layers,
        "num_attention_heads": made.heads,
        "max_position_embeddings": made.positions,
        "layer_norm_eps": made.epsilon,
        "pad_token_id": made.padding,
        "type_vocab_size": 2 if made.family == "bert" else 1,
        "vocab_size": vocabulary,
        **made.facts,
    }


def random_tensors(made: Made, vocabulary: int) -> dict[str, np.ndarray]:
    """Weights under which attention has preferences, so that one word in thousands can change a vector."""
    rng = np.random.default_rng(made.seed)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return (rng.standard_normal(shape, np.float32) * np.float32(scale)).astype(np.float32)

    def linear(name: str, out: int, into: int, gain: float = 1) -> dict[str, np.ndarray]:
        weight = normal(out, into, scale=gain / into**0.5)
        return {f"{name}.weight": weight, f"{name}.bias": normal(out, scale=0.1)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {
            f"{name}.LayerNorm.weight": 1 + normal(made.width, scale=0.1),
            f"{name}.LayerNorm.bias": normal(made.width, scale=0.1),
        }

    types = 2 if made.family == "bert" else 1
    tensors = {
        "embeddings.word_embeddings.weight": normal(vocabulary, made.width, scale=1),
        "embeddings.position_embeddings.weight": normal(made.positions, made.width, scale=0.1),
        "embeddings.token_type_embeddings.weight": normal(types, made.width, scale=0.1),
        **norm("embeddings"),
    }
    for layer in range(made.layers):
        name = f"encoder.layer.{layer}"
        for part, gain in (("query", 2.5), ("key", 2.5), ("value", 1)):
            tensors |= linear(f"{name}.attention.self.{part}", made.width, made.width, gain)
        tensors |= linear(f"{name}.attention.output.dense", made.width, made.width)
        tensors |= norm(f"{name}.attention.output")
        tensors |= linear(f"{name}.intermediate.dense", made.inner, made.width)
        tensors |= linear(f"{name}.output.dense", made.width, made.inner)
        tensors |= norm(f"{name}.output")
    tensors["pooler.dense.weight"] = normal(made.width, made.width, scale=1)
    return tensors


def unigram() -> Tokenizer:
    """A tokenizer of XLM-RoBERTa's kind: known words whole, every other character by itself, the rest unknown."""
    letters = [chr(code) for code in range(33, 127)]
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -6.0)]
    pieces += [(f"▁{word}", -2.0) for word in WORDS] + [(letter, -8.0) for letter in letters]
    pieces += [(letter, -8.0) for letter in "가나다프린터가오라인으로표시됩니다"] + [("<mask>", 0.0)]
    pieces = list(dict(pieces).items())
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("\n", " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def wordpiece() -> Tokenizer:
    """A tokenizer of BERT's kind, which moreover cuts and pads at 128, as some published files do."""
    letters = [chr(code) for code in range(33, 127) if not 65 <= code <= 90]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {token: place for place, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=600))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_truncation(128)
    tokenizer.enable_padding(length=128)
    return tokenizer


def save_safetensors(file: Path, tensors: Arrays, half: str = "") -> dict[str, np.ndarray]:
    """Writes the format of safetensors; `half`: F16 or BF16. Returns what was kept of the numbers."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    body, kept = bytearray(), {}
    for name, tensor in tensors.items():
        raw, kept[name] = _stored(tensor, half)
        header[name] = {
            "dtype": half or "F32",
            "shape": list(tensor.shape),
            "data_offsets": [len(body), len(body) + len(raw)],
        }
        body += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return kept


def _stored(tensor: np.ndarray, half: str) -> tuple[bytes, np.ndarray]:
    if half == "F16":
        short = tensor.astype("<f2")
        return short.tobytes(), short.astype(np.float32)
    if half == "BF16":
        bits = tensor.astype("<f4").view("<u4") >> 16
        return bits.astype("<u2").tobytes(), (bits << 16).astype("<u4").view("<f4")
    return tensor.astype("<f4").tobytes(), tensor.astype(np.float32)


def save_torch(file: Path, tensors: Arrays, *, first: bytes = b"") -> None:
    """Writes what `torch.save` makes of a state dictionary (`saved_by_torch.pt` is a real one). `first`: opcodes that
    the pickle begins with, for files that want more than tensors."""
    kinds = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}
    pickled = bytearray(b"\x80\x02" + first + b"ccollections\nOrderedDict\n)R(")
    for key, (name, tensor) in enumerate(tensors.items()):
        pickled += _text(name) + b"ctorch._utils\n_rebuild_tensor_v2\n((" + _text("storage")
        pickled += b"ctorch\n" + kinds[tensor.dtype.name].encode() + b"\n" + _text(str(key)) + _text("cpu")
        pickled += _number(tensor.size) + b"tQK\x00" + _tuple(tensor.shape)
        pickled += _tuple([stride // tensor.itemsize for stride in tensor.strides])
        pickled += b"\x89ccollections\nOrderedDict\n)RtR"
    pickled += b"u}" + _text("_metadata") + b"ccollections\nOrderedDict\n)Rsb."
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", bytes(pickled))
        archive.writestr("archive/byteorder", "little")
        for key, tensor in enumerate(tensors.values()):
            archive.writestr(f"archive/data/{key}", tensor.tobytes())
        archive.writestr("archive/version", "3\n")


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _tuple(numbers: Any) -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"
