"""Kernels in half precision: the graph computes what it did, and holds no more than it needs."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sperm_tf.runtimes.half_kernels import halve_kernels


def _model(values, group):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, 8, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "channels", "height", "width"])
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=group)
    graph = helper.make_graph([node], "g", [x], [y], [numpy_helper.from_array(values, "w")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _run(model):
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.random.default_rng(1).normal(size=(1, 32, 8, 8)).astype(np.float32)})[0]


@pytest.mark.parametrize(("shape", "group"), [((1, 1, 32, 64), 1), ((7, 7, 32, 1), 32)], ids=["full", "depthwise"])
@pytest.mark.parametrize("is_half", [True, False])
def test_the_output_stays_and_kernels_of_half_precision_shrink(shape, group, is_half):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=shape).astype(np.float16 if is_half else np.float32).astype(np.float32)
    rows = kernel.transpose((2, 3, 0, 1) if group > 1 else (3, 2, 0, 1))
    model = _model(rows * rng.uniform(0.1, 3, (len(rows), 1, 1, 1)).astype(np.float32), group)
    before, size = _run(model), len(model.SerializeToString())
    other = kernel[:, :, ::-1].copy()  # of the same shape, and tried first
    halve_kernels(model.graph, [other, kernel])
    np.testing.assert_allclose(_run(model), before, rtol=1e-5, atol=1e-5)
    assert (len(model.SerializeToString()) < 0.7 * size) == is_half
