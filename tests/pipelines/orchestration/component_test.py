import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from pipelines.cli.flags import preset_config
from pipelines.components import graph
from pipelines.orchestration import artifacts
from pipelines.orchestration.component import Component, RunContext, StageError
from tests.helpers import ROOT


@dataclasses.dataclass(frozen=True)
class NumberConfig:
    value: int = 1


class Number(Component):
    runs = 0

    def execute(self, inputs, output, context):
        type(self).runs += 1
        (output / "value.txt").write_text(str(self.config.value))
        return {"value": self.config.value}


class Double(Component):
    runs = 0

    def execute(self, inputs, output, context):
        type(self).runs += 1
        value = int((inputs["number"].directory / "value.txt").read_text())
        (output / "value.txt").write_text(str(2 * value))
        return {}

    def check(self, artifact):
        if (artifact.directory / "value.txt").read_text() == "26":
            raise StageError("unlucky")


@pytest.fixture
def context(tmp_path):
    Number.runs = Double.runs = 0
    return RunContext(tmp_path)


def make(value=1):
    number = Number(NumberConfig(value))
    return [number, Double(None, number=number)]


def test_an_artifact_says_where_it_came_from(context):
    number, double = make(3)
    graph.run([number, double], context, report=lambda line: None)
    artifact = artifacts.Artifact.read(double.artifact.directory)
    assert (artifact.directory / "value.txt").read_text() == "6"
    assert artifact.inputs["number"]["digest"] == number.artifact.digest
    assert artifact.producer == "Double"
    assert artifacts.Artifact.read(number.artifact.directory).config == {"value": 3}
    assert artifact.versions["keras"]


def test_a_second_run_reuses_everything(context):
    for _ in range(2):
        components = make()
        graph.run(components, context, report=lambda line: None)
    assert all(component.was_reused for component in components)
    assert (Number.runs, Double.runs) == (1, 1)


def test_a_changed_config_reruns_from_there_on(context):
    graph.run(make(1), context, report=lambda line: None)
    graph.run(make(2), context, report=lambda line: None)
    assert (Number.runs, Double.runs) == (2, 2)


def test_an_equal_input_keeps_what_is_behind_it(context):
    class Renamed(Number):
        pass

    graph.run(make(1), context, report=lambda line: None)
    number = Renamed(NumberConfig(1))
    graph.run([number, Double(None, number=number)], context, report=lambda line: None)
    assert Double.runs == 1, "its input has the same digest"


def test_a_failing_stage_leaves_no_artifact(context):
    class Failing(Component):
        def execute(self, inputs, output, context):
            (output / "half").write_text("half")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        Failing().run(context)
    assert not list((context.pipeline_root / "Failing").glob("*/artifact.json"))


def test_check_stops_new_and_reused_artifacts(context):
    for _ in range(2):
        with pytest.raises(StageError, match="unlucky"):
            make(13)[1].run(context)
    assert Double.runs == 1


def test_on_start_is_called_when_work_starts_and_only_then(context):
    seen = []
    Number(NumberConfig(1)).run(context, on_start=lambda: seen.append(Number.runs))
    assert seen == [0], "before the work"
    Number(NumberConfig(1)).run(context, on_start=lambda: seen.append("reused"))
    assert seen == [0]


def test_a_run_reports_and_prepares_before_work_only(context):
    lines, started = [], []
    for _ in range(2):
        graph.run(make(1), context, report=lines.append, on_start=lambda: started.append(len(lines)))
    shown = [line.replace(str(context.pipeline_root), "").split(" s: ")[0].split("done")[0].strip() for line in lines]
    assert shown[:4] == ["[1/2] Number ...", "[1/2] Number", "[2/2] Double ...", "[2/2] Double"]
    assert len(lines) == 6
    assert all("reused" in line for line in lines[4:])
    assert started == [1, 3]


def test_a_run_looks_once_at_what_lies_outside_and_tells_the_stage(context):
    class Outside(Component):
        looks = 0
        told = None

        def external_inputs(self, inputs, context):
            type(self).looks += 1
            return {"look": 1}

        def execute(self, inputs, output, context):
            type(self).told = dict(context.external)
            return {}

    graph.run([Outside()], context, report=lambda line: None)
    assert (Outside.looks, Outside.told) == (1, {"look": 1})


def test_an_artifact_that_lost_its_outside_part_is_made_again(context):
    class Outside(Component):
        def execute(self, inputs, output, context):
            (context.pipeline_root / "outside").touch()
            return {}

        def is_intact(self, artifact):
            return (context.pipeline_root / "outside").exists()

    Outside().run(context)
    (context.pipeline_root / "outside").unlink()
    component = Outside()
    component.run(context)
    assert not component.was_reused


def test_an_artifact_that_lost_a_file_is_made_again_and_one_more_file_harms_nothing(context):
    artifact = Number(NumberConfig(1)).run(context)
    for name in (".DS_Store", "Thumbs.db", "copy.xlsx", ".ipynb_checkpoints/copy.ipynb"):
        (artifact.directory / name).parent.mkdir(exist_ok=True)
        (artifact.directory / name).write_text("left by a person, or by what that person works with")
    again = Number(NumberConfig(1))
    again.run(context)
    assert again.was_reused and (artifact.directory / "copy.xlsx").is_file()
    (artifact.directory / "value.txt").write_text("")
    assert (Number(NumberConfig(1)).run(context).directory / "value.txt").read_text() == "1"
    (artifact.directory / "value.txt").unlink()
    assert (Number(NumberConfig(1)).run(context).directory / "value.txt").read_text() == "1"


def test_an_unreadable_artifact_of_another_configuration_is_no_obstacle(context):
    artifact = Number(NumberConfig(1)).run(context)
    (artifact.directory / artifacts.ARTIFACT_FILE).write_text("{")
    assert Number(NumberConfig(2)).plan(context).action == "run"
    assert Number(NumberConfig(1)).run(context).properties == artifact.properties


def test_plan_names_a_stage_that_would_stop(context):
    with pytest.raises(StageError):
        graph.run(make(13), context, report=lambda line: None)
    plan = dict(graph.plan(make(13), context))
    assert (plan["Double"].action, plan["Double"].reason) == ("stop", "unlucky")


def test_components_take_a_directory_as_input(context):
    number = Number(NumberConfig(4)).run(context)
    double = Double(None, number=str(number.directory)).run(context)
    assert (double.directory / "value.txt").read_text() == "8"


def test_a_missing_artifact_is_named(context, tmp_path):
    with pytest.raises(ValueError, match="nowhere"):
        Double(None, number=tmp_path / "nowhere").run(context)


def test_plan_says_what_and_why_and_runs_nothing(context):
    plan = dict(graph.plan(make(1), context))
    assert plan["Number"].action == "run"
    assert "nothing from an earlier run" in plan["Number"].reason
    assert plan["Double"].reason == "Number runs before it"
    assert Number.runs == 0
    graph.run(make(1), context, report=lambda line: None)
    assert [item.action for _, item in graph.plan(make(1), context)] == ["reuse", "reuse"]
    changed = dict(graph.plan(make(5), context))["Number"]
    assert (changed.action, changed.reason) == ("run", "value: 1 -> 5")


def test_another_version_of_stage_or_package_runs_anew(context, monkeypatch):
    graph.run(make(1), context, report=lambda line: None)
    for target, value in (
        ("tests.pipelines.orchestration.component_test.Double.version", 2),
        ("pipelines.orchestration.component.__version__", "9"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(target, value)
            assert dict(graph.plan(make(1), context))["Double"].action == "run"
    assert dict(graph.plan(make(1), context))["Double"].action == "reuse"


@pytest.mark.slow
def test_what_fails_in_a_process_of_beams_is_named_in_one_line(tmp_path):
    import apache_beam as beam

    context = RunContext(tmp_path, ("--direct_running_mode=multi_processing", "--direct_num_workers=2"))
    with pytest.raises(StageError, match=r"^image 7 is damaged: restore it$"), context.beam_pipeline() as pipeline:
        _ = pipeline | beam.Create([7]) | beam.Map(_stop)


def _stop(number):
    raise StageError(f"image {number} is damaged: restore it")


def test_an_error_of_tensorflows_own_type_stops_as_others_do(context):
    class Full(Component):
        def execute(self, inputs, output, context):
            import tensorflow as tf

            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with pytest.raises(StageError, match=r"Full: .*No space left on device"):
        Full().run(context)


@pytest.mark.parametrize("name", ["runs [hushem]", "what?", "a*"])
def test_a_root_that_beam_takes_for_a_pattern_is_refused_at_once(name, tmp_path):
    config = dataclasses.replace(preset_config("demo"), pipeline_root=str(tmp_path / name))
    with pytest.raises(StageError, match="pipeline_root must be a path without"):
        graph.build(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"cbam_after": ("block3zz",)}, "block3zz"), ({"name": "vit_tiny", "weights": "none"}, "multiple of 16")],
)
def test_a_network_that_cannot_be_built_is_refused_before_the_first_stage(changes, message, tmp_path):
    config = preset_config("demo")
    model = dataclasses.replace(config.trainer.model, **{"name": "efficientnet_b0_cbam", "weights": "none", **changes})
    config = dataclasses.replace(
        config,
        pipeline_root=str(tmp_path),
        trainer=dataclasses.replace(config.trainer, model=model),
        transform=dataclasses.replace(config.transform, image_size=100),
    )
    with pytest.raises(ValueError, match=message):
        graph.run(graph.build(config), RunContext(tmp_path), report=lambda line: None)
    assert not list(tmp_path.glob("*/[!.]*"))


def test_the_digest_depends_on_names_and_contents_only(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "file").write_text("text")
        (tmp_path / name / artifacts.ARTIFACT_FILE).write_text(name)
    digests = [artifacts.digest_directory(tmp_path / name) for name in ("a", "b")]
    assert digests[0] == digests[1]
    (tmp_path / "b" / "sub" / "file").rename(tmp_path / "b" / "sub" / "other")
    assert artifacts.digest_directory(tmp_path / "b") != digests[0]


SLOW_STAGE = """
import pathlib, sys, time
from pipelines.orchestration.component import Component, RunContext

class Slow(Component):
    def execute(self, inputs, output, context):
        (output / "first").write_text("1")
        with (context.pipeline_root / "executions").open("a") as file:
            file.write("x")
        already = (context.work_dir / "progress").exists()
        (context.work_dir / "progress").touch()
        time.sleep(float(sys.argv[2]))
        (output / "second").write_text("2")
        return {"resumed": already}

artifact = Slow().run(RunContext(pathlib.Path(sys.argv[1])))
print(artifact.properties["resumed"])
"""


def start_slow(root, seconds):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW_STAGE, str(root), str(seconds)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path, timeout_s=30):
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)


@pytest.mark.integration
def test_kill_9_leaves_nothing_half_written_and_the_work_directory_resumes(tmp_path):
    process = start_slow(tmp_path, 60)
    wait_for(tmp_path / "executions")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not list((tmp_path / "Slow").glob("*/artifact.json"))
    process = start_slow(tmp_path, 0)
    assert process.communicate()[0].strip() == "True"
    (finished,) = (tmp_path / "Slow").glob("[!.]*")
    assert sorted(path.name for path in finished.iterdir()) == ["artifact.json", "first", "second"]
    assert not list((tmp_path / "Slow").glob(".*.work"))


@pytest.mark.integration
def test_two_runs_on_one_root_do_the_work_once(tmp_path):
    processes = [start_slow(tmp_path, 3)]
    wait_for(tmp_path / "executions")
    processes.append(start_slow(tmp_path, 3))
    said = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert (
        "waits for another run" not in said[0]
        and f"Slow waits for another run (process {processes[0].pid} on " in said[1]
    )
    assert (tmp_path / "executions").read_text() == "x"
    (finished,) = (tmp_path / "Slow").glob("[!.]*")
    assert json.loads((pathlib.Path(finished) / "artifact.json").read_text())["producer"] == "Slow"
