"""The model server, in a process of its own: mutated images, bodies and whole requests over sockets."""

from __future__ import annotations

import base64
import concurrent.futures
import contextlib
import json
import pathlib
import socket
import urllib.parse
from collections.abc import Sequence

from benchmarks.fuzz import seeds
from benchmarks.fuzz.inputs import Input, Outcome
from sperm_tf.serving import replies
from tests.serving.server import running

MODEL = "smids"
"""A release with an ONNX graph, so that nothing has to be exported."""
PREDICT, INFER = f"/v1/models/{MODEL}:predict", f"/v2/models/{MODEL}/infer"
_BODY, _REQUEST = "body", "request"  # beginnings of the names of inputs that are no images
_EXPECTED_CODES = {200, 400, 404, 405, 411, 413, 414, 431, 501, 503, 504, 505}
_WAIT_S = 30.0


class ServerTarget:
    """Every request gets a response of HTTP that is no internal error, and a valid one beside it its prediction."""

    batch = 8

    def __init__(self, folder: pathlib.Path | None):
        self._closing = contextlib.ExitStack()
        process, url = self._closing.enter_context(
            running.process(f"--model={MODEL}", "--timeout_s=10", "--max_request_mb=1", timeout_s=300)
        )
        self.pid = process.pid
        self._place = urllib.parse.urlsplit(url)
        self._pool = concurrent.futures.ThreadPoolExecutor(self.batch + 1)
        pictures = seeds.make_pictures()
        bodies = _make_bodies(pictures["png_rgb"])
        self.files = {
            **pictures,
            **bodies,
            **{f"{_REQUEST}{name}": _post(name, body) for name, body in bodies.items()},
            f"{_REQUEST}_states": f"GET /v1/models/{MODEL} HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
            f"{_REQUEST}_metrics": b"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        }
        self._valid = _post("body_v1", bodies["body_v1"])
        self._expected = self._exchange(self._valid)

    def close(self) -> None:
        """Ends the server."""
        self._closing.close()

    def check(self, inputs: Sequence[Input]) -> list[Outcome]:
        """Sends the requests at once, with a valid one among them."""
        requests = [*map(_to_request, inputs), self._valid]
        are_whole = [*map(_is_whole, inputs), True]
        *found, valid = self._pool.map(self._exchange, requests, are_whole)
        outcomes = [_judge(one, reply) for one, reply in zip(inputs, found, strict=True)]
        if valid != self._expected:
            outcomes[0] = ("", f"the valid request beside it got {valid[:200]!r}")
        return outcomes

    def _exchange(self, request: bytes, is_whole: bool = True) -> bytes:
        """All that the server sends; it is told where no more comes of a request that may announce more."""
        received = []
        place = self._place.hostname, self._place.port
        with socket.create_connection(place, timeout=_WAIT_S) as connection, contextlib.suppress(ConnectionError):
            connection.sendall(request)
            if not is_whole:  # of a whole one this would mean that nobody waits for the response
                connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(1 << 16):
                received.append(part)
        return _without_date(b"".join(received))


def _make_bodies(image: bytes) -> dict[str, bytes]:
    text = base64.b64encode(image).decode()
    tensor = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [text]}
    return {
        f"{_BODY}_v1": json.dumps({"instances": [{"b64": text}]}).encode(),
        f"{_BODY}_v1_columns": json.dumps(
            {"signature_name": "serving_default", "inputs": {"image_bytes": [{"b64": text}, "text"]}}
        ).encode(),
        f"{_BODY}_v2": json.dumps({"id": "a", "inputs": [tensor], "outputs": [{"name": "probabilities"}]}).encode(),
    }


def _post(name: str, body: bytes) -> bytes:
    head = f"POST {INFER if 'v2' in name else PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _to_request(one: Input) -> bytes:
    if one.name.startswith(_REQUEST):
        return one.content
    if one.name.startswith(_BODY):
        return _post(one.name, one.content)
    return _post("v1", json.dumps({"instances": [{"b64": base64.b64encode(one.content).decode()}]}).encode())


def _is_whole(one: Input) -> bool:
    return not one.name.startswith(_REQUEST)


def _judge(one: Input, reply: bytes) -> Outcome:
    if not reply:
        return ("closed", "no response" if _is_whole(one) else "")
    head, _, body = reply.partition(b"\r\n\r\n")
    try:
        code = int(head.split(b" ", 2)[1])
    except (IndexError, ValueError):
        return ("", f"no HTTP: {reply[:100]!r}")
    if code not in _EXPECTED_CODES:
        return (str(code), f"HTTP {code}: {body[:200]!r}")
    if code == 200 and _is_whole(one) and "v2" not in one.name:
        return (str(code), _check_rows(body))
    return (str(code), "")


def _check_rows(body: bytes) -> str:
    document = json.loads(body)
    columns = document.get("outputs")
    rows = (
        document["predictions"]
        if columns is None
        else [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    )
    try:
        for row in rows:
            replies.read_row(row)
    except replies.ReplyError as error:
        return str(error)
    return ""


def _without_date(reply: bytes) -> bytes:
    head, mark, body = reply.partition(b"\r\n\r\n")
    return b"\r\n".join(line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")) + mark + body
