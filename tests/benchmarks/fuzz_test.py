"""A short campaign of each target, and the campaign itself on a target with known faults."""

import pytest

from benchmarks.fuzz import campaign, models, mutations, seeds
from benchmarks.fuzz.inputs import Input
from tests.benchmarks import faulty_worker

NUM_INPUTS = 300


def check(target, *, start=0, inputs=NUM_INPUTS):
    """Problems of inputs, in this process; and the number of outcomes of each kind."""
    found, kinds = [], {}
    for first in range(start, start + inputs, target.batch):
        batch = [
            Input(number, *mutations.mutate(target.files, seed=0, number=number))
            for number in range(first, first + target.batch)
        ]
        for one, (outcome, problem) in zip(batch, target.check(batch), strict=True):
            kinds[outcome] = kinds.get(outcome, 0) + 1
            if problem:
                found.append((one.number, one.name, problem))
    return found, kinds


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    models.export(folder)
    return folder


def test_mutations_follow_from_seed_and_number():
    files = seeds.make_pictures()
    first = [mutations.mutate(files, seed=1, number=number) for number in range(50)]
    assert first == [mutations.mutate(files, seed=1, number=number) for number in range(50)]
    assert len({content for _, content in first}) > 45
    assert sum(content != files[name] for name, content in first) > 40
    png = bytearray(files["png_rgb"])
    png[40] ^= 1
    assert mutations.mend_checksums(bytes(png)) != bytes(png)
    assert mutations.mend_checksums(files["png_rgb"]) == files["png_rgb"]


@pytest.mark.integration
def test_decoders_agree():
    from benchmarks.fuzz.targets import DecoderTarget

    found, kinds = check(DecoderTarget(None))
    assert not found and kinds["ok"] > 30 and kinds["undecodable"] > 100, kinds


@pytest.mark.integration
def test_microscope_files_are_read_or_refused():
    from benchmarks.fuzz.targets import MicroscopyTarget

    found, kinds = check(MicroscopyTarget(None))
    assert not found and kinds["ok"] > 30 and kinds["MicroscopyError"] > 100, kinds


@pytest.mark.integration
def test_a_valid_image_keeps_its_prediction_beside_mutated_ones(exported):
    from benchmarks.fuzz.targets import GraphTarget

    found, kinds = check(GraphTarget(exported), inputs=304)
    assert not found and kinds["ok"] > 30, kinds


@pytest.mark.integration
def test_a_server_responds_to_mutated_requests():
    from benchmarks.fuzz.server_target import ServerTarget

    target = ServerTarget(None)
    try:
        found, kinds = check(target, inputs=304)
    finally:
        target.close()
    assert not found and kinds["200"] > 100 and kinds["400"] > 20, kinds


def test_crashes_and_hangs_are_recorded_and_the_others_checked(tmp_path):
    fuzzing = campaign.Campaign("faulty", tmp_path, bounds=campaign.Bounds(seconds=2.0), module=faulty_worker.__name__)
    report = fuzzing.run(12)
    problems = {problem["number"]: problem["problem"] for problem in report.problems}
    assert set(problems) == {
        faulty_worker.CRASH, faulty_worker.HANG, faulty_worker.WRONG, faulty_worker.RAISE
    }  # fmt: skip
    assert "ended with -6" in problems[faulty_worker.CRASH] and "Aborted" in problems[faulty_worker.CRASH]
    assert problems[faulty_worker.HANG] == "more than 2 s"
    assert problems[faulty_worker.RAISE] == "LookupError: nothing there"
    assert report.checked == 12
