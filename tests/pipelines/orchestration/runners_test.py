import json
import os
import signal
import socket
import threading
import types

import pytest

from pipelines.orchestration.component import RunContext, StageError


def setup_module():
    """Imports Beam, which takes seconds, when a test runs and not when it is found."""
    global runners
    from pipelines.orchestration import runners


@pytest.fixture
def listening():
    """An address that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_local_runner_is_not_checked(tmp_path):
    for arguments in ((), ("--direct_num_workers=2",), ("--job_endpoint=embed",)):
        RunContext(tmp_path, arguments).check_runner(tmp_path / "missing")


def test_a_job_server_that_is_not_there_is_refused_at_once(tmp_path, listening):
    for endpoint in ("127.0.0.1:1", "localhost", "127.0.0.1:99999"):
        context = RunContext(tmp_path, ("--runner=FlinkRunner", f"--job_endpoint={endpoint}"))
        with pytest.raises(StageError, match=rf"job_endpoint=\S*{endpoint} .*Start deploy/flink/job_server\.sh"):
            context.check_runner()
    RunContext(tmp_path, (f"--job_endpoint={listening}", "--environment_type=LOOPBACK")).check_runner()


def test_workers_without_this_package_are_refused(tmp_path, listening):
    with pytest.raises(StageError, match=r"environment_type must be LOOPBACK, .* --environment_type=None without"):
        RunContext(tmp_path, ("--runner=FlinkRunner", f"--job_endpoint={listening}")).check_runner()


def test_workers_are_asked_for_folders_and_versions(tmp_path, monkeypatch):
    probe, further = tmp_path / "probe", tmp_path / "images"
    with pytest.raises(StageError, match=rf"Received: {tmp_path}, which worker \S+ does not see"):
        runners.describe_worker(0, str(probe), [])
    probe.mkdir()
    with pytest.raises(StageError, match=rf"Received: {further}, which worker"):
        runners.describe_worker(0, str(probe), [str(further)])
    further.mkdir()
    runners.describe_worker(3, str(probe), [str(further)])
    (worker,) = [json.loads(path.read_text()) for path in probe.glob("*_3.json")]
    runners._check_versions([worker])
    changed = {**worker, "versions": {**worker["versions"], "keras": "2.0"}}
    with pytest.raises(StageError, match=rf"Received: keras 2\.0 instead of \S+, on {socket.gethostname()}\."):
        runners._check_versions([worker, changed])


def test_the_probe_runs_in_the_workers_and_leaves_nothing(tmp_path):
    arguments = ["--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"]
    runners._probe(arguments, tmp_path, [tmp_path])
    assert not list(tmp_path.iterdir())
    with pytest.raises(StageError, match=r"which worker .* does not see"):
        runners._probe(arguments, tmp_path, [tmp_path / "missing"])
    assert not list(tmp_path.iterdir())


JAVA = """Pipeline BeamApp failed in state FAILED: java.io.IOException: Insufficient number of network buffers: required
2, but only 0 available."""
PYTHON = """Pipeline BeamApp failed in state FAILED: java.lang.RuntimeException: Error received from SDK harness for
instruction 5: Traceback (most recent call last):
  File "worker.py", line 1, in run
pipelines.orchestration.component.StageError: image 7 is damaged: restore it [while running 'Map(stop)']

java.util.concurrent.ExecutionException: java.lang.RuntimeException: gone
"""


def test_the_cause_of_a_failure_is_one_line():
    assert runners.find_cause(PYTHON) == "image 7 is damaged: restore it"
    assert runners.find_cause(JAVA) is None
    pipeline = runners.RunnerPipeline(["--runner=PortableRunner", "--job_endpoint=localhost:8099"])
    described = pipeline._describe(JAVA)
    assert "\n" not in described and "java.io.IOException: Insufficient number of network buffers" in described


def test_what_a_worker_prints_stays_out_of_the_terminal(tmp_path, capfd):
    context = RunContext(tmp_path, ("--runner=PortableRunner", "--job_endpoint=embed", "--environment_type=LOOPBACK"))
    with pytest.raises(StageError, match=r"^7 is damaged$"), context.beam_pipeline() as pipeline:
        import apache_beam as beam

        _ = pipeline | beam.Create([7]) | beam.Map(stop)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("error", "is_shown"), [("RpcError", False), ("FutureCancelledError", True)])
def test_a_thread_that_flink_hung_up_on_says_nothing(error, is_shown, monkeypatch):
    import grpc

    said = []
    monkeypatch.setattr(threading, "excepthook", lambda failed: said.append(failed.exc_type))
    with runners._quiet():
        thread = threading.Thread(target=raise_it, args=(getattr(grpc, error)(),))
        thread.start()
        thread.join()
    assert said == ([getattr(grpc, error)] if is_shown else [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_is_stopped_cancels_its_job(number, monkeypatch):
    import apache_beam as beam

    done = []

    def run(pipeline, *details):
        pipeline.result = types.SimpleNamespace(cancel=lambda: done.append("cancel"))
        os.kill(os.getpid(), number)

    monkeypatch.setattr(beam.Pipeline, "__exit__", run)
    monkeypatch.setattr(signal, "raise_signal", lambda raised: done.append((raised, signal.getsignal(raised))))
    pipeline = runners.RunnerPipeline(["--runner=PortableRunner", "--job_endpoint=localhost:8099"])
    default = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    handlers = {each: signal.signal(each, handler) for each, handler in default.items()}  # whatever another test left
    try:
        with pytest.raises((runners._Terminated, KeyboardInterrupt)):
            pipeline.__exit__(None, None, None)
        restored = signal.getsignal(signal.SIGTERM)
    finally:
        for each, handler in handlers.items():
            signal.signal(each, signal.SIG_DFL if handler is None else handler)
    assert done == ["cancel", (signal.SIGTERM, signal.SIG_DFL)][: 2 if number == signal.SIGTERM else 1]
    assert restored is signal.SIG_DFL


def raise_it(error):
    raise error


def stop(number):
    raise StageError(f"{number} is damaged")
