"""A process that is asked to end, with a model that is made up."""

import concurrent.futures
import signal
import time

from sperm_tf.serving import serve
from tests.serving.server import running
from tests.serving.server.app_test import PREDICT, instances
from tests.serving.server.running import call

SCRIPT = """
import runpy, time

from sperm_tf.serving.server import sources
from sperm_tf.serving.server.backends import Opened
from tests.serving.server.running import CLASS_NAMES, MadeUp


class Slow(MadeUp):
    def predict(self, prepared):
        time.sleep(60 if prepared == [[b"for ever"]] else 1)
        return super().predict(prepared)


sources.open_folder = lambda *_, **__: Opened(Slow(), "made_up", CLASS_NAMES)
runpy.run_module("sperm_tf.serving.serve", run_name="__main__")
"""


def serving(tmp_path, *arguments):
    (tmp_path / "sperm" / "1").mkdir(parents=True)
    (tmp_path / "sperm" / "1" / "saved_model.pb").touch()
    return running.process(f"--model={tmp_path}", *arguments, run=("-c", SCRIPT))


def test_requests_that_wait_are_finished(tmp_path):
    with (
        serving(tmp_path, "--max_batch=1") as (process, url),
        concurrent.futures.ThreadPoolExecutor(3) as pool,
    ):
        replies = [pool.submit(call, url + PREDICT, instances(b"x")) for _ in range(3)]
        time.sleep(0.8)
        process.send_signal(signal.SIGTERM)
        assert [reply.result()[0] for reply in replies] == [200] * 3
        assert process.wait(20) == 0


def test_a_batch_that_nobody_waits_for_delays_no_end(tmp_path):
    with serving(tmp_path, "--timeout_s=0.5") as (process, url):
        assert call(url + PREDICT, instances(b"for ever"))[0] == 504
        start = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 0
        assert time.monotonic() - start < serve.STOP_S + 15
