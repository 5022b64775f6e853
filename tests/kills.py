"""Kills a process at every step of its work, and lets the same work be done again.

A step is a call by which Python opens a file for writing, or makes, renames or removes a file or folder, below the
folder of the work. The process is a fork of one that has imported everything, so a step costs milliseconds; the signal
is a real one.

Command line: `python -m tests.kills MODULE:FUNCTION TEMPLATE OUTPUT SIGNAL [EVENT,...]`.
"""

import importlib
import itertools
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import traceback

from tests.helpers import ROOT

CHANGES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
"""Events of `sys.addaudithook`."""
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def kill_at_every_step(work, template, output, number, *, events=CHANGES):
    """Does work in copies of a folder: killed at the first step in the first copy, at the second in the second.

    Args:
        work: `module:function`; the function takes the folder, a `pathlib.Path`.
        template: the folder that is copied.
        output: folder for the copies; absent.
        number: of the signal.
        events: steps that count.

    Returns:
        The copies, in each of which the work was killed once, and then done again without a kill; one at least.
    """
    command = [sys.executable, "-m", "tests.kills", work, template, output, str(int(number)), ",".join(events)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    copies = sorted(output.iterdir())
    assert copies
    return copies


def contents(folder):
    """Relative name -> bytes of every file, and None for every folder, but locks."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if not path.name.endswith((".lock", ".lock.owner"))
    }


def _is_killed(work, folder, step, number, events):
    """Whether a fork that does the work was killed, and not done before it came to the step."""
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, -number):
            sys.exit(f"step {step} in {folder}: exit status {status}")
        return status != 0
    steps = itertools.count()

    def hook(event, arguments):
        if event not in events or (event == "open" and not arguments[2] & _WRITES):
            return
        if _is_inside(arguments[0], folder) and next(steps) == step:
            os.kill(os.getpid(), number)

    if step is not None:
        sys.addaudithook(hook)
    try:
        work(folder)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _is_inside(path, folder):
    """A path that is not absolute is one of `shutil.rmtree`, which goes by open folders."""
    if not isinstance(path, (str, os.PathLike)):
        return False
    return not pathlib.Path(path).is_absolute() or pathlib.Path(path).is_relative_to(folder)


def main(name, template, output, number, events):
    module, _, function = name.partition(":")
    work = getattr(importlib.import_module(module), function)
    for step in itertools.count():
        copy = pathlib.Path(output, f"{step:04d}")
        shutil.copytree(template, copy)
        if not _is_killed(work, copy, step, int(number), events.split(",")):
            shutil.rmtree(copy)
            return
        _is_killed(work, copy, None, signal.SIGKILL, ())


if __name__ == "__main__":
    main(*sys.argv[1:])
