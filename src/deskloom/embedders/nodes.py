"""Nodes and tensors of an ONNX graph as they are added, over tensors that stay in a model's weight files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from deskloom.embedders.weights import FLOATS, Tensor, Weights, damaged

FUSED = "com.microsoft"  # onnxruntime's own fused operators: a third faster than their standard parts


class Graph:
    """Nodes and tensors as they are added; a tensor of the weights becomes part of the graph when first used."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        # A model hub's cache keeps its files elsewhere and links to them; the runtime follows no links out of a folder.
        self._files = {file: file.resolve() for file in weights.files}
        self.folder = next(iter(self._files.values())).parent
        word = "embeddings.word_embeddings.weight"
        self._prefix = next((name.removesuffix(word) for name in weights.tensors if name.endswith(word)), "")
        self._nodes: list[Any] = []
        self._tensors: dict[str, Any] = {}
        self._values: set[str] = {"ids", "mask"}

    def has(self, value: str) -> bool:
        return value in self._values

    def stores(self, name: str) -> bool:
        return self._prefix + name in self._weights.tensors

    def constant(self, name: str, value: np.ndarray[Any, Any]) -> None:
        self._tensors[name] = numpy_helper.from_array(value, name)
        self._values.add(name)

    def add(self, operator: str, *inputs: str, domain: str = "", output: str = "", **attributes: Any) -> str:
        """Append a node; returns the name of its output."""
        output = output or f"{operator}.{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [output], domain=domain, **attributes))
        self._values.add(output)
        return output

    def split(self, value: str, sizes: str, parts: int) -> list[str]:
        """The parts of the last axis, whose sizes a constant holds."""
        outputs = [f"Split.{len(self._nodes)}.{part}" for part in range(parts)]
        self._nodes.append(helper.make_node("Split", [value, sizes], outputs, axis=-1))
        return outputs

    def choose(self, condition: str, operator: str, yes: Sequence[str], no: Sequence[str], **attributes: Any) -> str:
        """One fused operator, with these inputs or those."""
        branches = {}
        for branch, inputs in (("then_branch", yes), ("else_branch", no)):
            name = f"{branch}.{len(self._nodes)}"
            node = helper.make_node(operator, list(inputs), [name], domain=FUSED, **attributes)
            made = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
            branches[branch] = helper.make_graph([node], name, [], [made])
        return self.add("If", condition, **branches)

    def transposed(self, matrix: str) -> str:
        """PyTorch keeps linear weights as (out, in); MatMul wants (in, out)."""
        return self.add("Transpose", matrix, perm=[1, 0])

    def tensor(self, name: str, shape: tuple[int | None, ...]) -> str:
        """A stored tensor as float32; None in `shape` stands for any size."""
        if name in self._values:
            return name
        stored = self._weights.tensors.get(self._prefix + name)
        file = stored.file if stored else self._weights.files[0]
        if stored is None:
            raise damaged(file, f"lacks the tensor {name}, which its config.json implies")
        fits = len(shape) == len(stored.shape) and all(
            want in (None, size) for want, size in zip(shape, stored.shape, strict=True)
        )
        if not fits or stored.dtype not in FLOATS:
            wanted = "×".join("any" if size is None else str(size) for size in shape)
            found = "×".join(map(str, stored.shape))
            raise damaged(
                file,
                f"holds the tensor {name} as {found} {stored.dtype}, where config.json implies {wanted} in floats",
                "Put the weights and the config.json of one model in the folder.",
            )
        self._values.add(name)
        half = {"F16": TensorProto.FLOAT16, "BF16": TensorProto.BFLOAT16}.get(stored.dtype)
        if half is None:
            self._tensors[name] = self._external(name, stored, TensorProto.FLOAT)
        else:
            self._tensors[name] = self._external(f"{name}.half", stored, half)
            self.add("Cast", f"{name}.half", to=TensorProto.FLOAT, output=name)
        return name

    def serialize(self, outputs: Mapping[str, tuple[str, str]]) -> bytes:
        batch: Sequence[str] = ("batch", "length")
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info(name, TensorProto.INT64, batch) for name in ("ids", "mask")],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, axes) for name, axes in outputs.items()],
            list(self._tensors.values()),
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(FUSED, 1)]
        return bytes(helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString())

    def _external(self, name: str, stored: Tensor, kind: int) -> Any:
        tensor = TensorProto(name=name, data_type=kind, dims=stored.shape)
        tensor.data_location = TensorProto.EXTERNAL
        where = {
            "location": self._files[stored.file].name,
            "offset": stored.offset,
            "length": stored.length,
        }
        for key, value in where.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor
