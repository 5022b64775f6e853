"""What a server may return to the client that is no prediction: each is a `ServingError` that names it, in time."""

import contextlib
import copy
import json
import math
import socket
import threading
import time

import pytest

from sperm_tf.serving import client
from tests import image_files

IMAGE = image_files.encode(image_files.random_pixels(), "PNG")
ROW = {
    "status": "ok",
    "predicted_class": "normal",
    "probabilities": [0.75, 0.2, 0.05],
    "class_names": ["normal", "tapered", "pyriform"],
    "prediction_set": [True, False, False],
    "decision": "accept",
    "reason": "confident",
    "unfamiliarity": 0.25,
}
UNREADABLE = {
    **ROW,
    "status": "undecodable",
    "predicted_class": "",
    "probabilities": [0.0, 0.0, 0.0],
    "prediction_set": [False, False, False],
    "decision": "refer",
    "reason": "unreadable",
    "unfamiliarity": 0.0,
}


@contextlib.contextmanager
def serving(*steps):
    """A server that sends pieces of bytes, or sleeps for a number of seconds, once it has a request."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply():
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.settimeout(5)
                    while b"}]}" not in connection.recv(1 << 16):
                        pass
                    for step in steps:
                        time.sleep(step) if isinstance(step, float) else connection.sendall(step)

        thread = threading.Thread(target=reply, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)


def http(body, code="200 OK", headers=""):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {code}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def ask(target, **options):
    return client.predict([IMAGE], target=target, model_name="sperm", **{"timeout_s": 5, **options})


def test_what_a_model_returns_is_a_prediction():
    with serving(http({"predictions": [ROW]})) as target:
        (found,) = ask(target)
    assert (found.predicted_class, found.decision, found.prediction_set) == ("normal", "accept", ("normal",))
    with serving(http({"predictions": [UNREADABLE]})) as target:
        (found,) = ask(target)
    assert (found.status, found.probabilities, found.reason) == ("undecodable", {}, "unreadable")


CHANGED = {
    "NaN": ({"probabilities": [math.nan, 0.2, 0.05]}, "probabilities must be finite"),
    "infinity": ({"probabilities": [math.inf, 0.2, 0.05]}, "probabilities must be finite"),
    "null": ({"probabilities": [None, 0.2, 0.05]}, "probabilities must be finite"),
    "numbers as text": ({"probabilities": ["0.75", 0.2, 0.05]}, "probabilities must be finite"),
    "negative": ({"probabilities": [1.2, -0.25, 0.05]}, "probabilities must be in 0-1"),
    "sum": ({"probabilities": [0.75, 0.3, 0.05]}, "probabilities must sum to 1"),
    "all zero": ({"probabilities": [0.0, 0.0, 0.0]}, "probabilities must sum to 1"),
    "one too few": ({"probabilities": [0.75, 0.25]}, "one probability"),
    "not the argmax": ({"predicted_class": "tapered"}, "predicted_class must be the most probable"),
    "unknown class": ({"predicted_class": "round"}, "predicted_class must be the most probable"),
    "no class": ({"predicted_class": ""}, "predicted_class must be the most probable"),
    "accept without confidence": ({"reason": "uncertain"}, "decision must be 'accept' for"),
    "refer with confidence": ({"decision": "refer"}, "decision must be 'accept' for"),
    "unknown decision": ({"decision": "maybe"}, "decision must be 'accept' for"),
    "unknown reason": ({"decision": "refer", "reason": "mood"}, "decision must be 'accept' for"),
    "unknown status": ({"status": "fine"}, "status must be one of"),
    "status is a list": ({"status": []}, "status must be text"),
    "same name twice": ({"class_names": ["normal", "normal", "pyriform"]}, "class_names must differ"),
    "set as text": ({"prediction_set": ["true", "false", "false"]}, "prediction_set must be true or false"),
    "NaN unfamiliarity": ({"unfamiliarity": math.nan}, "unfamiliarity must be finite"),
    "huge unfamiliarity": ({"unfamiliarity": 10**400}, "OverflowError|too large|unfamiliarity must be finite"),
    "NaN map": ({"grad_cam_plus_plus": [[math.nan]]}, "grad_cam_plus_plus must be in 0-1"),
    "ragged map": ({"grad_cam_plus_plus": [[1.0], [1.0, 0.0]]}, "grad_cam_plus_plus must be an array"),
}


@pytest.mark.parametrize("changed", CHANGED)
def test_a_row_that_is_no_prediction_is_an_error(changed):
    change, message = CHANGED[changed]
    with (
        serving(http({"predictions": [{**copy.deepcopy(ROW), **change}]})) as target,
        pytest.raises(client.ServingError, match=rf"model 'sperm' at {target} returned no prediction \(.*({message})"),
    ):
        ask(target)


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "accept"},
        {"reason": "confident"},
        {"predicted_class": "normal"},
        {"probabilities": [0.75, 0.2, 0.05]},
        {"prediction_set": [True, False, False]},
    ],
    ids=str,
)
def test_a_row_that_was_not_read_claims_nothing(change):
    with (
        serving(http({"predictions": [{**UNREADABLE, **change}]})) as target,
        pytest.raises(client.ServingError, match="a row with the status 'undecodable' must have no class"),
    ):
        ask(target)


@pytest.mark.parametrize("missing", ROW)
def test_a_missing_output_is_an_error(missing):
    row = {name: value for name, value in ROW.items() if name != missing}
    with serving(http({"predictions": [row]})) as target, pytest.raises(client.ServingError, match=f"{missing} is mis"):
        ask(target)


BODIES = {
    "list": [],
    "null": None,
    "text": {"predictions": "text"},
    "nothing": {"predictions": None},
    "row is a number": {"predictions": [1]},
    "row is null": {"predictions": [None]},
    "no rows": {"predictions": []},
    "too many rows": {"predictions": [ROW, ROW]},
    "columns": {"outputs": {name: [value] for name, value in ROW.items()}},
    "deep": b"[" * 200_000,
    "no UTF-8": b'{"predictions": ["\xff\xfe"]}',
    "long number": b'{"predictions": [' + b"9" * 10_000 + b"]}",
}


@pytest.mark.parametrize("body", BODIES)
def test_a_hostile_body_is_an_error(body):
    with serving(http(BODIES[body])) as target, pytest.raises(client.ServingError, match="model 'sperm'"):
        ask(target)


DRIP = [piece for index in range(60) for piece in (b"X-Drip: %d\r\n" % index, 0.1)]


@pytest.mark.parametrize("code", ["200 OK", "500 Error"])
@pytest.mark.parametrize("part", ["body", "headers"])
def test_a_dripping_reply_runs_out_of_time(part, code):
    start = f"HTTP/1.1 {code}\r\n".encode()
    head = [start + b"Content-Length: 1000\r\n\r\n"] if part == "body" else [start]
    began = time.monotonic()
    with serving(*head, *DRIP) as target:
        with pytest.raises(client.ServingError, match=r"gave no answer within 0\.8 s"):
            ask(target, timeout_s=0.8)
        assert time.monotonic() - began < 2.5, "each byte gave it more time"


@pytest.mark.parametrize("code", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_no_redirect_is_followed(code):
    """The other host would learn that somebody asked, or get the images."""
    reached = []
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.5)

        def wait():
            with contextlib.suppress(OSError):
                connection, _ = other.accept()
                reached.append(connection.recv(1 << 16))
                connection.sendall(http({"predictions": [ROW]}))
                connection.close()

        thread = threading.Thread(target=wait)
        thread.start()
        location = f"Location: http://127.0.0.1:{other.getsockname()[1]}/v1/models/sperm:predict\r\n"
        with (
            serving(http({}, code, location)) as target,
            pytest.raises(client.ServingError, match=f"refused with HTTP {code[:3]}: a redirect to .*not followed"),
        ):
            ask(target)
        thread.join()
    assert not reached


@pytest.mark.parametrize("target", ["file:///etc/hostname?", "ftp://127.0.0.1:9"])
def test_another_scheme_is_refused(target):
    with pytest.raises(client.ServingError, match="target must be http://host:port"):
        ask(target)


def test_a_full_server_says_when_to_try_again():
    with (
        serving(http({"error": "the queue is full"}, "503 Service Unavailable", "Retry-After: 7\r\n")) as target,
        pytest.raises(client.ServingError, match=r"HTTP 503: .*the queue is full.*try again after 7 s"),
    ):
        ask(target)


def test_an_endless_reply_is_not_read(monkeypatch):
    from sperm_tf.serving import rest_transport

    monkeypatch.setattr(rest_transport, "MAX_REPLY_BYTES", 1000)
    with serving(http(b" " * 2000)) as target, pytest.raises(client.ServingError, match="more than 1,000 bytes"):
        ask(target)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REPLY = json.dumps({"predictions": [ROW]}).encode()


def chunk(content):
    return b"%x\r\n%s\r\n" % (len(content), content)


def request_threads():
    return [thread for thread in threading.enumerate() if thread.name == "sperm_tf-request"]


def test_a_reply_in_chunks_is_a_prediction():
    with serving(CHUNKED, chunk(REPLY[:50]), 0.05, chunk(REPLY[50:]), b"0\r\n\r\n") as target:
        assert ask(target)[0].decision == "accept"


@pytest.mark.parametrize(
    "pieces",
    {
        "shorter than stated": [b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + REPLY],
        "a chunk of another size": [CHUNKED, b"fff\r\n", REPLY],
        "chunks that stop": [CHUNKED, chunk(REPLY)],
        "a chunk without a size": [CHUNKED, b"many\r\n", REPLY],
        "a chunk of a negative size": [CHUNKED, b"-2\r\n", REPLY],
        "a huge header": [b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 70_000 + b"\r\n\r\n" + REPLY],
        "many headers": [b"HTTP/1.1 200 OK\r\n" + b"X-A: a\r\n" * 200 + b"\r\n" + REPLY],
        "a code that is no number": [b"HTTP/1.1 fine OK\r\n\r\n" + REPLY],
        "no HTTP": [b"\x15\x03\x01\0\x02\x02\x16" * 3],
        "nothing": [],
    }.items(),
    ids=lambda item: item[0],
)
def test_a_reply_that_is_not_whole_is_an_error(pieces):
    """Even where what came is a prediction: nobody knows what is missing."""
    with serving(*pieces[1]) as target, pytest.raises(client.ServingError, match=r"model 'sperm' at .*Check that"):
        ask(target)


@pytest.mark.parametrize(
    ("start", "repeated"),
    [
        (CHUNKED + b"-1\r\n", b" " * 50_000),  # http.client reads such a chunk to the end of the connection
        (CHUNKED, chunk(b" " * 50_000)),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000),
        (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 50_000),
    ],
    ids=["one chunk", "chunks", "interim responses", "no length"],
)
def test_a_flood_ends_at_the_bound_of_memory(start, repeated, monkeypatch):
    from sperm_tf.serving import rest_transport

    monkeypatch.setattr(rest_transport, "MAX_REPLY_BYTES", 100_000)
    monkeypatch.setattr(rest_transport, "_MAX_HEAD_BYTES", 1_000)
    with (
        serving(start, *[repeated] * 400) as target,  # the server's thread ends when the client closes
        pytest.raises(client.ServingError, match="more than 100,000 bytes"),
    ):
        ask(target)
    assert not request_threads()


@pytest.mark.parametrize(
    "pieces",
    [
        [CHUNKED, *[b"1\r\n \r\n", 0.05] * 30],
        [b"HTTP/1.1 100 Continue\r\n\r\n", 0.05] * 30,
        [b"HTTP/1.1 200 OK\r\n\r\n", *[b" ", 0.05] * 30],
    ],
    ids=["chunks", "interim responses", "no length"],
)
def test_no_thread_is_left_when_the_time_is_over(pieces):
    began = time.monotonic()
    with serving(*pieces) as target:
        with pytest.raises(client.ServingError, match=r"gave no answer within 0\.3 s"):
            ask(target, timeout_s=0.3)
        assert time.monotonic() - began < 1.2
        while request_threads():
            assert time.monotonic() - began < 1.4, "it reads on for as long as the server sends"
            time.sleep(0.01)


def _grpc_response(**changed):
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    response = predict_pb2.PredictResponse()
    for name, value in {**ROW, **changed}.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto([value]))
    return response


@pytest.mark.integration
def test_grpc_replies_are_checked_as_well():
    assert client.parse_response(_grpc_response())[0].decision == "accept"
    for changed in ({"probabilities": [math.nan, 0.2, 0.05]}, {"predicted_class": "tapered"}, {"decision": "refer"}):
        with pytest.raises(ValueError, match="row 0"):
            client.parse_response(_grpc_response(**changed))


@pytest.mark.integration
def test_a_protocol_buffer_that_would_fill_the_memory_is_refused():
    response = _grpc_response()
    response.outputs["unfamiliarity"].tensor_shape.dim[0].size = 1 << 40
    with pytest.raises(ValueError, match="Received: unfamiliarity of the shape"):
        client.parse_response(response)
    response = _grpc_response()
    response.outputs["reason"].tensor_shape.dim[0].size = 0
    del response.outputs["reason"].string_val[:]
    with pytest.raises(ValueError, match="every output must have 1 rows"):
        client.parse_response(response)


@pytest.mark.integration
@pytest.mark.parametrize("text", [b"", b"x" * 1_000_000])
def test_outputs_that_would_fill_the_memory_together_are_refused(text):
    """A value that is stored once stands for all of an output."""
    import tensorflow as tf

    response = _grpc_response()
    for index in range(40):
        proto = response.outputs[f"more_{index}"]
        proto.CopyFrom(tf.make_tensor_proto(text or 0.0))
        proto.tensor_shape.dim.add().size = 100 if text else 1 << 19
    with pytest.raises(ValueError, match="the outputs must hold at most"):
        client.parse_response(response)
    response = _grpc_response()
    response.outputs["unfamiliarity"].tensor_shape.dim[0].size = -1
    with pytest.raises(ValueError, match=r"unfamiliarity of the shape \[-1\]"):
        client.parse_response(response)
