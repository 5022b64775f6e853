"""Kernels of an ONNX graph in half precision, where that loses nothing.

Released weights are in half precision. In the graph each kernel is multiplied by the factor of the BatchNormalization
behind it, and the product needs 32 bits; kernel and factor apart need little more than 16. Runtimes multiply them once,
when they open the graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_MIN_VALUES = 1024  # of a kernel; smaller ones are not worth two more nodes
_ROUNDING = 5e-7  # relative; a product of two float32 numbers is rounded by at most 6e-8


def halve_kernels(graph: Any, kernels: Sequence[np.ndarray]) -> None:
    """Replaces float32 kernels of convolutions by half-precision kernel times float32 factor, where these give them.

    Args:
        graph: `onnx.GraphProto`; it is changed.
        kernels: of the network, float32 [h, w, in, out] or, depthwise, [h, w, channels, 1].
    """
    from onnx import TensorProto, helper, numpy_helper

    known: dict[tuple[int, ...], list[np.ndarray]] = {}
    for kernel in kernels:
        rows = kernel.transpose(2, 3, 0, 1) if kernel.shape[3] == 1 else kernel.transpose(3, 2, 0, 1)
        if kernel.size >= _MIN_VALUES and np.array_equal(rows, rows.astype(np.float16)):
            known.setdefault(rows.shape, []).append(rows)
    nodes = []
    for tensor in list(graph.initializer):
        for rows in known.get(tuple(tensor.dims), ()):
            factors = _find_factors(numpy_helper.to_array(tensor), rows)
            if factors is None:
                continue
            name = tensor.name
            graph.initializer.remove(tensor)
            graph.initializer.append(numpy_helper.from_array(rows.astype(np.float16), f"{name}/half"))
            graph.initializer.append(numpy_helper.from_array(factors, f"{name}/factors"))
            nodes.append(helper.make_node("Cast", [f"{name}/half"], [f"{name}/kernel"], to=TensorProto.FLOAT))
            nodes.append(helper.make_node("Mul", [f"{name}/kernel", f"{name}/factors"], [name]))
            break
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *others])


def _find_factors(values: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Factor of each output channel, float32 [out, 1, 1, 1]; None where no factors make `values` of `rows`."""
    if values.dtype != np.float32:
        return None
    flat, known = values.reshape(len(values), -1).astype(np.float64), rows.reshape(len(rows), -1).astype(np.float64)
    energy = (known**2).sum(axis=1)
    factors = ((flat * known).sum(axis=1) / np.where(energy > 0, energy, 1)).astype(np.float32)
    product = rows * factors[:, None, None, None]
    return factors[:, None, None, None] if np.allclose(product, values, rtol=_ROUNDING, atol=0) else None
