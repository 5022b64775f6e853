"""Requests that TensorFlow Serving replays when it loads a model, so that its first caller does not wait.

Source: https://www.tensorflow.org/tfx/serving/saved_model_warmup.
"""

from __future__ import annotations

import pathlib

import tensorflow as tf

from sperm_tf.served_names import INPUT_NAMES, SERVING_EXAMPLES

WARMUP_FILE = pathlib.PurePath("assets.extra", "tf_serving_warmup_requests")
MAX_REQUESTS = 1000
"""TensorFlow Serving refuses a model with more."""


def write_warmup_requests(directory: str | pathlib.Path, images: list[bytes]) -> pathlib.Path:
    """Adds warm-up requests to a SavedModel: to each signature every image alone, then all of them in one batch.

    The requests name no model: a model is exported before anyone knows the name it is served under, and TensorFlow
    Serving replays the requests against the model that carries them.

    Args:
        directory: of a SavedModel written by `sperm_tf.serving.export.export_saved_model`.
        images: the bytes of typical image files.

    Returns:
        The file that was written, a TFRecord of `PredictionLog`.

    Raises:
        ImportError: `tensorflow-serving-api` is not installed.
        ValueError: there is no SavedModel, no image, or the requests would be more than `MAX_REQUESTS`.
    """
    log_pb2 = _import_prediction_log()
    directory = pathlib.Path(directory)
    if not (directory / "saved_model.pb").is_file():
        raise ValueError(
            f"directory must hold a SavedModel. Received: directory={str(directory)!r} without saved_model.pb. "
            "Call sperm_tf.serving.export.export_saved_model first"
        )
    batches = [[image] for image in images] + ([list(images)] if len(images) > 1 else [])
    num_requests = len(batches) * len(INPUT_NAMES)
    if not 0 < num_requests <= MAX_REQUESTS:
        raise ValueError(
            f"images must make 1 to {MAX_REQUESTS} requests. Received: {len(images)} images, {num_requests} requests. "
            "A handful of images is enough"
        )
    path = directory / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, input_name in INPUT_NAMES.items():
            for batch in batches:
                rows = [_to_example(image) for image in batch] if signature == SERVING_EXAMPLES else batch
                log = log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.signature_name = signature
                request.inputs[input_name].CopyFrom(tf.make_tensor_proto(rows, dtype=tf.string))
                writer.write(log.SerializeToString())
    return path


def _to_example(image):
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[image]))
    return tf.train.Example(features=tf.train.Features(feature={"image": feature})).SerializeToString()


def _import_prediction_log():
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError as error:
        raise ImportError(
            "warm-up requests need the package tensorflow-serving-api. Install it: pip install tensorflow-serving-api"
        ) from error
    return prediction_log_pb2
