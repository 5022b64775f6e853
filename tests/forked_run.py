"""Runs of `pipelines.run` in forks of one process that has imported TensorFlow, Keras, Beam and TFMA.

A process of its own imports them for ten seconds of an idle core, and a small pipeline has little else to do. The runs
share these modules alone: the process that is forked has computed nothing.
"""

import multiprocessing
import os
import pathlib
import sys
import tempfile
import traceback


class ForkedRun:
    """`python -m pipelines.run ARGUMENTS`, started.

    Attributes:
        pid: of the process, as for `os.kill`.
    """

    def __init__(self, *arguments):
        self._folder = tempfile.TemporaryDirectory()
        self._output = pathlib.Path(self._folder.name, "output.txt")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.forked_modules"])
        self._process = context.Process(target=_main, args=(self._output, arguments))
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        """The exit status, or None while it runs."""
        return self._process.exitcode

    def wait(self):
        """Waits for the end; returns the exit status and what was printed."""
        self._process.join()
        return self._process.exitcode, self.printed()

    def printed(self):
        """What was printed so far."""
        return self._output.read_text(encoding="utf-8") if self._output.exists() else ""  # not before it has begun


def _main(output, arguments):
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", encoding="utf-8"), os.fdopen(2, "w", encoding="utf-8")
    sys.argv = ["pipelines.run", *arguments]
    from pipelines import run

    try:
        status = run.main()
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
