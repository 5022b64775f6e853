"""Workers for jobs of Beam that Flink runs: `python deploy/flink/worker_pool.py`, on every machine of Flink's.

    ... --runner=FlinkRunner --job_endpoint=... --environment_type=EXTERNAL --environment_config=127.0.0.1:50000

Beam's own `worker_pool_main` listens on every interface, starts whichever `python` is first in the PATH, and stops a
worker that prints 64 KiB. This one listens on one, starts this Python, and shows what workers print.
"""

from __future__ import annotations

import argparse
import atexit
import subprocess
import sys
import time
from typing import Any

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc
from apache_beam.runners.worker.worker_pool_main import BeamFnExternalWorkerPoolServicer, kill_process_gracefully
from apache_beam.utils import thread_pool_executor

_WORKER = """
import sys

from apache_beam.runners.worker.sdk_worker import SdkHarness

SdkHarness(sys.argv[1], worker_id=sys.argv[2]).run()
"""


class WorkerPool(BeamFnExternalWorkerPoolServicer):
    """Starts a process for every worker that Flink wants."""

    def StartWorker(self, request: Any, context: Any) -> Any:  # noqa: N802  (gRPC's name)
        """Starts a worker; its id and where it finds its work are in the request."""
        del context
        command = [sys.executable, "-c", _WORKER, request.control_endpoint.url, request.worker_id]
        print(f"worker_pool: starts worker {request.worker_id}", file=sys.stderr, flush=True)
        try:
            self._worker_processes[request.worker_id] = subprocess.Popen(command, stdout=sys.stderr)
        except OSError as error:
            return beam_fn_api_pb2.StartWorkerResponse(error=str(error))
        return beam_fn_api_pb2.StartWorkerResponse()

    def stop(self) -> None:
        """Ends all workers."""
        for process in self._worker_processes.values():
            kill_process_gracefully(process)


def main() -> None:
    """Serves until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=50000)
    options = parser.parse_args()
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    pool = WorkerPool(use_process=True)
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(pool, server)
    server.add_insecure_port(f"{options.host}:{options.port}")
    server.start()
    atexit.register(pool.stop)
    print(f"worker_pool: listens on {options.host}:{options.port}", file=sys.stderr, flush=True)
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        server.stop(None)


if __name__ == "__main__":
    main()
