#!/usr/bin/env bash
# tensorflow 2.21.0 with keras 3.15.1, tf.lite.TFLiteConverter.from_saved_model; read by ai-edge-litert 2.3.0.
# Guess: a SavedModel of a tf.Module whose function calls a Keras model converts with the model's weights, or the converter
# says that it cannot.
# What happens: it converts without a word, the file is far smaller than the weights, and every prediction is NaN. The
# SavedModel itself, loaded by TensorFlow, predicts right. The same function of a tf.Variable converts with its weight, and
# so does the Keras model once the variables are frozen into the graph.
# Seen: 155,660 bytes of weights; file of 4,596 bytes, predictions NaN; frozen, file of 157,248 bytes, as in TensorFlow.
set -euo pipefail
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check tensorflow==2.21.0 keras==3.15.1 numpy==2.4.6 ai-edge-litert==2.3.0
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - "$folder" 2> /dev/null <<'PYTHON'
import sys

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

folder = sys.argv[1]
pixels = np.full((1, 32, 32, 3), 0.5, np.float32)
keras.utils.set_random_seed(0)
image = keras.Input((32, 32, 3))
maps = keras.layers.Conv2D(64, 3, activation="relu")(image)
maps = keras.layers.Conv2D(64, 3, activation="relu")(maps)
model = keras.Model(image, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(maps)))


class Plain(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable(tf.ones([32 * 32 * 3, 3]) / 3072)

    def __call__(self, images, training=False):
        return tf.reshape(images, [-1, 32 * 32 * 3]) @ self.weight


def predict(content):
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def convert(called, name):
    module = tf.Module()
    module.called = called
    module.answer = tf.function(
        lambda images: {"logits": called(images, training=False)}, input_signature=[tf.TensorSpec([1, 32, 32, 3])]
    )
    tf.saved_model.save(module, f"{folder}/{name}", signatures=module.answer)
    loaded = tf.saved_model.load(f"{folder}/{name}")
    expected = loaded.answer(pixels)["logits"].numpy()
    content = tf.lite.TFLiteConverter.from_saved_model(f"{folder}/{name}").convert()
    return module, expected, content


_, expected, content = convert(Plain(), "plain")
print("tf.Variable:", len(content), "bytes", predict(content))
assert np.allclose(predict(content), expected)

module, expected, content = convert(model, "keras")
num_bytes = 4 * model.count_params()
print("Keras:", num_bytes, "bytes of weights,", len(content), "bytes", predict(content), "TensorFlow", expected)
assert len(content) < num_bytes / 10 and np.isnan(predict(content)).all() and np.isfinite(expected).all()

frozen = convert_variables_to_constants_v2(module.answer.get_concrete_function())
content = tf.lite.TFLiteConverter.from_concrete_functions([frozen], frozen).convert()
print("frozen:", len(content), "bytes", predict(content))
assert len(content) > num_bytes and np.allclose(predict(content), expected, rtol=1e-3, atol=1e-5)
PYTHON
