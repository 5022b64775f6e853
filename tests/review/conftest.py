import dataclasses

import pytest

from sperm_tf.review.journal import Journal
from tests.review.browser import CHROMIUM, DRIVER
from tests.review.reviews import make_image

CLASS_NAMES = ("normal", "abnormal", "non-sperm")


@pytest.fixture(scope="session")
def classifier():
    """A tiny model whose probabilities spread, without a decision rule; read only."""
    from sperm_tf.serving.classifier import Classifier
    from tests import tiny_models

    model = tiny_models.build(image_size=24)
    logits = model.get_layer("logits")
    logits.set_weights([logits.get_weights()[0] * 30, logits.get_weights()[1]])
    return Classifier(model, CLASS_NAMES, 24)


@pytest.fixture(scope="session")
def rule(classifier):
    """Accepts some of the images and refers others."""
    from sperm_tf.decision.rule import DecisionRule

    highest = sorted(max(p.probabilities.values()) for p in classifier.predict([make_image(seed) for seed in range(6)]))
    threshold = (highest[2] + highest[3]) / 2
    return DecisionRule(1.0, "lac", (0.7, 0.7, 0.7), 0.9, False, threshold, 0.05, 0.05, 600)


@pytest.fixture(scope="session")
def reader(classifier, rule):
    from sperm_tf.review.reader import Reader

    return Reader(dataclasses.replace(classifier, rule=rule), name="tiny")


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "reviews")


@pytest.fixture
def files(tmp_path):
    """Six images, and three files that are none."""
    folder = tmp_path / "dropped"
    folder.mkdir()
    for seed in range(6):
        (folder / f"cell {seed}.png").write_bytes(make_image(seed))
    (folder / "scan.tif").write_bytes(b"II*\0 no crop")
    (folder / "empty.png").write_bytes(b"")
    return [str(path) for path in sorted(folder.iterdir())] + [str(folder / "gone.png")]


@pytest.fixture
def browser(tmp_path):
    if not (CHROMIUM and DRIVER):
        pytest.skip("needs chromium and chromedriver")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.add_argument(f"--user-data-dir={tmp_path / 'chromium'}")
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1280,900"):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()
