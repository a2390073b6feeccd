"""BGE-M3: 1,024 dimensions, 8,192 tokens, a hundred languages, and the weights of a text's words in the same pass."""

from __future__ import annotations

from pathlib import Path

from deskloom.embedders.folder import open_folder
from deskloom.embedders.models import Hub, Model, missing
from deskloom.embedders.onnx import OnnxEmbedder
from deskloom.embedders.weighing import WeighingEmbedder

# MIT licence. The digests are those that the hub lists for this revision; several public projects pin the same ones.
BGE_M3 = Model(
    name="bge-m3",
    origin=Hub("BAAI/bge-m3", "5617a9f61b028005a4858fdac845db406aefb181"),
    size=2_288_250_266,
    files={
        name: (name, digest)
        for name, digest in {
            "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
            "config.json": "26159e7ad065073448460117eb24b7a4572f6f4e78eadff65dc0a11c052449fa",
            "sentence_bert_config.json": "eb9b44b13c0f52a3b3685c3b1cbdea1ba8b04bea123b98f61610048940776eb1",
            "config_sentence_transformers.json": "1eef72430e7194a1e59680e635aed81ffa083f05668dbc5bb1c56c04c0999c38",
            "1_Pooling/config.json": "e54c164a07274f2eb45bb724f54a79d1efcc90c41573887cd9a29aeee0597352",
            "special_tokens_map.json": "8c785abebea9ae3257b61681b4e6fd8365ceafde980c21970d001e834cf10835",
            "tokenizer_config.json": "a62b2b6784f990259fddef5f16388693a8043be4f69179e6a5257eeb3f9abac4",
            "tokenizer.json": "21106b6d7dab2952c1d496fb21d5dc9db75c28ed361a05f5020bbba27810dd08",
            "sparse_linear.pt": "45c93804d2142b8f6d7ec6914ae23a1eee9c6a1d27d83d908a20d2afb3595ad9",
            "pytorch_model.bin": "b5e0ce3470abf5ef3831aa1bd5553b486803e83251590ab7ff35a117cf6aad38",
        }.items()
    },
)
PUBLISHED = {
    "pytorch_model.bin": (2_271_145_830, BGE_M3.files["pytorch_model.bin"][1]),
    "tokenizer.json": (17_098_108, BGE_M3.files["tokenizer.json"][1]),
    "sparse_linear.pt": (3_516, BGE_M3.files["sparse_linear.pt"][1]),
}
"""Size and sha256 of the files that computation depends on."""


def open_bge_m3(models: Path, *, threads: int = 0) -> OnnxEmbedder | WeighingEmbedder:
    """The model in the folder `bge-m3` of the models folder, in its published layout (or another that
    `folder.open_folder` reads); `ModelMissing` and `ModelDamaged` name the remedy."""
    folder = models / BGE_M3.name
    if not folder.is_dir():
        raise missing(BGE_M3, models)
    return open_folder(folder, threads=threads, published=PUBLISHED)
