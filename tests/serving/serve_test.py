"""`python -m sperm_tf.serving.serve`, a process of its own, against the double of TensorFlow Serving."""

import base64
import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import urllib.parse

import numpy as np
import pytest

from sperm_tf.serving import client, serve
from tests import helpers, image_files
from tests.serving.conftest import CLASS_NAMES
from tests.serving.protocol_double import Backend, serve_rest
from tests.serving.server import running
from tests.serving.server.app_test import PREDICT, instances, v2, wait_until
from tests.serving.server.running import call

pytestmark = pytest.mark.integration
PNGS = [image_files.encode(image_files.random_pixels(seed=seed), "PNG") for seed in range(5)]
FILES = [*PNGS, b"", b"no image", PNGS[0][:200]]
CLOSE = {"rtol": 3e-3, "atol": 1e-3}  # another decoder: a pixel may be a grey level off


@pytest.fixture(scope="session")
def serving_base(exported, tmp_path_factory):
    """`sperm`, versions 1 and 2: the same SavedModel, with an ONNX graph; read only."""
    from sperm_tf.serving.classifier import Classifier

    base = tmp_path_factory.mktemp("serving")
    shutil.copytree(exported.path, base / "sperm" / "1")
    classifier = Classifier(exported.model, tuple(CLASS_NAMES), 24, 1, exported.rule)
    classifier.export(base / "sperm" / "1" / "assets.extra" / "onnx", format="onnx")
    shutil.copytree(base / "sperm" / "1", base / "sperm" / "2")
    (base / "labels.json").write_text(json.dumps({"sperm": {"stable": 1, "canary": 2}}))
    return base


@pytest.fixture(scope="module")
def double(exported):
    with serve_rest(Backend(exported.path)) as target:
        yield target


@pytest.fixture(scope="module", params=["fastest", "tensorflow"])
def server(request, serving_base):
    labels = f"--labels={serving_base / 'labels.json'}"
    with running.process(
        f"--model={serving_base}", f"--runtime={request.param}", labels, "--timeout_s=300", timeout_s=600
    ) as (_, url):
        yield url, {} if request.param == "tensorflow" else CLOSE


def same(found, expected, tolerance):
    """Whether two JSON documents are equal, numbers as float32."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert set(found) == set(expected)
        for name, value in expected.items():
            same(found[name], value, tolerance)
    elif isinstance(expected, list) and expected and isinstance(expected[0], float):
        np.testing.assert_allclose(np.float32(found), np.float32(expected), **(tolerance or {"rtol": 1e-6}))
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            same(one, other, tolerance)
    elif isinstance(expected, float):
        np.testing.assert_allclose(found, expected, **(tolerance or {"rtol": 1e-6}))
    else:
        assert found == expected


def test_replies_are_those_of_tensorflow_serving(server, double):
    url, tolerance = server
    for path in (PREDICT, "/v1/models/sperm/versions/1:predict", "/v1/models/sperm/labels/canary:predict"):
        expected = call(double + path, instances(*FILES))
        found = call(url + path, instances(*FILES))
        assert found[0] == expected[0] == 200
        same(found[2], expected[2], tolerance)
        assert [row["status"] for row in found[2]["predictions"]] == ["ok"] * 5 + [
            "empty",
            "unknown_format",
            "undecodable",
        ]
    assert call(url + "/v1/models/other:predict", instances(b""))[0] == 404


def test_the_client_talks_to_both(server, double):
    url, _ = server
    expected = client.predict(PNGS * 3, target=double, model_name="sperm", timeout_s=300)
    found = client.predict(PNGS * 3, target=url, model_name="sperm", timeout_s=300)
    assert [(one.predicted_class, one.decision, one.prediction_set) for one in found] == [
        (one.predicted_class, one.decision, one.prediction_set) for one in expected
    ]


@pytest.mark.parametrize("signature", ["explain", "explain_classes"])
def test_maps_are_those_of_the_saved_model(server, double, signature):
    url, _ = server
    options = {"model_name": "sperm", "signature": signature, "timeout_s": 300}
    expected, found = (client.predict(FILES[3:], target=target, **options) for target in (double, url))
    for one, other in zip(found, expected, strict=True):
        assert set(one.maps) == set(other.maps) and (one.status, one.reason) == (other.status, other.reason)
        for name, values in other.maps.items():
            np.testing.assert_allclose(one.maps[name], values, rtol=1e-4, atol=1e-5)


def test_examples_are_predicted_as_their_images_are(server):
    import tensorflow as tf

    url, _ = server
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[PNGS[0]]))
    example = tf.train.Example(features=tf.train.Features(feature={"image": feature})).SerializeToString()
    request = {"signature_name": "serving_examples", "inputs": [{"b64": base64.b64encode(example).decode()}]}
    found = call(url + PREDICT, request, timeout_s=300)[2]["outputs"]
    expected = call(url + PREDICT, instances(PNGS[0]))[2]["predictions"][0]
    assert found["predicted_class"] == [expected["predicted_class"]] and found["status"] == ["ok"]


def test_v2_says_what_v1_says(server):
    url, _ = server
    rows = call(url + PREDICT, instances(*FILES))[2]["predictions"]
    outputs = call(f"{url}/v2/models/sperm/infer", v2(*FILES))[2]["outputs"]
    for output in outputs:
        expected = np.array([row[output["name"]] for row in rows])
        np.testing.assert_array_equal(np.array(output["data"]).reshape(output["shape"]), expected, output["name"])


def test_sigterm_finishes_what_was_begun(serving_base):
    with running.process(f"--model={serving_base}", timeout_s=600) as (process, url):
        address = urllib.parse.urlsplit(url).netloc
        body = json.dumps(instances(PNGS[0])).encode()
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.putrequest("POST", PREDICT)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[:50])
        wait_until(lambda: call(f"{url}/v2/health/ready")[0] == 200, 60)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: is_refused(address), 60)
        assert process.poll() is None
        connection.send(body[50:])
        response = connection.getresponse()
        assert response.status == 200 and json.loads(response.read())["predictions"][0]["status"] == "ok"
        assert process.wait(60) == 0
    assert not any("Traceback" in line for line in process.log), process.log


def is_refused(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return True
    return False


def test_a_version_that_is_pushed_is_served_and_a_damaged_one_is_not(serving_base, tmp_path):
    model = tmp_path / "sperm"
    model.mkdir()
    shutil.copytree(serving_base / "sperm" / "1", model / "1")
    with running.process(f"--model={model}", "--poll_s=0.2", timeout_s=600) as (_, url):

        def push(version, flip=False):
            copy = model / ".pushing"
            shutil.copytree(serving_base / "sperm" / "1", copy)
            if flip:
                graph = copy / "assets.extra" / "onnx" / "model.onnx"
                content = bytearray(graph.read_bytes())
                content[len(content) // 2] ^= 1
                graph.write_bytes(content)
            copy.rename(model / str(version))

        def states():
            return {one["version"]: one["state"] for one in call(f"{url}/v1/models/sperm")[2]["model_version_status"]}

        push(2, flip=True)
        wait_until(lambda: states() == {"2": "END", "1": "AVAILABLE"}, 60)
        assert call(url + PREDICT, instances(PNGS[0]))[0] == 200
        push(3)
        wait_until(lambda: states().get("3") == "AVAILABLE" and "1" not in states(), 60)
        assert call(url + PREDICT, instances(PNGS[0]))[0] == 200


SCRIPT = """
import pathlib, sys

from sperm_tf.serving.server import app, opening

opened = opening.open_folder(pathlib.Path(sys.argv[1]), "fastest", warm_up=8)
assert opened.runtime != "tensorflow" and opened.saved_model is not None
print(",".join(name for name in ("tensorflow", "keras", "pandas") if name in sys.modules) or "none")
"""


def test_tensorflow_is_not_imported_for_a_graph(serving_base):
    command = [sys.executable, "-c", SCRIPT, str(serving_base / "sperm" / "1")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=helpers.ROOT, check=True)
    assert done.stdout.strip().splitlines()[-1] == "none"


def test_maps_without_tensorflow_are_refused_with_the_command(serving_base, monkeypatch):
    from sperm_tf.serving.server import backends
    from sperm_tf.serving.server.limits import RequestError

    monkeypatch.setattr(backends.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RequestError, match=r"'explain' needs TensorFlow, .* Run: pip install tensorflow") as error:
        backends.SavedModel(lambda: serving_base / "sperm" / "1").open("explain")
    assert error.value.code == 501


def test_a_runtime_without_a_graph_is_refused(serving_base):
    from sperm_tf.serving.server.opening import open_folder

    with pytest.raises(ValueError, match=r"graphs for onnx. Push with --config.pusher.formats=litert"):
        open_folder(serving_base / "sperm" / "1", "litert", warm_up=8)


def test_what_predicts_nothing_finite_is_not_opened(exported, tmp_path):
    import keras

    from sperm_tf.serving.classifier import Classifier
    from sperm_tf.serving.server.opening import open_folder

    model = keras.models.clone_model(exported.model)
    model.set_weights(exported.model.get_weights())
    logits = model.get_layer("logits")
    logits.set_weights([weights * np.nan for weights in logits.get_weights()])
    Classifier(model, tuple(CLASS_NAMES), 24, 1, exported.rule).export(tmp_path / "1", format="onnx")
    with pytest.raises(ValueError, match="model must predict finite probabilities"):
        open_folder(tmp_path / "1", "fastest", warm_up=8)


def test_what_cannot_be_served_ends_with_a_message(tmp_path, capsys):
    assert serve.main(["--model=no_such_model"]) == 1
    assert "Received: model='no_such_model'" in capsys.readouterr().err
    assert serve.main([f"--model={tmp_path}", "--port=0"]) == 1
    assert "which holds no version" in capsys.readouterr().err
    assert serve.main(["--model=smids", "--max_batch=0"]) == 1
    assert "batch_images must be at least 1" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert serve.main(["--model=smids", f"--port={taken.getsockname()[1]}"]) == 1
    assert "host and port must be free" in capsys.readouterr().err
    (tmp_path / "sperm" / "1").mkdir(parents=True)
    (tmp_path / "sperm" / "1" / "model.onnx").touch()
    assert serve.main([f"--model={tmp_path}", "--port=0"]) == 1
    assert "model must be one that can be opened" in capsys.readouterr().err


def test_missing_packages_are_named(monkeypatch, capsys, serving_base):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert serve.main([f"--model={serving_base}", "--port=0"]) == 1
    assert "needs uvicorn, which is not installed. Run: pip install starlette uvicorn prom" in capsys.readouterr().err


def test_a_response_does_not_wait_for_the_acknowledgement_of_its_first_part():
    """Connections inherit the option; asyncio would not set it on those of this kind of socket."""
    with serve._listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        connection, _ = listening.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
