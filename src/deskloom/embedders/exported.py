"""Opening an ONNX export of a model: that it is whole, and which of its outputs is the vector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from deskloom.embedders.encoders import ExportedEncoder, Reading
from deskloom.embedders.layout import Layout
from deskloom.embedders.onnx import load_session
from deskloom.embedders.weights import damaged, refuse_pointer
from deskloom.errors import SettingInvalid

_PLACES = ("onnx/model.onnx", "model.onnx")
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids", "position_ids"})
_POOLED = ("sentence_embedding", "sentence_embeddings", "dense_vecs")
_TOKENS = ("token_embeddings", "last_hidden_state")
_OTHER = ("pooler_output", "logits", "sparse_vecs", "colbert_vecs")
"""Outputs that have the rank of a vector, or of tokens, and are neither."""
_TOGETHER = frozenset({"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"})
"""Operators that scale a batch by its largest value, so that one text changes another's vector (E2)."""


def export_files(folder: Path) -> tuple[Path, ...]:
    """The graph's file and those of its tensors, all checked to be there and whole; none if there is no export."""
    file = next((folder / place for place in _PLACES if (folder / place).exists()), None)
    if file is None:
        return ()
    model = _parse(file)
    needed: dict[Path, int] = {}
    for tensor in _tensors(model.graph):
        if uses_external_data(tensor):
            info = ExternalDataInfo(tensor)
            data = file.parent / info.location
            needed[data] = max(needed.get(data, 0), (info.offset or 0) + (info.length or 0))
    for data, size in needed.items():
        if not data.is_file():
            raise damaged(file, f"names {data.name} beside it, which is missing")
        refuse_pointer(data)
        if data.stat().st_size < size:
            raise damaged(data, f"has {data.stat().st_size} bytes of at least {size}: it was not copied whole")
    return (file, *sorted(needed))


def open_export(file: Path, layout: Layout, *, padding: int, threads: int = 0) -> ExportedEncoder:
    """Raises `SettingInvalid` for a graph that is not a text encoder, `ModelDamaged` for one that cannot be loaded."""
    try:
        session = load_session(str(file), threads=threads)
    except Exception as error:  # onnxruntime has a dozen exceptions for a bad file, all beside the standard ones
        raise damaged(file, "cannot be loaded by onnxruntime") from error
    alone = any(node.op_type in _TOGETHER for node in _nodes(_parse(file).graph))
    for one in session.get_inputs():
        if one.name not in _INPUTS:
            raise _refused(file, f'asks for the input "{one.name}"')
        if len(one.shape) != 2 or isinstance(one.shape[1], int):
            raise _refused(file, f"was exported for texts of one length ({one.name}: {one.shape})")
        alone = alone or one.shape[0] == 1
    return ExportedEncoder(session, _reading(file, session, layout), alone=alone, padding=padding)


def _reading(file: Path, session: Any, layout: Layout) -> Reading:
    ranks = {one.name: len(one.shape) for one in session.get_outputs() if "float" in one.type}
    tokens = [name for name in _TOKENS if ranks.get(name) == 3]
    tokens += [name for name, rank in ranks.items() if rank == 3 and name not in (*_TOKENS, *_OTHER)]
    pooled = [name for name in _POOLED if ranks.get(name) == 2]
    if tokens and (layout.sparse is not None or not pooled):
        return Reading(output=tokens[0], tokens=True, pooling=layout.pooling, dense=layout.dense, sparse=layout.sparse)
    if layout.sparse is not None:
        raise _refused(file, "has no output with the tokens' vectors, by which words are weighed")
    pooled += [name for name, rank in ranks.items() if rank == 2 and name not in (*_POOLED, *_OTHER)]
    if not pooled:
        raise _refused(file, f"has no output that is a vector of the text (it has {', '.join(ranks) or 'none'})")
    return Reading(output=pooled[0], tokens=False, pooling=layout.pooling)


def _parse(file: Path) -> Any:
    refuse_pointer(file)
    try:
        model = onnx.load(str(file), load_external_data=False)
    except Exception as error:  # protobuf's own
        raise damaged(file, "is cut short or not an ONNX model") from error
    if not model.graph.node:
        raise damaged(file, "is cut short or not an ONNX model")
    return model


def _nodes(graph: Any) -> Iterator[Any]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in _nodes(graph):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from attribute.g.initializer


def _refused(file: Path, why: str) -> SettingInvalid:
    return SettingInvalid(
        f"{file} {why}. Export the encoder with dynamic axes, input_ids and attention_mask as inputs, and "
        "last_hidden_state or sentence_embedding as output.",
        setting="DESKLOOM_EMBEDDER",
    )
