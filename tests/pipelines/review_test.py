import importlib.util
import pathlib
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

from pipelines import review
from tests.helpers import ROOT


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global tiny_models
    from tests import tiny_models


def test_help_answers_without_keras():
    code = (
        "import sys; from pipelines import review; assert review.main(['review', '--help']) == 0; "
        "assert not {'gradio', 'keras', 'numpy', 'tensorflow'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "--output=DIR" in done.stdout


@pytest.mark.parametrize("arguments", ((), ("--model=smids",), ("--model=smids", "--output=x", "--port=0"), ("smids",)))
def test_wrong_flags_are_refused(arguments, capsys):
    assert review.main(["review", *arguments]) == 2
    assert "See --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    (
        (("--scores=x", "--model=smids"), "--model must not be given with --scores, which know their model"),
        (("--model=smids", "--output=x", "--all"), "--all needs --scores"),
        (("--output=x",), "--model must be given (or --scores=<folder>, for a finished run)"),
    ),
)
def test_flags_that_do_not_belong_together_are_refused(arguments, expected, capsys):
    assert review.main(["review", *arguments]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "expected"),
    (
        (["--scores=nothing"], "Opening the scores in nothing ..."),
        (["--model=nothing", "--output=x"], "Loading the model nothing ..."),
    ),
)
def test_what_it_does_is_said_before_anything_slow_is_imported(arguments, expected):
    code = (
        "import sys; from pipelines import review\n"
        "def stop():\n"
        "    print(sorted({'gradio', 'keras', 'numpy', 'pandas', 'pyarrow', 'tensorflow'} & set(sys.modules)))\n"
        "    raise SystemExit\n"
        "review.import_tensorflow_quietly = stop\n"
        f"review.main(['review', *{arguments!r}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n" and done.stderr == f"{expected}\n"


def test_progress_is_said_every_two_seconds_with_the_time_left(monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(review.time, "monotonic", lambda: now[0])
    progress = review.Progress()
    for done in range(1, 11):
        now[0] += 0.5
        progress(done, 1000)
    assert capsys.readouterr().err.splitlines() == [
        "4 of 1,000 images read · 8 min 18 s left ...",
        "8 of 1,000 images read · 8 min 16 s left ...",
    ]


@pytest.mark.slow
def test_what_is_missing_is_named(tmp_path, capsys, monkeypatch):
    arguments = ["review", "--model=nothing", f"--output={tmp_path / 'reviews'}"]
    assert review.main(arguments) == 1
    assert "source must be one of the released models" in capsys.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert review.main(arguments) == 1
    assert "pip install 'gradio>=6'" in capsys.readouterr().err


@pytest.mark.slow
def test_a_port_in_use_is_named(tmp_path, capsys):
    pytest.importorskip("gradio")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
        assert review.main(["review", "--model=hushem", f"--output={tmp_path}", f"--port={port}"]) == 1
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == handlers
    assert f"port {port}. If another program does, choose another --port" in capsys.readouterr().err


def test_a_model_is_named_without_the_path_to_it(tmp_path, monkeypatch):
    folder = tmp_path / "Calibrator" / "1a2b"
    folder.mkdir(parents=True)
    for name in ("model.keras", "model.json"):
        (folder / name).touch()
    (tmp_path / "smids").mkdir()  # the unpacked dataset
    monkeypatch.chdir(tmp_path)
    names = [review.name_model(str(source)) for source in ("smids", folder, folder / "tuned.keras")]
    assert names == ["smids", "Calibrator/1a2b", "tuned.keras"]


@pytest.mark.integration
def test_the_page_starts_and_leaves_nothing_behind_when_it_is_stopped(tmp_path):
    pytest.importorskip("gradio")
    import keras

    model = keras.Sequential(tiny_models.build(with_gate=False).layers)  # of layers that another process knows
    keras.Model(model.inputs, model.outputs).save(tmp_path / "tiny.keras")
    (tmp_path / "temporary").mkdir()
    command = [sys.executable, "-m", "pipelines.review", f"--model={tmp_path / 'tiny.keras'}", "--class_names=a,b,c"]
    command += [f"--output={tmp_path / 'reviews'}", "--port=7899"]
    environment = {"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    ) as process:
        line = process.stdout.readline()
        assert "http://127.0.0.1:7899" in line, process.stderr.read()
        assert urllib.request.urlopen("http://127.0.0.1:7899").status == 200
        assert [path.name[:9] for path in (tmp_path / "temporary").glob("sperm_tf*")] == ["sperm_tf_"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    assert not list((tmp_path / "temporary").glob("sperm_tf*"))
    assert pathlib.Path(tmp_path / "reviews" / "images").is_dir()
