import csv

import pytest
from google.protobuf import text_format

from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import RunContext, StageError
from sperm_tf.config import ExampleValidatorConfig
from tests import examples_fixture


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global anomalies_pb2, ExampleValidator, schema_pb2, statistics_pb2
    from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

    from pipelines.components.example_validator import ExampleValidator


def validate(tmp_path, splits=None, *, max_undecodable_share=0.01, **kwargs):
    folder = tmp_path / "examples"
    folder.mkdir(parents=True)
    examples_fixture.write_examples(folder, splits, shards=2, **kwargs)
    source = Artifact(folder, "ExampleGen", "", "digest", {}, {}, {}, {}, {}, "", 0.0, {})
    component = ExampleValidator(ExampleValidatorConfig(max_undecodable_share), examples=source)
    return component.run(RunContext(tmp_path / "root"))


def test_statistics_and_schema_of_good_examples(tmp_path):
    artifact = validate(tmp_path)
    path = artifact.directory / "statistics" / "Split-train" / "FeatureStats.pb"
    (statistics,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes()).datasets
    features = {feature.path.step[0]: feature for feature in statistics.features}
    assert (statistics.name, statistics.num_examples) == ("train", 16)
    assert features["width"].num_stats.mean == 48
    assert features["label"].num_stats.common_stats.num_non_missing == 16
    top = {value.value: value.frequency for value in features["label_name"].string_stats.top_values}
    assert top == dict.fromkeys(examples_fixture.CLASS_NAMES, 4)
    schema = text_format.Parse((artifact.directory / "schema/schema.pbtxt").read_text(), schema_pb2.Schema())
    domains = {feature.name: feature for feature in schema.feature}
    assert list(domains["label_name"].string_domain.value) == list(examples_fixture.CLASS_NAMES)
    assert domains["label"].int_domain.max == 3
    assert artifact.properties == {"num_anomalies": 0, "num_undecodable": 0}


def without_class(splits):
    splits["validation"] = [row for row in splits["validation"] if row["label"] != 2]


def with_shared_image(splits):
    splits["test"].append({**splits["train"][0], "group_id": b"another", "image_id": b"copy"})


def with_shared_group(splits):
    splits["test"][0]["group_id"] = splits["train"][0]["group_id"]


def with_wrong_name(splits):
    splits["train"][0]["label_name"] = b"round"


def with_wrong_number(splits):
    splits["train"][0]["label"] = 9


def with_other_pixels(splits):
    splits["train"][0]["image"] = splits["train"][1]["image"]


@pytest.mark.parametrize(
    ("damage", "feature", "message"),
    [
        (without_class, "label", "'validation' has no image of: pyriform"),
        (with_shared_image, "pixel_sha256", "the same decoded image"),
        (with_shared_group, "group_id", "near duplicates"),
        (with_wrong_name, "label", "'round'"),
        (with_wrong_number, "label", "9="),
        (with_other_pixels, "pixel_sha256", "differ from their recorded hash"),
    ],
)
def test_what_makes_figures_worthless_stops_the_run(tmp_path, damage, feature, message):
    splits = examples_fixture.default_splits()
    damage(splits)
    with pytest.raises(StageError, match=message):
        validate(tmp_path, splits)
    (path,) = (tmp_path / "root").glob("ExampleValidator/*/anomalies/anomalies.pbtxt")
    anomalies = text_format.Parse(path.read_text(), anomalies_pb2.Anomalies())
    assert message in anomalies.anomaly_info[feature].description
    assert anomalies.anomaly_info[feature].severity == anomalies_pb2.AnomalyInfo.ERROR


def test_few_undecodable_files_are_listed_and_many_stop_the_run(tmp_path):
    bad = ["normal/broken.bmp", "tapered/empty.bmp"]
    splits = examples_fixture.default_splits()
    splits["train"][0]["image"] = b"no image"
    artifact = validate(tmp_path, splits, undecodable=bad, max_undecodable_share=0.2)
    with (artifact.directory / "undecodable.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == [*bad, splits["train"][0]["image_id"].decode()]
    with pytest.raises(StageError, match=r"3 of 66 files \(4.5%\)"):
        validate(tmp_path / "again", splits, undecodable=bad, max_undecodable_share=0.04)
