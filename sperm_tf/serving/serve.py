"""Serves models over HTTP, without Docker.

    python -m sperm_tf.serving.serve --model=smids                 a released model
    python -m sperm_tf.serving.serve --model=runs/demo/serving     <serving_base>/<model>/<version>/

It speaks TensorFlow Serving's REST API and the Open Inference Protocol; see docs/serving.md.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import math
import os
import pathlib
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sperm_tf import missing_packages
from sperm_tf.runtimes.registry import RUNTIMES, TENSORFLOW
from sperm_tf.serving.server.limits import Limits

if TYPE_CHECKING:
    from sperm_tf.serving.server.repository import Repository
    from sperm_tf.serving.server.sources import Source

_LOG = logging.getLogger("sperm_tf.serve")
STOP_S = 5  # beyond the deadline of a request, for the last ones at the end
_TENSORFLOW_SETTINGS = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}  # as pipelines have it
_PACKAGES = ("starlette", "uvicorn", "prometheus_client")


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 0 after SIGTERM or Ctrl-C, 1 where nothing can be served."""
    options = parse_arguments(arguments)
    for name, value in _TENSORFLOW_SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        limits = Limits(
            batch_images=options.max_batch,
            batch_wait_s=options.batch_wait_ms / 1000,
            waiting_images=options.max_waiting,
            timeout_s=options.timeout_s,
            request_bytes=int(options.max_request_mb * (1 << 20)),
            held_bytes=max(Limits.held_bytes, 4 * int(options.max_request_mb * (1 << 20))),
        )
        from sperm_tf.serving.server.sources import find_source

        source = find_source(options.model, runtime=options.runtime, warm_up=limits.batch_images, labels=options.labels)
        listening = _listen(options.host, options.port)
        with listening:
            asyncio.run(_serve(source, limits, listening, poll_s=options.poll_s))
    except (ImportError, OSError, ValueError) as error:
        print(f"sperm_tf.serving.serve: {_explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # while models are opened
        return 130
    return 0


def _end_soon(status: int) -> int:
    """Ends the process even where a batch that nobody waits for any more still computes in its thread."""
    timer = threading.Timer(STOP_S, os._exit, (status,))
    timer.daemon = True
    timer.start()
    return status


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sperm_tf.serving.serve",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--model", required=True, help="a released model (smids, smids@1), <serving_base>, or <serving_base>/<model>")
    add(
        "--runtime",
        default="fastest",
        choices=("fastest", TENSORFLOW, *RUNTIMES),
        help="what predicts; the default is the first that is installed and opens the model without a conversion",
    )
    add("--host", default="127.0.0.1", help="address to listen on; the default is reached from this machine alone")
    add("--port", type=int, default=8501, help="0 takes a free one, which is printed")
    add("--labels", type=pathlib.Path, help='JSON file: {"sperm_smids": {"stable": 1, "canary": 2}}; read at each poll')
    add("--poll_s", type=float, default=5.0, help="seconds between looks for new versions and labels")
    add("--max_batch", type=int, default=Limits.batch_images, help="images in a batch and in a request")
    add("--batch_wait_ms", type=float, default=Limits.batch_wait_s * 1000, help="what a batch waits for more images")
    add("--max_waiting", type=int, default=Limits.waiting_images, help="images that may wait; more get HTTP 503")
    add("--timeout_s", type=float, default=Limits.timeout_s, help="for a request; then it gets HTTP 504")
    add("--max_request_mb", type=float, default=Limits.request_bytes / (1 << 20), help="larger ones get HTTP 413")
    return parser.parse_args(arguments)


def _explain(error: Exception) -> str:
    name = (error.name or "").split(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if name in _PACKAGES:
        return (
            f"the server needs {name.replace('_', '-')}, which is not installed. Run: pip install starlette uvicorn "
            "prometheus-client"
        )
    return missing_packages.say(error)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=512)
        # asyncio sets it on connections of sockets alone that were made with proto=IPPROTO_TCP. Without it the second
        # part of a response waits up to 40 ms for the client's acknowledgement of the first.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except (OSError, OverflowError) as error:
        raise OSError(
            f"host and port must be free. Received: host={host!r}, port={port}: {error}. Name another --port."
        ) from error


async def _serve(source: Source, limits: Limits, listening: socket.socket, *, poll_s: float) -> None:
    import uvicorn

    from sperm_tf.serving.server.app import build_app
    from sperm_tf.serving.server.connections import limit_connections
    from sperm_tf.serving.server.metrics import Metrics
    from sperm_tf.serving.server.repository import Repository

    metrics = Metrics()
    repository = Repository(source, limits, metrics)
    await repository.refresh()
    if not repository.is_ready:
        raise ValueError("model must be one that can be opened; the lines above say why each was not.")
    config = uvicorn.Config(
        build_app(repository, limits, metrics),
        http=limit_connections(header_s=limits.header_s, request_s=limits.timeout_s),
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.connections,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=math.ceil(limits.timeout_s) + STOP_S,
    )
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    _announce(repository, listening)
    watching = asyncio.create_task(repository.watch(poll_s))
    # uvicorn stops gracefully at the first signal, then raises it again: the process is to end with the status 0.
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        await uvicorn.Server(config).serve(sockets=[listening])
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
        repository.close()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    _LOG.info("stopped")


def _announce(repository: Repository, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    for served in repository.served():
        print(f"{served.name} version {served.number} is served with {served.opened.runtime} at {url}", flush=True)
    name = repository.served()[0].name
    print(f"python -m sperm_tf.serving.client --target={url} --model_name={name} <image>", flush=True)


if __name__ == "__main__":
    sys.exit(_end_soon(main()))
