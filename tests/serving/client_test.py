import concurrent.futures
import pathlib
import socket
import subprocess
import sys
import threading

import grpc
import numpy as np
import pytest

from sperm_tf.data.decode import decode_rgb
from sperm_tf.serving import client
from sperm_tf.serving.prediction import Prediction
from tests import helpers, image_files
from tests.serving.conftest import CLASS_NAMES
from tests.serving.protocol_double import Backend, serve_rest


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global draw_overlay, predict_pb2, prediction_service_pb2_grpc, tf
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    from sperm_tf.explain.overlay import draw_overlay


pytestmark = pytest.mark.integration

IMAGES = [image_files.encode(image_files.random_pixels(seed=seed), "PNG") for seed in range(2)] + [b"garbage"]
OTHER_MODEL = b'HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{"predictions": [[0.1]]}'


@pytest.fixture(scope="module")
def backend(exported):
    return Backend(exported.path)


@pytest.fixture(scope="module")
def rest_target(backend):
    with serve_rest(backend) as target:
        yield target


@pytest.fixture(scope="module")
def grpc_target(backend):
    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            spec = request.model_spec
            choice = spec.version.value if spec.HasField("version") else spec.version_label or None
            files = tf.make_ndarray(request.inputs["image_bytes"])
            try:
                outputs = backend.answer(spec.name, choice, spec.signature_name, files)
            except LookupError as error:
                context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            response = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None)


@pytest.fixture(params=client.TRANSPORTS)
def connection(request):
    return {"transport": request.param, "target": request.getfixturevalue(f"{request.param}_target")}


def test_predictions_are_those_of_the_saved_model(connection, backend, tmp_path):
    path = tmp_path / "image.bmp"
    path.write_bytes(IMAGES[0])
    predictions = client.predict([path, *IMAGES[1:]], model_name="sperm", **connection)
    expected = backend.signatures["serving_default"](image_bytes=tf.constant(IMAGES))
    assert [prediction.status for prediction in predictions] == ["ok", "ok", "unknown_format"]
    for row, prediction in enumerate(predictions[:2]):
        assert prediction.predicted_class == expected["predicted_class"].numpy()[row].decode()
        assert list(prediction.probabilities) == CLASS_NAMES and prediction.maps == {}
        np.testing.assert_allclose(list(prediction.probabilities.values()), expected["probabilities"][row], rtol=1e-6)
        members = [name for name, belongs in zip(CLASS_NAMES, expected["prediction_set"][row], strict=True) if belongs]
        assert prediction.prediction_set == tuple(members)
        assert (prediction.decision, prediction.reason) == (
            expected["decision"].numpy()[row].decode(),
            expected["reason"].numpy()[row].decode(),
        )
        assert prediction.unfamiliarity == pytest.approx(float(expected["unfamiliarity"][row]), rel=1e-6)
    assert predictions[2] == Prediction("", "unknown_format", "", {}, (), "refer", "unreadable", 0.0, {})
    assert [prediction.file for prediction in predictions] == [str(path), "", ""]


@pytest.mark.parametrize(
    ("signature", "more"), [("explain", set()), ("explain_classes", {"grad_cam_plus_plus_per_class"})]
)
def test_explanations_carry_their_maps(connection, backend, signature, more):
    predictions = client.predict(IMAGES, model_name="sperm", signature=signature, **connection)
    expected = backend.signatures[signature](image_bytes=tf.constant(IMAGES))
    for row, prediction in enumerate(predictions):
        assert set(prediction.maps) == {"layer_integrated_gradients", "grad_cam_plus_plus", "cbam_attention"} | more
        for name, value in prediction.maps.items():
            assert value.dtype == np.float32
            np.testing.assert_allclose(value, expected[name][row], rtol=1e-6)


@pytest.mark.parametrize(("choice", "version"), [({}, 2), ({"version": 1}, 1), ({"label": "canary"}, 2)])
def test_a_version_is_chosen_by_number_or_label(connection, backend, choice, version):
    client.predict(IMAGES[:1], model_name="sperm", **choice, **connection)
    assert backend.asked[-1] == (version, "serving_default")


def test_many_images_are_asked_in_requests_of_8_and_answered_in_order(connection, backend):
    images = [image_files.encode(image_files.random_pixels(16, 16, seed=seed), "PNG") for seed in range(20)]
    images[10] = b"garbage"
    backend.sizes.clear()
    predictions = client.predict(images, model_name="sperm", **connection)
    assert backend.sizes == [8, 8, 4]
    expected = backend.signatures["serving_default"](image_bytes=tf.constant(images))["probabilities"].numpy()
    assert len({tuple(row) for row in expected}) == 20  # so that another order would show
    assert [index for index, prediction in enumerate(predictions) if prediction.status != "ok"] == [10]
    answered = [list(prediction.probabilities.values()) or [0, 0, 0] for prediction in predictions]
    np.testing.assert_allclose(answered, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("signature", ["explain", "explain_classes"])
def test_maps_are_asked_for_a_few_images_at_a_time(connection, backend, signature):
    images = [image_files.encode(image_files.random_pixels(16, 16, seed=seed), "PNG") for seed in range(6)]
    backend.sizes.clear()
    assert len(client.predict(images, model_name="sperm", signature=signature, **connection)) == 6
    assert backend.sizes == [4, 2]


def test_http_is_what_a_rest_target_without_scheme_means(rest_target):
    target = rest_target.removeprefix("http://")
    assert "://" not in target
    expected = client.predict(IMAGES, target=rest_target, model_name="sperm")
    assert client.predict(IMAGES, target=target, model_name="sperm") == expected


def test_no_images_ask_no_server():
    assert client.predict([], target="http://127.0.0.1:1", model_name="sperm") == []


@pytest.mark.parametrize("choice", [{}, {"version": 7}, {"label": "beta"}], ids=str)
def test_an_unknown_model_is_named(connection, choice):
    name = "sperm" if choice else "other"
    with pytest.raises(client.ServingError, match=f"model '{name}'.* at .*refused with .*not found.*[Cc]heck"):
        client.predict(IMAGES, model_name=name, **choice, **connection)


@pytest.mark.parametrize("transport", client.TRANSPORTS)
def test_an_absent_server_is_named(transport):
    target = "http://127.0.0.1:9" if transport == "rest" else "127.0.0.1:9"
    with pytest.raises(client.ServingError, match=r"model 'sperm' at .*127\.0\.0\.1:9.*Check"):
        client.predict(IMAGES, target=target, model_name="sperm", transport=transport, timeout_s=5)


@pytest.mark.parametrize("answer", [b"\0\0\x06\x04", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", OTHER_MODEL])
def test_a_server_that_answers_something_else_is_named(answer):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply():
            connection, _ = server.accept()
            connection.recv(1 << 20)
            connection.sendall(answer)
            connection.close()

        thread = threading.Thread(target=reply)
        thread.start()
        with pytest.raises(client.ServingError, match="model 'sperm'"):
            client.predict(IMAGES[:1], target=f"127.0.0.1:{server.getsockname()[1]}", model_name="sperm", timeout_s=5)
        thread.join()


def test_a_slow_server_runs_out_of_time(connection):
    with pytest.raises(client.ServingError, match=r"Check .* more time with timeout_s"):
        client.predict(IMAGES, model_name="slow", timeout_s=0.3, **connection)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"signature": "classify"}, "signature must be one of serving_default, explain"),
        ({"transport": "smtp"}, "transport must be one of rest, grpc"),
        ({"version": 1, "label": "stable"}, "version or label must be None"),
    ],
)
def test_invalid_arguments_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        client.predict(IMAGES, target="http://127.0.0.1:9", model_name="sperm", **changed)


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match=r"pip install grpcio tensorflow-serving-api"):
        client.predict(IMAGES, target="127.0.0.1:9", model_name="sperm", transport="grpc")


def test_the_command_line_prints_a_table(rest_target, tmp_path):
    names = ["one.png", "broken.png"]
    for name, content in zip(names, IMAGES[1:], strict=True):
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-m", "sperm_tf.serving.client", f"--target={rest_target}", "--model_name=sperm"]
    done = subprocess.run(
        [*command, *(str(tmp_path / name) for name in names)],
        cwd=helpers.ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and len(lines) == 2, done.stderr
    assert pathlib.Path(lines[0].split()[0]).name == "one.png" and "%" in lines[0]
    assert lines[1].endswith("not read: unknown_format")


def test_a_file_that_is_not_there_leaves_its_neighbours_unharmed(connection, backend, tmp_path, capsys):
    backend.sizes.clear()
    files = [tmp_path / "absent.png", IMAGES[0], tmp_path]
    with pytest.raises(FileNotFoundError, match=r"absent\.png', which does not exist and 1 more of 2 paths"):
        client.predict(files, model_name="sperm", **connection)
    assert not backend.sizes, "nobody was asked"
    found = client.predict(files, model_name="sperm", errors="rows", **connection)
    assert [prediction.status for prediction in found] == ["unreadable", "ok", "unreadable"]
    assert found[0] == Prediction(str(tmp_path / "absent.png"), "unreadable") and backend.sizes == [1]
    assert client.predict([IMAGES[0]], model_name="sperm", **connection)[0] == found[1]
    arguments = [f"--{name}={value}" for name, value in connection.items()]
    assert client.main([*arguments, "--model_name=sperm", "absent.png"]) == 1
    assert capsys.readouterr().out == "absent.png  refer (unreadable)      not read: unreadable\n"


def test_the_command_line_draws_the_maps_of_what_was_read(rest_target, tmp_path, capsys):
    for name, content in zip(["one.png", "broken.png"], IMAGES[1:], strict=True):
        (tmp_path / name).write_bytes(content)
    folder = tmp_path / "new" / "overlays"
    paths = [str(tmp_path / name) for name in ("broken.png", "one.png")]
    arguments = [f"--target={rest_target}", "--model_name=sperm", f"--overlays={folder}"]
    assert client.main([*arguments, *paths]) == 1
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert [path.name for path in folder.iterdir()] == ["002_one.png"]
    shown = client.predict([IMAGES[1]], target=rest_target, model_name="sperm", signature="explain")[0].maps
    pixels = decode_rgb(IMAGES[1]).pixels
    drawn = draw_overlay(pixels, shown["layer_integrated_gradients"])
    np.testing.assert_array_equal(decode_rgb((folder / "002_one.png").read_bytes()).pixels, np.hstack([pixels, drawn]))


def test_maps_that_cannot_be_drawn_lose_no_answer(rest_target, tmp_path, capsys, monkeypatch):
    long = tmp_path / f"{'n' * 250}.png"
    long.write_bytes(IMAGES[1])
    arguments = [f"--target={rest_target}", "--model_name=sperm", f"--overlays={tmp_path / 'overlays'}", str(long)]
    assert client.main(arguments) == 0
    assert [path.name for path in (tmp_path / "overlays").iterdir()] == [f"001_{'n' * 80}.png"]
    monkeypatch.setattr(client, "SHOWN_MAP", "map_of_tomorrow")
    capsys.readouterr()
    assert client.main(arguments) == 2
    captured = capsys.readouterr()
    assert long.name in captured.out and "must serve the map 'map_of_tomorrow'" in captured.err


def test_the_rest_client_imports_no_tensorflow():
    code = "import sys, sperm_tf.serving.client; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=helpers.ROOT, timeout=60).returncode == 0
