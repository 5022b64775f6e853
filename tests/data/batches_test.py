import numpy as np
import pytest

from sperm_tf.config import TrainerConfig
from sperm_tf.data import examples
from tests import examples_fixture


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global AUGMENTATIONS, batches, build_augmentation
    from sperm_tf.data import batches
    from sperm_tf.training.augmentation import AUGMENTATIONS, build_augmentation


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("examples")
    examples_fixture.write_examples(folder, shards=2)
    return batches.read_images(folder, "train")


def epoch(images, seed, **options):
    dataset = batches.training_batches(images, num_classes=4, batch_size=5, seed=seed, **options)
    return [tuple(np.asarray(part) for part in batch) for batch in dataset]


def test_images_are_those_of_the_files(images):
    found = {image.numpy().tobytes(): int(label) for image, label in images}
    drawn = {examples_fixture.draw(label, index).tobytes(): label for label in range(4) for index in range(4)}
    assert found == drawn
    assert len(images) == 16
    assert np.bincount(batches.read_labels(images)).tolist() == [4, 4, 4, 4]


def test_every_augmentation_takes_images_of_the_files(images):
    for name in set(AUGMENTATIONS) - {"stain_jitter"}:  # which needs keras-cv, and is its layer
        augmentation = build_augmentation(TrainerConfig(augmentation=(name,), mixup_alpha=0.0))
        ((batch, _), *_) = epoch(images, 1, augmentation=augmentation)
        assert batch.shape == (5, 40, 48, 3) and np.isfinite(batch).all(), name


def test_a_training_epoch_holds_every_image_once_but_the_remainder(images):
    result = epoch(images, 1)
    assert [len(image) for image, _ in result] == [5, 5, 5]
    pixels = np.concatenate([image for image, _ in result])
    assert pixels.dtype == np.float32
    assert pixels.max() > 1.5, "0-255: EfficientNet rescales inside"
    assert len(np.unique(pixels.reshape(15, -1), axis=0)) == 15
    assert set(np.concatenate([label for _, label in result]).sum(1)) == {1.0}


def test_a_seed_fixes_the_order_and_another_changes_it(images):
    orders = [np.concatenate([label for _, label in epoch(images, seed)]).argmax(1).tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_class_weights_become_sample_weights_of_mixed_labels(images):
    def mix(image, label):
        return image, 0.5 * label + 0.125

    *_, (_, labels, weights) = epoch(images, 1, augmentation=mix, class_weights=np.array([1.0, 2.0, 3.0, 4.0]))
    np.testing.assert_allclose(weights, labels @ np.array([1.0, 2.0, 3.0, 4.0]), rtol=1e-6)


def test_evaluation_batches_keep_order_and_remainder(images):
    result = list(batches.evaluation_batches(images, num_classes=4, batch_size=5))
    assert [len(label) for _, label in result] == [5, 5, 5, 1]
    labels = np.concatenate([label for _, label in result]).argmax(1)
    assert labels.tolist() == [int(label) for _, label in images]


def test_missing_files_are_named(tmp_path):
    folder = tmp_path / "examples"
    folder.mkdir()
    examples_fixture.write_examples(folder, shards=2)
    examples.shard_paths(folder, "test")[0].unlink()
    with pytest.raises(ValueError, match="1 of 2 files"):
        batches.read_images(folder, "test")
    with pytest.raises(ValueError, match="'nothing'"):
        batches.read_images(folder, "nothing")
