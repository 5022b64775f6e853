import re

import pytest
from google.protobuf import text_format

from sperm_tf.serving import client
from tests import helpers

FOLDER = helpers.ROOT / "deploy" / "tf_serving"


@pytest.mark.parametrize("with_labels", [False, True])
def test_the_model_config_parses(with_labels):
    from tensorflow_serving.config import model_server_config_pb2

    text = (FOLDER / "model.config").read_text()
    if with_labels:  # the lines that the file offers as a comment
        lines = [line.replace("# ", "") if " { " in line else line for line in text.splitlines()]
        text = "\n".join(lines)
    (model,) = text_format.Parse(text, model_server_config_pb2.ModelServerConfig()).model_config_list.config
    assert model.base_path == f"/models/{model.name}" and model.model_platform == "tensorflow"
    assert dict(model.version_labels) == ({"stable": 1, "canary": 2} if with_labels else {})
    assert list(model.model_version_policy.specific.versions) == ([1, 2] if with_labels else [])


def test_prometheus_asks_where_the_metrics_are():
    path = re.search('path: "(.*)"', (FOLDER / "monitoring.config").read_text())[1]
    assert f"metrics_path: {path}\n" in (FOLDER / "prometheus.yml").read_text()


def test_the_largest_allowed_batch_is_the_largest_batch():
    """TensorFlow Serving refuses other settings."""
    text = (FOLDER / "batching_parameters.txt").read_text()
    sizes = [int(size) for size in re.findall(r"allowed_batch_sizes: (\d+)", text)]
    assert sizes == sorted(sizes) and f"max_batch_size {{ value: {sizes[-1]} }}" in text


def test_the_client_sends_as_much_as_a_batch_holds():
    text = (FOLDER / "batching_parameters.txt").read_text()
    assert int(re.search(r"max_batch_size { value: (\d+) }", text)[1]) == client.MAX_REQUEST_IMAGES


def test_the_compose_file_mounts_what_it_names():
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((FOLDER / "docker-compose.yml").read_text())["services"]["serving"]
    files = [flag.partition("=/config/")[2] for flag in service["command"] if "=/config/" in flag]
    assert "./:/config:ro" in service["volumes"] and len(files) == 3
    for file in files:
        assert (FOLDER / file).is_file()
    assert service["environment"] == {"TF_ENABLE_ONEDNN_OPTS": "1"}
