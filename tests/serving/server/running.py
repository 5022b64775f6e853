"""Servers for tests: a real process, and one in a thread whose model is made up."""

import asyncio
import contextlib
import json
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np

from tests import helpers

CLASS_NAMES = ("normal", "tapered", "pyriform")


@contextlib.contextmanager
def process(*arguments, timeout_s=120, run=("-m", "sperm_tf.serving.serve")):
    """`python -m sperm_tf.serving.serve` on a free port; gives the process and its address."""
    command = [sys.executable, *run, "--port=0", *map(str, arguments)]
    running = subprocess.Popen(
        command, cwd=helpers.ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )
    errors = []
    threading.Thread(target=lambda: errors.extend(running.stderr), daemon=True).start()
    lines = queue.Queue()
    threading.Thread(target=lambda: [lines.put(line) for line in running.stdout] + [lines.put("")], daemon=True).start()
    try:
        line = lines.get(timeout=timeout_s)
        assert " at http://" in line, "".join(errors)
        running.log = errors
        yield running, line.split(" at ")[1].strip()
    finally:
        if running.poll() is None:
            running.kill()
        running.wait()


class MadeUp:
    """A backend whose rows say which version and which file they are for.

    A file `slow` takes 0.3 s, `broken` fails, `nan` has no finite probabilities.
    """

    def __init__(self, version=1):
        self.version, self.batches, self.gate = version, [], None

    def prepare(self, files):
        return list(files)

    def predict(self, prepared):
        files = [file for part in prepared for file in part]
        self.batches.append(len(files))
        if self.gate is not None:
            self.gate.wait(10)
        if b"slow" in files:
            time.sleep(0.3)
        if b"broken" in files:
            raise RuntimeError("out of memory")
        probabilities = np.tile(np.array([[0.75, 0.2, 0.05]], np.float32), (len(files), 1))
        probabilities[[file == b"nan" for file in files]] = np.nan
        return {
            "status": np.full(len(files), b"ok", object),
            "predicted_class": np.full(len(files), b"normal", object),
            "probabilities": probabilities,
            "class_names": np.tile(np.array([name.encode() for name in CLASS_NAMES], object), (len(files), 1)),
            "prediction_set": np.tile([True, False, False], (len(files), 1)),
            "decision": np.full(len(files), b"accept", object),
            "reason": np.full(len(files), b"confident", object),
            "unfamiliarity": np.array([len(file) + self.version / 16 for file in files], np.float32),
        }


class Versions:
    """A source whose versions a test changes: version -> what opens it."""

    def __init__(self):
        self.versions, self.labels = {1: MadeUp()}, {}

    def list(self):
        from sperm_tf.serving.server.backends import Opened
        from sperm_tf.serving.server.sources import Listed

        def opener(backend):
            def opens():
                if isinstance(backend, Exception):
                    raise backend
                return Opened(backend, "made_up", CLASS_NAMES)

            return opens

        return {"sperm": Listed({number: opener(one) for number, one in self.versions.items()}, dict(self.labels))}


@contextlib.contextmanager
def thread(source=None, poll_s=0.05, **limits):
    """A server in a thread; gives its address."""
    import uvicorn

    from sperm_tf.serving.server.app import build_app
    from sperm_tf.serving.server.connections import limit_connections
    from sperm_tf.serving.server.limits import Limits
    from sperm_tf.serving.server.metrics import Metrics
    from sperm_tf.serving.server.repository import Repository

    bounds = Limits(**{"timeout_s": 5.0, **limits})
    listening = socket.create_server(("127.0.0.1", 0))
    servers = queue.Queue()

    async def run():
        metrics = Metrics()
        repository = Repository(source or Versions(), bounds, metrics)
        await repository.refresh()
        protocol = limit_connections(header_s=bounds.header_s, request_s=bounds.timeout_s)
        app = build_app(repository, bounds, metrics)
        config = uvicorn.Config(
            app, http=protocol, log_config=None, lifespan="off", limit_concurrency=bounds.connections
        )
        server = uvicorn.Server(config)
        watching = asyncio.create_task(repository.watch(poll_s))
        servers.put(server)
        await server.serve(sockets=[listening])
        watching.cancel()
        repository.close()

    running = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    running.start()
    server = servers.get(timeout=60)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        running.join(20)
        listening.close()


def call(url, body=None, headers=(), timeout_s=60):
    """Code, headers and JSON of a response; `body` is JSON, or bytes."""
    content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(url, content, dict(headers))
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as response:
            code, headers, content = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        code, headers, content = error.code, error.headers, error.read()
    is_json = headers.get_content_type() == "application/json"
    return code, headers, json.loads(content, parse_constant=_refuse) if is_json else content.decode()


def _refuse(constant):
    raise AssertionError(f"{constant} is no JSON")
