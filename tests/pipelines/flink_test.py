"""Commands on Apache Flink; needs Java 17 and the jars that deploy/flink/job_server.sh prepare fetches."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time

import grpc
import pytest

from pipelines import fields, score
from sperm_tf.data.decode import encode_png
from sperm_tf.synthesis.field_renderer import render_field
from sperm_tf.synthesis.renderer import render
from tests.helpers import ROOT

pytestmark = pytest.mark.integration

JOB_SERVER = ROOT / "deploy" / "flink" / "job_server.sh"
NUM_CROPS = 24
START_S = 120


def find_jars():
    """Folder of the jars, as job_server.sh finds it."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    return pathlib.Path(os.environ.get("SPERM_TF_FLINK_JARS") or cache / "sperm_tf" / "flink-1.19")


def setup_module():
    """Imports Beam, which takes seconds, when a test runs and not when it is found."""
    global beam_job_api_pb2, beam_job_api_pb2_grpc, JobState
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    JobState = beam_job_api_pb2.JobState


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    """Address of a job server with Flink in it."""
    if shutil.which("java") is None:
        pytest.skip("needs Java 17")
    if not (find_jars() / "classes").is_dir():
        pytest.skip(f"needs the jars in {find_jars()}: deploy/flink/job_server.sh prepare fetches them")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("flink") / "job_server.log"
    with log.open("wb") as output:
        server = subprocess.Popen([JOB_SERVER, f"--job-port={port}"], stdout=output, stderr=output)
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            if server.poll() is not None and "Java must be" in log.read_text():
                pytest.skip(log.read_text())
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
    yield f"127.0.0.1:{port}"
    server.send_signal(signal.SIGTERM)
    server.wait(30)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    for index in range(NUM_CROPS):
        (folder / f"{index:03d}.png").write_bytes(encode_png(render(index, label_set="quality").image))
    (folder / "damaged.png").write_bytes(b"no image")
    return folder


def flink(endpoint):
    return ["--runner=FlinkRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK", "--parallelism=2"]


def run_score(crops, output, *arguments):
    command = ["score", "--model=smids", f"--input={crops}", f"--output={output}", "--shard_size=4", *arguments]
    assert score.main(command) == 0
    return (output / "scores.csv").read_bytes()


def test_scores_are_those_of_the_local_runner(endpoint, crops, tmp_path, capfd):
    spread = run_score(crops, tmp_path / "flink", *flink(endpoint))
    assert spread.count(b"\n") == 1 + NUM_CROPS + 1 and b"unknown_format" in spread
    assert spread == run_score(crops, tmp_path / "local")
    assert "Traceback" not in capfd.readouterr().err


def test_cells_are_those_of_the_local_runner(endpoint, tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(2):
        field = render_field(index, pixel_size_um=0.1, seed=1).image
        (pictures / f"{index}.png").write_bytes(encode_png(field))
    for name, arguments in (("flink", flink(endpoint)), ("local", [])):
        command = [
            "fields",
            "--model=smids",
            f"--input={pictures}",
            f"--output={tmp_path / name}",
            "--shard_size=1",
        ]
        assert fields.main([*command, *arguments]) == 0
    spread = (tmp_path / "flink" / "cells.csv").read_bytes()
    assert spread.count(b"\n") > 5 and spread == (tmp_path / "local" / "cells.csv").read_bytes()


def test_a_command_that_is_stopped_leaves_no_job(endpoint, crops, tmp_path):
    output = tmp_path / "scores"
    arguments = ["--model=smids", f"--input={crops}", f"--output={output}", "--shard_size=1", *flink(endpoint)]
    command = subprocess.Popen([sys.executable, "-m", "pipelines.score", *arguments], cwd=ROOT)
    while not list(output.glob("shards/*.parquet")):
        assert command.poll() is None
        time.sleep(0.05)
    command.send_signal(signal.SIGTERM)
    assert command.wait(60) == -signal.SIGTERM
    assert not (output / "scores.csv").exists()
    assert {job.state for job in list_jobs(endpoint)} <= {JobState.DONE, JobState.CANCELLED, JobState.CANCELLING}
    assert run_score(crops, output, "--shard_size=1", *flink(endpoint)) == run_score(crops, tmp_path / "local")


def list_jobs(endpoint):
    with grpc.insecure_channel(endpoint) as channel:
        service = beam_job_api_pb2_grpc.JobServiceStub(channel)
        return service.GetJobs(beam_job_api_pb2.GetJobsRequest(), timeout=30).job_info


def test_the_job_server_listens_on_one_interface(endpoint):
    host, _, port = endpoint.rpartition(":")
    socket.create_connection((host, int(port)), timeout=1).close()
    with pytest.raises(ConnectionRefusedError):  # another address of the loopback interface, as good as any other
        socket.create_connection(("127.0.0.2", int(port)), timeout=1).close()
