"""Beam's runners: what is checked before a runner elsewhere starts to work, and one message for what failed there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pathlib
import re
import shutil
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import apache_beam as beam
import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions

from pipelines.orchestration import artifacts
from pipelines.orchestration.component import StageError
from sperm_tf.version import __version__

LOOPBACK, DOCKER = "LOOPBACK", "DOCKER"
_EMBEDDED = "embed"  # Beam's own value of --job_endpoint, for a job server in this process
_CONNECT_S = 5.0
_NUM_PROBES = 16  # elements, so that every worker gets one, most likely
_WORKER_ERROR = re.compile(r"^[\w.]+(?:Error|Exception): (.+?)(?: \[while running .*)?$", re.MULTILINE)
_ANY_ERROR = re.compile(r"\b((?:\w+\.)*\w+(?:Error|Exception): .+)$", re.MULTILINE)


class RunnerPipeline(beam.Pipeline):
    """A pipeline that raises a StageError of one line for what failed in another process.

    Args:
        beam_args: Apache Beam's own flags, the runner's name among them.
    """

    def __init__(self, beam_args: Sequence[str]):
        options = PipelineOptions(list(beam_args))
        super().__init__(options=options)
        self._endpoint = options.view_as(PortableOptions).job_endpoint

    def __exit__(self, *details: Any) -> None:
        """Runs the pipeline, as Beam's own class does."""
        try:
            with contextlib.ExitStack() as stack:
                if self._endpoint:
                    stack.enter_context(_quiet())
                    stack.enter_context(self._cancelled_when_stopped())
                super().__exit__(*details)
        except RuntimeError as error:  # whose message is the whole traceback of that process
            if isinstance(error, StageError):
                raise
            cause = find_cause(str(error))
            if not self._endpoint and cause is None:
                raise
            raise StageError(cause or self._describe(str(error))) from error
        except (grpc.RpcError, grpc.FutureTimeoutError) as error:
            details_of = getattr(error, "details", lambda: "no reply in time")
            raise StageError(self._describe(f"the job server is gone ({details_of()})")) from error

    @contextlib.contextmanager
    def _cancelled_when_stopped(self) -> Iterator[None]:
        """Cancels the job when this program is stopped: it would be tried again, without its workers."""
        is_ours = threading.current_thread() is threading.main_thread() and (
            signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        )
        if is_ours:
            signal.signal(signal.SIGTERM, _raise_terminated)
        try:
            yield
        except (KeyboardInterrupt, _Terminated) as stopped:
            if result := getattr(self, "result", None):  # none before the job server has the job
                with contextlib.suppress(grpc.RpcError):  # the job server is gone, too
                    result.cancel()
            if isinstance(stopped, _Terminated):
                signal.raise_signal(signal.SIGTERM)  # at once: an exit may abort in threads of the workers
            raise
        finally:
            if is_ours:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _describe(self, cause: str) -> str:
        found = _ANY_ERROR.findall(cause)
        line = (found[-1] if found else cause).strip().splitlines()[0]
        return (
            f"the runner at --job_endpoint={self._endpoint} must finish its work. Received: {line}. The job server's "
            "log says more; the same command goes on with what is not finished."
        )


def find_cause(message: str) -> str | None:
    """The message of the Python error that is reported last; None where there is none.

    Args:
        message: of the runner's error, with tracebacks of Python and of Java.
    """
    lines = [line for line in _WORKER_ERROR.findall(message) if not line.startswith("java.")]
    return lines[-1].strip() if lines else None


class _Terminated(BaseException):
    """SIGTERM came."""


def _raise_terminated(number: int, frame: Any) -> NoReturn:
    del frame
    signal.signal(number, signal.SIG_DFL)  # a second one ends the program
    raise _Terminated


class _WithoutTracebacks:
    """A stream without the tracebacks that Beam's workers print to it, each in one call."""

    def __init__(self, stream: Any):
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return len(text) if text.startswith("Traceback (most recent call last)") else self._stream.write(text)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Beam's log of failures out of the terminal: hundreds of lines, of which the message has the cause."""
    logger = logging.getLogger("apache_beam")
    level, excepthook = logger.level, threading.excepthook

    def say(failed: threading.ExceptHookArgs) -> None:
        if not isinstance(failed.exc_value, grpc.RpcError):  # of a worker's thread that Flink hung up on
            excepthook(failed)

    logger.setLevel(logging.CRITICAL)
    threading.excepthook = say
    try:
        with contextlib.redirect_stderr(_WithoutTracebacks(sys.stderr)):
            yield
    finally:
        threading.excepthook = excepthook
        logger.setLevel(level)


def check(beam_args: Sequence[str], pipeline_root: pathlib.Path, folders: Sequence[str | pathlib.Path] = ()) -> None:
    """Refuses, before work starts, a runner elsewhere that could not do it; does nothing for a local runner.

    The job server must be there. Workers of another environment than LOOPBACK must see the folders and have this
    program's packages, which a job of a few seconds finds out.

    Args:
        beam_args: Apache Beam's own flags.
        pipeline_root: where results go.
        folders: further ones that the workers read.

    Raises:
        StageError: the message says what is missing.
    """
    options = PipelineOptions(list(beam_args)).view_as(PortableOptions)
    if not options.job_endpoint or options.job_endpoint == _EMBEDDED:
        return
    _check_endpoint(options.job_endpoint)
    if options.environment_type == LOOPBACK:
        return
    if options.environment_type in (None, DOCKER) and not options.environment_config:
        raise StageError(
            "environment_type must be LOOPBACK, for workers in this process, EXTERNAL, for those of a worker pool, or "
            f"DOCKER with an image that has this package. Received: --environment_type={options.environment_type} "
            "without --environment_config. docs/scaling.md has the commands."
        )
    _probe(beam_args, pipeline_root, folders)


def _check_endpoint(endpoint: str) -> None:
    host, _, port = endpoint.rpartition(":")
    try:
        if not port.isdecimal():
            raise ValueError("no port")
        socket.create_connection((host.strip("[]") or "localhost", int(port)), timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        raise StageError(
            f"job_endpoint must be host:port of a job server that listens. Received: --job_endpoint={endpoint} "
            f"({error}). Start deploy/flink/job_server.sh first (docs/scaling.md)."
        ) from error


def _probe(beam_args: Sequence[str], pipeline_root: pathlib.Path, folders: Sequence[str | pathlib.Path]) -> None:
    folder = pipeline_root / f".workers_{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    try:
        with RunnerPipeline(beam_args) as pipeline:
            _ = (
                pipeline
                | beam.Create(range(_NUM_PROBES))
                | beam.Reshuffle()
                | "Probe" >> beam.Map(describe_worker, str(folder), [str(path) for path in folders])
            )
        workers = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    except StageError as error:
        if "No module named" not in str(error):
            raise
        raise StageError(
            f"workers must have the packages of this process. Received: {error}. Install sperm_tf there, of this "
            "version, and start the worker pool again."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not workers:
        raise StageError(_not_shared(pipeline_root, "the workers, which wrote nothing that is seen here,"))
    _check_versions(workers)


def describe_worker(number: int, folder: str, folders: Sequence[str]) -> None:
    """Writes what a worker has into a folder of the run's; in whichever process Beam chose.

    Args:
        number: of the element.
        folder: of this probe.
        folders: further ones that must be there.

    Raises:
        StageError: this worker does not see a folder.
    """
    host = socket.gethostname()
    for path in (folder, *folders):
        if not pathlib.Path(path).exists():
            raise StageError(_not_shared(pathlib.Path(folder).parent if path == folder else path, f"worker {host}"))
    content = json.dumps({"host": host, "versions": _versions()})
    (pathlib.Path(folder) / f"{host}_{os.getpid()}_{number}.json").write_text(content, encoding="utf-8")


def _not_shared(path: str | pathlib.Path, who: str) -> str:
    return (
        f"folders must be shared with the workers, under the same path. Received: {path}, which {who} does not see. "
        "Put it on a file system that all machines mount."
    )


def _versions() -> dict[str, str]:
    return {"sperm_tf": __version__, **artifacts.library_versions()}


def _check_versions(workers: Sequence[dict[str, Any]]) -> None:
    own = _versions()
    for worker in workers:
        theirs = worker["versions"]
        if theirs != own:
            names = sorted(name for name in own.keys() | theirs.keys() if own.get(name) != theirs.get(name))
            listed = ", ".join(f"{name} {theirs.get(name)} instead of {own.get(name)}" for name in names)
            raise StageError(
                f"workers must have the packages of this process. Received: {listed}, on {worker['host']}. Install "
                "the same requirements there."
            )
