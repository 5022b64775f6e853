"""The server over a socket, with a model that is made up."""

import base64
import concurrent.futures
import contextlib
import http.client
import json
import re
import socket
import threading
import time
import urllib.parse

import pytest

from sperm_tf.serving import client
from tests.serving.server import running
from tests.serving.server.running import CLASS_NAMES, MadeUp, Versions, call

PREDICT = "/v1/models/sperm:predict"


def instances(*files):
    return {"instances": [{"b64": base64.b64encode(file).decode()} for file in files]}


@pytest.fixture(scope="module")
def url():
    source = Versions()
    source.versions = {1: MadeUp(1), 2: MadeUp(2)}
    source.labels = {"stable": 1, "canary": 2, "nowhere": 7}
    with running.thread(source, request_bytes=10_000, held_bytes=25_000, timeout_s=2.0) as address:
        yield address


def test_the_clients_predictions(url):
    for choice, version in (({}, 2), ({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2)):
        found = client.predict([b"x", b"yy", *[b"z"] * 9], target=url, model_name="sperm", **choice)
        assert [one.unfamiliarity for one in found[:2]] == [1 + version / 16, 2 + version / 16], choice
        assert len(found) == 11 and found[0].probabilities == {"normal": 0.75, "tapered": 0.2, "pyriform": 0.05}


def test_row_and_column_formats(url):
    code, _, rows = call(url + PREDICT, instances(b"x", b"yy"))
    assert code == 200 and [row["unfamiliarity"] for row in rows["predictions"]] == [1.125, 2.125]
    assert rows["predictions"][0]["probabilities"] == [0.75, 0.2, 0.05], "the shortest decimals of float32"
    content = [{"b64": "eA=="}, {"b64": "eXk="}]
    for inputs in (content, {"image_bytes": content}):
        code, _, columns = call(url + PREDICT, {"inputs": inputs, "signature_name": "serving_default"})
        assert code == 200 and set(columns) == {"outputs"}
        assert {name: [row[name] for row in rows["predictions"]] for name in columns["outputs"]} == columns["outputs"]
    named = {"instances": [{"image_bytes": value} for value in content]}
    assert call(url + PREDICT, named)[2] == rows
    assert call(url + PREDICT, {"instances": ["x", "yy"]})[2] == rows, "text stands for its UTF-8"
    assert call(url + PREDICT, {"instances": [{"b64": "e\nA"}, {"b64": "eXk"}]})[2] == rows, "line breaks, no padding"
    assert call(url + PREDICT, {"inputs": []})[2]["outputs"]["status"] == []


BAD = {
    "empty": (b"", "JSON Parse error: The document is empty"),
    "no JSON": (b"{", "JSON Parse error"),
    "deep": (b"[" * 9_000, "JSON Parse error"),
    "list": ([], "Is not object"),
    "no key": ({}, "Missing 'inputs' or 'instances' key"),
    "both keys": ({"instances": [], "inputs": []}, "expecting only one of 'inputs' or 'instances'"),
    "no list": ({"instances": {}}, "Excepting 'instances' to be an list/array"),
    "no values": ({"instances": []}, "No values in 'instances' array"),
    "number": ({"instances": [1]}, "element: 0 of 'instances' list. .*Type: Number is not of expected type: string"),
    "nested": ({"instances": [[{"b64": "eA=="}]]}, "Type: Array is not of expected type: string"),
    "null": ({"inputs": [None]}, "Type: Null is not of expected type: string"),
    "mixed": ({"instances": ["x", {"image_bytes": "x"}]}, "Expecting value/list but got object at item 1"),
    "wrong name": ({"instances": [{"pixels": "x"}]}, "keys must be equal to: image_bytes"),
    "wrong input": ({"inputs": {"pixels": ["x"]}}, "Missing named input: image_bytes in 'inputs' object"),
    "scalar": ({"inputs": {"b64": "eA=="}}, r"must have the shape \[B\]"),
    "no base64": ({"instances": [{"b64": "!"}]}, "Unable to base64 decode"),
    "base64 beside others": ({"inputs": [{"b64": "eA==", "c": 1}]}, "not formatted correctly for base64 data"),
    "signature is a number": ({"signature_name": 1, "instances": ["x"]}, "'signature_name' key must be a string value"),
    "unknown signature": (
        {"signature_name": "classify", "instances": ["x"]},
        'Serving signature name: "classify" not found in signature def',
    ),
    "too many": (instances(*[b"x"] * 9), "Task size 9 is larger than maximum input batch size 8"),
}


@pytest.mark.parametrize("name", BAD)
def test_malformed_requests_get_400_with_the_messages_of_tensorflow_serving(url, name):
    body, message = BAD[name]
    code, headers, reply = call(url + PREDICT, body)
    assert code == 400 and set(reply) == {"error"} and headers.get_content_type() == "application/json"
    assert re.search(message, reply["error"])


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        ("/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("/v1/models/sperm/versions/7:predict", 404, "Servable not found for request: Specific(sperm, 7)"),
        ("/v1/models/sperm/labels/beta:predict", 400, "Unrecognized servable version label: beta"),
        ("/v1/models/sperm/labels/nowhere:predict", 400, "Unrecognized servable version label: nowhere"),
        ("/v1/models/sperm/versions/x:predict", 400, "Failed to convert version: x to numeric."),
        ("/v1/models/sperm:classify", 400, "classify must be predict"),
        ("/v1/models", 400, "Malformed request: POST /v1/models"),
        ("/v2/models/other/infer", 404, "Servable not found for request: Latest(other)"),
        ("/nowhere", 404, "Malformed request: POST /nowhere"),
        ("/v2/health/live", 405, "Malformed request: POST /v2/health/live"),
    ],
)
def test_unknown_models_and_paths(url, path, code, message):
    body = instances(b"x") if path.startswith("/v1") else v2(b"x")
    found, _, reply = call(url + path, body)
    assert found == code and message in reply["error"]


def test_states_and_metadata(url):
    status = {"error_code": "OK", "error_message": ""}
    states = [{"version": number, "state": "AVAILABLE", "status": status} for number in ("2", "1")]
    assert call(f"{url}/v1/models/sperm")[2] == {"model_version_status": states}
    for path in ("versions/1", "labels/stable"):
        assert call(f"{url}/v1/models/sperm/{path}")[2] == {"model_version_status": states[1:]}
    code, _, reply = call(f"{url}/v1/models/other")
    assert code == 404 and reply == {"error": "Could not find any versions of model other"}
    metadata = call(f"{url}/v1/models/sperm/versions/1/metadata")[2]
    assert metadata["model_spec"] == {"name": "sperm", "signature_name": "", "version": "1"}
    (signature,) = metadata["metadata"]["signature_def"]["signature_def"].items()
    assert signature[0] == "serving_default" and signature[1]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}], "unknown_rank": False}
    assert signature[1]["outputs"]["probabilities"] == {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": ""}


def v2(*files, **more):
    data = [base64.b64encode(file).decode() for file in files]
    return {"inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [len(files)], "data": data}], **more}


def test_v2_health_and_metadata(url):
    assert call(f"{url}/v2/health/live")[::2] == (200, {"live": True})
    assert call(f"{url}/v2/health/ready")[::2] == (200, {"ready": True})
    assert call(f"{url}/v2")[2]["name"] == "sperm_tf"
    assert call(f"{url}/v2/models/sperm/ready")[::2] == (200, {"name": "sperm", "ready": True})
    assert call(f"{url}/v2/models/sperm/versions/7/ready")[0] == 404
    model = call(f"{url}/v2/models/sperm")[2]
    assert model["versions"] == ["1", "2"] and model["platform"] == "sperm_tf_made_up"
    assert model["inputs"] == [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}]
    assert {"name": "prediction_set", "datatype": "BOOL", "shape": [-1, 3]} in model["outputs"]


def test_v2_infers(url):
    code, _, reply = call(f"{url}/v2/models/sperm/versions/1/infer", v2(b"x", b"yy", id="42"))
    assert code == 200 and (reply["id"], reply["model_name"], reply["model_version"]) == ("42", "sperm", "1")
    outputs = {output["name"]: output for output in reply["outputs"]}
    assert outputs["probabilities"] == {
        "name": "probabilities", "datatype": "FP32", "shape": [2, 3], "data": [0.75, 0.2, 0.05] * 2
    }  # fmt: skip
    assert outputs["class_names"]["data"] == [*CLASS_NAMES] * 2 and outputs["unfamiliarity"]["data"] == [1.0625, 2.0625]
    some = v2(b"x", outputs=[{"name": "decision"}])
    reply = call(f"{url}/v2/models/sperm/infer", some)[2]
    assert "id" not in reply and [output["name"] for output in reply["outputs"]] == ["decision"]


def test_v2_takes_raw_bytes_after_the_json(url):
    files = [b"\xff\x00x", b""]
    rest = b"".join(len(file).to_bytes(4, "little") + file for file in files)
    tensor = {
        "name": "image_bytes",
        "datatype": "BYTES",
        "shape": [2, 1],
        "parameters": {"binary_data_size": len(rest)},
    }
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    outputs = call(f"{url}/v2/models/sperm/versions/1/infer", head + rest, headers)[2]["outputs"]
    assert outputs[-1]["data"] == [3.0625, 0.0625]
    for wrong in (rest[:-1], rest + b"\1\0\0\0", rest[:3]):
        code, _, reply = call(f"{url}/v2/models/sperm/infer", head + wrong, headers)
        assert code == 400 and "binary" in reply["error"]
    for length in ("-1", "x", "999999"):
        headers = {"Inference-Header-Content-Length": length}
        assert call(f"{url}/v2/models/sperm/infer", head + rest, headers)[0] == 400


@pytest.mark.parametrize(
    "change",
    [
        {"inputs": None},
        {"inputs": []},
        {"inputs": [1]},
        {"id": 1},
        {"parameters": []},
        {"parameters": {"signature_name": 1}},
        {"outputs": [1]},
        {"outputs": [{"name": "other"}]},
        *({"inputs": [{**v2(b"x")["inputs"][0], **change}]} for change in (
            {"name": "pixels"}, {"datatype": "FP32"}, {"shape": [2]}, {"shape": []}, {"shape": [1, 2]}, {"shape": None},
            {"shape": [True]}, {"data": ["!"]}, {"data": [1]}, {"data": None}, {"parameters": 1},
        )),
    ],
    ids=str,
)  # fmt: skip
def test_malformed_v2_requests_get_400(url, change):
    code, _, reply = call(f"{url}/v2/models/sperm/infer", {**v2(b"x"), **change})
    assert code == 400 and set(reply) == {"error"}, reply


def test_not_a_number_never_leaves(url):
    """Neither as `null` nor as `NaN`; and the rows of others are predicted."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        bodies = [instances(b"x", b"nan"), instances(b"x"), v2(b"nan"), instances(b"nan")]
        paths = [PREDICT, PREDICT, "/v2/models/sperm/infer", PREDICT]
        found = list(pool.map(lambda path, body: call(url + path, body), paths, bodies))
    assert [code for code, *_ in found] == [500, 200, 500, 500]
    assert "probabilities that are not finite for row 1" in found[0][2]["error"]


def test_a_request_that_fails_takes_no_other_with_it():
    backend = MadeUp()
    source = Versions()
    source.versions = {1: backend}
    with running.thread(source, batch_wait_s=0.3) as url, concurrent.futures.ThreadPoolExecutor(3) as pool:
        files = [b"x", b"broken", b"yy"]
        found = list(pool.map(lambda file: call(url + PREDICT, instances(file)), files))
    assert backend.batches[0] == 3, "they were one batch"
    assert [code for code, *_ in found] == [200, 500, 200]
    assert "the model failed: RuntimeError: out of memory" in found[1][2]["error"]
    assert found[2][2]["predictions"][0]["unfamiliarity"] == 2.0625


def test_requests_are_joined_to_batches_of_eight():
    backend = MadeUp()
    backend.gate = threading.Event()
    source = Versions()
    source.versions = {1: backend}
    with running.thread(source) as url, concurrent.futures.ThreadPoolExecutor(12) as pool:
        futures = [pool.submit(call, url + PREDICT, instances(*[b"x"] * rows)) for rows in (1, 3, 3, 3, 3, 3)]
        wait_until(lambda: "sperm_tf_waiting_images" in (text := call(f"{url}/metrics")[2]) and f" {16.0}\n" in text)
        backend.gate.set()
        assert [future.result()[0] for future in futures] == [200] * 6
    assert sum(backend.batches) == 16 and max(backend.batches) <= 8 and len(backend.batches) <= 4


def wait_until(is_true, seconds=10.0):
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_full_queue_is_503_with_retry_after():
    backend = MadeUp()
    backend.gate = threading.Event()
    source = Versions()
    source.versions = {1: backend}
    with running.thread(source, waiting_images=8) as url, concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(call, url + PREDICT, instances(b"x", b"x")) for _ in range(4)]
        wait_until(lambda: 'sperm_tf_waiting_images{model="sperm"} 8.0' in call(f"{url}/metrics")[2])
        code, headers, reply = call(url + PREDICT, instances(b"x"))
        assert code == 503 and int(headers["Retry-After"]) >= 1 and "queue" in reply["error"]
        with pytest.raises(client.ServingError, match=r"HTTP 503: .*is full.*try again after \d+ s"):
            client.predict([b"x"], target=url, model_name="sperm")
        backend.gate.set()
        assert [future.result()[0] for future in waiting] == [200] * 4, "what was accepted is predicted"
        assert call(url + PREDICT, instances(b"x"))[0] == 200


def test_a_deadline_is_504():
    backend = MadeUp()
    backend.gate = threading.Event()
    source = Versions()
    source.versions = {1: backend}
    with running.thread(source, timeout_s=0.4) as url:
        start = time.monotonic()
        code, _, reply = call(url + PREDICT, instances(b"x"))
        assert code == 504 and "after 0.4 s there was no prediction" in reply["error"]
        assert time.monotonic() - start < 3
        backend.gate.set()
        wait_until(lambda: call(url + PREDICT, instances(b"x"))[0] == 200)


def test_what_nobody_waits_for_is_not_computed():
    backend = MadeUp()
    backend.gate = threading.Event()
    source = Versions()
    source.versions = {1: backend}
    with running.thread(source) as url, concurrent.futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, url + PREDICT, instances(b"x"))
        wait_until(lambda: backend.batches == [1])
        connection = connect(url)
        connection.request("POST", PREDICT, json.dumps(instances(*[b"x"] * 5)))
        metric = 'sperm_tf_waiting_images{model="sperm"} %s.0'
        wait_until(lambda: metric % 6 in call(f"{url}/metrics")[2])
        connection.close()
        wait_until(lambda: metric % 1 in call(f"{url}/metrics")[2])
        backend.gate.set()
        assert first.result()[0] == 200 and call(url + PREDICT, instances(b"x"))[0] == 200
    assert backend.batches == [1, 1]


def connect(url):
    return http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=30)


def test_a_large_body_is_413_by_its_header_and_by_what_comes(url):
    code, _, reply = call(url + PREDICT, b" " * 10_001)
    assert code == 413 and "at most 10,000 bytes" in reply["error"]
    connection = connect(url)
    connection.request(
        "POST", PREDICT, iter([b" " * 6_000] * 2), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert connection.getresponse().status == 413
    connection = connect(url)  # a client that asks first sends nothing
    connection.putrequest("POST", PREDICT)
    connection.putheader("Content-Length", "10001")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.getresponse().status == 413


def test_bodies_that_drip_fill_no_memory_and_end(url):
    """Three that stop on the way hold all that may be held; each ends in 504."""
    connections = []
    for _ in range(3):
        connection = connect(url)
        connection.putrequest("POST", PREDICT)
        connection.putheader("Content-Length", "9000")
        connection.endheaders()
        connection.send(b" " * 8_500)
        connections.append(connection)
    codes = sorted(connection.getresponse().status for connection in connections)
    assert codes == [503, 504, 504]
    wait_until(lambda: call(url + PREDICT, instances(b"x"))[0] == 200)


def test_connections_that_send_no_header_are_closed():
    with running.thread(header_s=0.3) as url:
        host, port = urllib.parse.urlsplit(url).netloc.split(":")
        for start in (b"", b"POST /v1/models/sperm:predict HTTP/1.1\r\nX-A: "):
            with socket.create_connection((host, int(port))) as connection:
                connection.sendall(start)
                connection.settimeout(5)
                with contextlib.suppress(ConnectionError):
                    assert connection.recv(1 << 16) == b""
        assert call(url + PREDICT, instances(b"x"))[0] == 200


def test_a_header_that_drips_gets_no_more_time():
    with running.thread(header_s=0.4) as url:
        host, port = urllib.parse.urlsplit(url).netloc.split(":")
        start = time.monotonic()
        with socket.create_connection((host, int(port))) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(b"POST /v1/models/sperm:predict HTTP/1.1\r\n")
            for number in range(40):
                connection.sendall(b"X-%d: a\r\n" % number)
                time.sleep(0.05)
        assert time.monotonic() - start < 1.8, "each byte gave it more time"
        assert call(url + PREDICT, instances(b"x"))[0] == 200


def test_a_body_that_drips_gets_no_more_time():
    with running.thread(timeout_s=0.4) as url:
        connection = connect(url)
        connection.putrequest("POST", PREDICT)
        connection.putheader("Content-Length", "9000")
        connection.endheaders()
        start = time.monotonic()
        with contextlib.suppress(ConnectionError):
            for _ in range(10):
                connection.send(b" ")
                time.sleep(0.05)
        response = connection.getresponse()
        assert response.status == 504 and b"the body of the request was not whole" in response.read()
        assert time.monotonic() - start < 3


def test_garbage_among_requests_harms_no_other():
    """One request in ten is no request, or no HTTP at all."""
    garbage = (
        b"\x16\x03\x01\0\xa5\1\0",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n{",
    )
    with running.thread(timeout_s=60.0) as url, concurrent.futures.ThreadPoolExecutor(4) as pool:
        host, port = urllib.parse.urlsplit(url).netloc.split(":")

        def send(number):
            if number % 10:
                return call(url + PREDICT, instances(b"x" * (number % 7)))
            place = host, int(port)
            with socket.create_connection(place, timeout=10) as connection, contextlib.suppress(ConnectionError):
                connection.sendall(garbage[number // 10 % 4])
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
            return call(url + PREDICT, b'{"instances": [' + bytes(range(1, 200)))

        found = list(pool.map(send, range(40)))
    for number, (code, _, reply) in enumerate(found):
        assert code == (200 if number % 10 else 400), (number, reply)
        if number % 10:
            assert reply["predictions"][0]["unfamiliarity"] == number % 7 + 1 / 16


def test_a_connection_is_used_again(url):
    connection = connect(url)
    for size in (1, 2, 3):
        connection.request("POST", PREDICT, json.dumps(instances(b"x" * size)))
        response = connection.getresponse()
        assert json.loads(response.read())["predictions"][0]["unfamiliarity"] == size + 2 / 16
        connection.request("POST", PREDICT, b"{")
        response = connection.getresponse()
        assert response.status == 400 and response.read()


def test_maps_need_a_saved_model(url):
    code, _, reply = call(url + PREDICT, {"signature_name": "explain", **instances(b"x")})
    assert code == 501 and "signature 'explain' needs a SavedModel" in reply["error"]


def test_metrics(url):
    call(url + PREDICT, instances(b"x"))
    call(f"{url}/v1/models/no_such_model:predict", instances(b"x"))
    text = call(f"{url}/metrics")[2]
    assert 'sperm_tf_served_version{model="sperm",runtime="made_up",version="2"} 1.0' in text
    assert 'sperm_tf_requests_total{code="200",model="sperm",protocol="v1"}' in text
    assert "no_such_model" not in text, "names that callers make up would fill the memory"
    for name in ("request_seconds_bucket", "batch_images_bucket", "batch_seconds_count", "images_total"):
        assert f"sperm_tf_{name}{{" in text, name
    assert 'decision="accept",model="sperm",reason="confident",status="ok",version="2"' in text
