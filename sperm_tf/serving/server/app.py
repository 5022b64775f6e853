"""The application: routes, deadlines, codes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sperm_tf.schemas.served import ServedAnswer
from sperm_tf.served_names import SERVING_DEFAULT
from sperm_tf.serving.server import v1, v2
from sperm_tf.serving.server.bodies import Bodies
from sperm_tf.serving.server.limits import Limits, RequestError
from sperm_tf.serving.server.metrics import Metrics
from sperm_tf.serving.server.protocols import Query, check_finite, write_json
from sperm_tf.serving.server.repository import Repository, ServedVersion
from sperm_tf.version import __version__

_LOG = logging.getLogger("sperm_tf.serve")
_SMALL_BODY = 1 << 16  # is parsed at once; a larger one in a thread, so that others do not wait for it
_NO_ANSWER = 499  # nobody reads it: the client is gone

_Parse = Callable[[bytes], Query]
_Format = Callable[[Query, ServedAnswer, ServedVersion], dict[str, Any]]


def build_app(repository: Repository, limits: Limits, metrics: Metrics) -> Starlette:
    """The ASGI application.

    Args:
        repository: models.
        limits: bounds.
        metrics: what is told to Prometheus.
    """
    views = _Views(repository, limits, metrics)
    v1_model, v2_model = "/v1/models/{name}", "/v2/models/{name}"
    routes = [Route("/metrics", views.metrics), Route("/v2", views.server), Route("/v2/health/live", views.live)]
    routes.append(Route("/v2/health/ready", views.ready))
    for version in ("", "/versions/{version}", "/labels/{label}"):
        routes += [
            Route(f"{v1_model}{version}:{{method}}", views.predict, methods=["POST"]),
            Route(f"{v1_model}{version}/metadata", views.metadata),
            Route(f"{v1_model}{version}", views.states),
        ]
    for version in ("", "/versions/{version}"):
        routes += [
            Route(f"{v2_model}{version}/infer", views.infer, methods=["POST"]),
            Route(f"{v2_model}{version}/ready", views.model_ready),
            Route(f"{v2_model}{version}", views.model),
        ]
    handlers: Any = {HTTPException: _say_route, RequestError: _say}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Views:
    def __init__(self, repository: Repository, limits: Limits, metrics: Metrics):
        self._repository, self._limits, self._metrics = repository, limits, metrics
        self._bodies = Bodies(limits)

    async def predict(self, request: Request) -> Response:
        method = request.path_params["method"]
        if method != "predict":
            raise RequestError(400, f"{method} must be predict: the signatures are of no other kind. Use :predict")
        return await self._respond("v1", request, v1.parse, lambda query, answer, _: v1.format_answer(query, answer))

    async def infer(self, request: Request) -> Response:
        length = request.headers.get(v2.JSON_LENGTH_HEADER)

        def write(query: Query, answer: ServedAnswer, served: ServedVersion) -> dict[str, Any]:
            return v2.format_answer(query, answer, name=served.name, version=served.number)

        return await self._respond("v2", request, lambda body: v2.parse(body, length), write)

    async def _respond(self, protocol: str, request: Request, parse: _Parse, write: _Format) -> Response:
        """Counts and times a request, and gives each failure its code."""
        start = time.perf_counter()
        name = request.path_params["name"]
        try:
            signature, response = await self._run(request, parse, write)
            self._metrics.request_seconds.labels(name, signature).observe(time.perf_counter() - start)
        except RequestError as error:
            response = _say(request, error)
        except ClientDisconnect:
            response = Response(status_code=_NO_ANSWER)
        except Exception as error:  # a defect of the server: the client learns its kind, the log all of it
            _LOG.exception("a request failed")
            response = _say(request, RequestError(500, f"internal error: {type(error).__name__}"))
        is_known = any(served.name == name for served in self._repository.served())
        self._metrics.requests.labels(protocol, name if is_known else "", str(response.status_code)).inc()
        return response

    async def _run(self, request: Request, parse: _Parse, write: _Format) -> tuple[str, Response]:
        phase = "the body of the request was not whole"
        try:
            async with asyncio.timeout(self._limits.timeout_s), self._bodies.read(request) as body:
                phase = "there was no prediction: too much waits, the model is slow, or its signature is being opened"
                query = await _off_loop(parse, body, is_small=len(body) <= _SMALL_BODY)
                served = self._find(request)
                answer = await _while_connected(request, served.predict(query.signature, query.files))
                check_finite(answer)
                content = await _off_loop(
                    lambda: write_json(write(query, answer, served)), is_small=query.signature == SERVING_DEFAULT
                )
        except TimeoutError as error:
            raise RequestError(
                504, f"after {self._limits.timeout_s:g} s {phase}. Try again, or start the server with more --timeout_s"
            ) from error
        self._metrics.count_images(served.name, served.number, answer)
        return query.signature, Response(content, media_type="application/json")

    def _find(self, request: Request) -> ServedVersion:
        return self._repository.find(request.path_params["name"], **_choice(request))

    async def states(self, request: Request) -> Response:
        states = self._repository.states(request.path_params["name"], **_choice(request))
        return _json(v1.format_states(states))

    async def metadata(self, request: Request) -> Response:
        served = self._find(request)
        return _json(v1.format_metadata(served.name, served.number, served.signatures, len(served.opened.class_names)))

    async def server(self, request: Request) -> Response:
        return _json({"name": "sperm_tf", "version": __version__, "extensions": list(v2.EXTENSIONS)})

    async def live(self, request: Request) -> Response:
        return _json({"live": True})

    async def ready(self, request: Request) -> Response:
        return _json({"ready": self._repository.is_ready}, 200 if self._repository.is_ready else 503)

    async def model(self, request: Request) -> Response:
        served = self._find(request)
        versions = sorted(one.number for one in self._repository.served() if one.name == served.name)
        return _json(v2.format_metadata(served.name, versions, served.opened.runtime, len(served.opened.class_names)))

    async def model_ready(self, request: Request) -> Response:
        return _json({"name": self._find(request).name, "ready": True})

    async def metrics(self, request: Request) -> Response:
        waiting: dict[str, int] = {}
        for served in self._repository.served():
            waiting[served.name] = waiting.get(served.name, 0) + served.waiting_images
        self._metrics.show_waiting(waiting.items())
        content, media_type = self._metrics.write()
        return Response(content, media_type=media_type)


def _choice(request: Request) -> dict[str, Any]:
    """Version or label of a path."""
    version = request.path_params.get("version")
    if version is not None and not (version.isascii() and version.isdecimal() and len(version) < 19):
        raise RequestError(400, f"Failed to convert version: {version[:100]} to numeric.")
    return {"version": None if version is None else int(version), "label": request.path_params.get("label")}


async def _off_loop(work: Callable[..., Any], *args: Any, is_small: bool) -> Any:
    return work(*args) if is_small else await asyncio.to_thread(work, *args)


async def _while_connected(request: Request, prediction: Awaitable[ServedAnswer]) -> ServedAnswer:
    """Gives up what nobody waits for any more, so that clients who try again do not fill the queue."""
    work, gone = asyncio.ensure_future(prediction), asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientDisconnect
        return work.result()
    finally:
        work.cancel()
        gone.cancel()


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _say(request: Request, error: RequestError) -> Response:
    response = _json({"error": str(error)}, error.code)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _say_route(request: Request, error: HTTPException) -> Response:
    """TensorFlow Serving calls what it has no route for malformed, below `/v1/`."""
    is_v1 = request.url.path.startswith("/v1/") and error.status_code == 404
    message = f"Malformed request: {request.method} {request.url.path}"
    return _json({"error": message}, 400 if is_v1 else error.status_code)


def _json(document: Any, code: int = 200) -> Response:
    return Response(write_json(document), code, media_type="application/json")
