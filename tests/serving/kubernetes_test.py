import json
import re

import pytest

from sperm_tf.serving import serve
from tests import helpers
from tests.serving.server import running
from tests.serving.server.running import call

FOLDER = helpers.ROOT / "deploy" / "kubernetes"


@pytest.fixture(scope="module")
def documents():
    yaml = pytest.importorskip("yaml")
    return {one["kind"]: one for one in yaml.safe_load_all((FOLDER / "inference_service.yaml").read_text())}


@pytest.fixture(scope="module")
def predictor(documents):
    return documents["InferenceService"]["spec"]["predictor"]


def test_the_server_takes_the_arguments(predictor):
    (container,) = predictor["containers"]
    options = serve.parse_arguments(container["args"])
    assert options.port == container["ports"][0]["containerPort"] and options.host == "0.0.0.0"
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    assert mounts[options.model] == "models" and mounts[str(options.labels.parent)] == "labels"
    assert {one["name"] for one in predictor["volumes"]} == set(mounts.values())
    stop = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert predictor["terminationGracePeriodSeconds"] > options.timeout_s + serve.STOP_S + stop


def test_the_labels_are_read(documents, predictor, tmp_path):
    from sperm_tf.serving.server.sources import read_labels

    config_map = documents["ConfigMap"]
    assert config_map["metadata"]["name"] == predictor["volumes"][1]["configMap"]["name"]
    ((name, text),) = config_map["data"].items()
    assert name == serve.parse_arguments(predictor["containers"][0]["args"]).labels.name
    (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / name) == json.loads(text) == {"sperm_smids": {"stable": 1, "canary": 2}}


def test_the_probes_are_answered(predictor):
    (container,) = predictor["containers"]
    with running.thread() as url:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            target = container[probe]["httpGet"]
            assert target["port"] == container["ports"][0]["containerPort"]
            assert call(url + target["path"])[0] == 200


def test_the_image_installs_what_the_extra_names():
    text, setup = ((path / name).read_text() for path, name in ((FOLDER, "Dockerfile"), (helpers.ROOT, "setup.py")))
    extra = re.findall(r'"[^"]+"', re.search(r'"server": \[(.*)\]', setup)[1])
    assert len(extra) == 3 and all(requirement in text for requirement in extra)
