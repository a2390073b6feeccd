"""A model's tokenizer as its folder holds it."""

from __future__ import annotations

from pathlib import Path

from tokenizers import Tokenizer, normalizers

from deskloom.embedders.weights import damaged, refuse_pointer
from deskloom.errors import ModelMissing

_SOURCES = ("sentencepiece.bpe.model", "spiece.model", "tokenizer.model", "vocab.txt", "vocab.json")


def load_tokenizer(folder: Path, *, lower: bool = False) -> Tokenizer:
    """`tokenizer.json`, neither cutting nor padding; `lower`: of texts in lower case.

    `ModelMissing` if there is none, `ModelDamaged` if it cannot be read.
    """
    file = folder / "tokenizer.json"
    if not file.is_file():
        older = next((name for name in _SOURCES if (folder / name).exists()), None)
        raise ModelMissing(
            f"{folder} holds no tokenizer.json"
            + (
                f", only the older {older}. Convert it where transformers is installed: "
                if older
                else ". With it, use "
            )
            + f"AutoTokenizer.from_pretrained({str(folder)!r}).save_pretrained({str(folder)!r})",
            folder=str(folder),
        )
    refuse_pointer(file)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing more specific
        raise damaged(file, "is not a tokenizer") from error
    # The file of MiniLM cuts at 128 tokens and pads everything to 128 (VECTORS §2.1); neither may happen here.
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if lower:
        rest = [tokenizer.normalizer] if tokenizer.normalizer else []
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *rest])
    return tokenizer
