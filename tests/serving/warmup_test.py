import sys

import numpy as np
import pytest

from sperm_tf.serving import client
from tests import image_files
from tests.serving.conftest import CLASS_NAMES, IMAGE_SIZE

pytestmark = pytest.mark.slow


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global export_saved_model, predict_pb2, prediction_log_pb2, tf, tiny_models, warmup
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    from sperm_tf.serving import warmup
    from sperm_tf.serving.export import export_saved_model
    from tests import tiny_models


IMAGES = [
    image_files.encode(image_files.random_pixels(seed=seed), file_format)
    for seed, file_format in enumerate(["PNG", "BMP", "JPEG"])
]


def test_the_requests_parse_and_the_saved_model_answers_them(tmp_path):
    directory = tmp_path / "1"
    export_saved_model(tiny_models.build(), directory, class_names=CLASS_NAMES, image_size=IMAGE_SIZE)
    path = warmup.write_warmup_requests(directory, IMAGES)
    assert path == directory / "assets.extra" / "tf_serving_warmup_requests"
    signatures = tf.saved_model.load(str(directory)).signatures
    asked = []
    for record in tf.data.TFRecordDataset(str(path)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        answer = signatures[request.model_spec.signature_name](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        assert set(answer["status"].numpy()) == {b"ok"}
        assert request.model_spec.name == ""  # nobody knows yet under which name it is served
        asked.append((request.model_spec.signature_name, answer["status"].shape[0]))
    names = ("serving_default", "serving_examples", "explain", "explain_classes")
    assert sorted(asked) == sorted((name, size) for name in names for size in (1, 1, 1, 3))


def test_a_request_and_its_response_round_trip_through_the_protos(exported):
    request = predict_pb2.PredictRequest()
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([*IMAGES, b"no image"]))
    request = predict_pb2.PredictRequest.FromString(request.SerializeToString())
    explain = tf.saved_model.load(str(exported.path)).signatures["explain"]
    outputs = explain(image_bytes=tf.constant(tf.make_ndarray(request.inputs["image_bytes"])))
    response = predict_pb2.PredictResponse()
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    response = predict_pb2.PredictResponse.FromString(response.SerializeToString())
    predictions = client.parse_response(response)
    assert [prediction.status for prediction in predictions] == ["ok", "ok", "ok", "unknown_format"]
    for row, prediction in enumerate(predictions[:3]):
        assert list(prediction.probabilities) == CLASS_NAMES
        np.testing.assert_allclose(list(prediction.probabilities.values()), outputs["probabilities"][row])
        np.testing.assert_array_equal(prediction.maps["cbam_attention"], outputs["cbam_attention"][row])
    assert predictions[3].probabilities == {} and predictions[3].predicted_class == ""


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install tensorflow-serving-api"):
        warmup.write_warmup_requests(tmp_path, IMAGES)


def test_invalid_arguments_are_refused(exported, tmp_path):
    with pytest.raises(ValueError, match="directory must hold a SavedModel"):
        warmup.write_warmup_requests(tmp_path, IMAGES)
    for images in ([], IMAGES[:1] * 333):
        with pytest.raises(ValueError, match="images must make 1 to 1000 requests"):
            warmup.write_warmup_requests(exported.path, images)
    assert not (exported.path / "assets.extra" / "tf_serving_warmup_requests").exists()
