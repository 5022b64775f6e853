"""Small stand-ins: drawn examples, and a SavedModel with the served signatures that knows colours only."""

import io
import json
import pathlib

import numpy as np
from PIL import Image

from pipelines.orchestration import artifacts
from sperm_tf.data import examples

CLASS_NAMES = ("normal", "tapered", "pyriform", "amorphous")
PALETTE = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200], [180, 180, 60]], np.float32)


def draw_png(label: int, rng: np.random.Generator, *, confusion: float = 60.0, size: int = 24) -> bytes:
    """A PNG of the class's colour; `confusion` is the spread of colours around it, 0-255."""
    colour = np.clip(PALETTE[label] + rng.normal(0, confusion, 3), 0, 255)
    pixels = np.clip(colour + rng.normal(0, 4, (size, size, 3)), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_examples(
    folder: pathlib.Path,
    *,
    num_images: int = 60,
    split: str = "test",
    class_names: tuple[str, ...] = CLASS_NAMES,
    labels: list[int] | None = None,
    bad_rows: tuple[int, ...] = (),
    num_shards: int = 2,
    images_per_group: int = 2,
    seed: int = 0,
) -> pathlib.Path:
    """Writes a split as ExampleGen does; the images of `bad_rows` are no images."""
    rng = np.random.default_rng(seed)
    records = []
    for index in range(num_images):
        label = labels[index] if labels is not None else index % len(class_names)
        image = b"no image" if index in bad_rows else draw_png(label, rng)
        records.append(
            {
                "image": image,
                "label_name": class_names[label].encode(),
                "image_id": f"{split}_{index:04d}".encode(),
                "pixel_sha256": f"{index:064x}".encode(),
                "group_id": f"{split}_group_{index // images_per_group // len(class_names)}_{label}".encode(),
                "source_format": (b"PNG", b"BMP")[index % 3 == 0],
                "label": label,
                "width": 24,
                "height": 24,
                "fold": 0,
            }
        )
    for shard in range(num_shards):
        serialized = [examples.to_example(record).SerializeToString() for record in records[shard::num_shards]]
        examples.write_shard(examples.shard_path(folder, split, shard, num_shards), serialized)
    info = {"name": "drawn", "config": "colours", "version": "1.0.0", "class_names": list(class_names)}
    (folder / examples.DATASET_FILE).write_text(json.dumps(info), encoding="utf-8")
    return folder


def export_model(
    directory: pathlib.Path, *, class_names: tuple[str, ...] = CLASS_NAMES, sharpness: float = 1e-3, shift: int = 0
) -> pathlib.Path:
    """Exports a SavedModel with the signatures of `sperm_tf.serving`: it compares mean colours.

    Args:
        directory: where to.
        class_names: of the classes.
        sharpness: how fast probabilities fall with the squared distance of colours.
        shift: mixes up the classes, for a model that is mostly wrong.
    """
    import tensorflow as tf

    palette = tf.constant(np.roll(PALETTE[: len(class_names)], shift, axis=0))
    num_classes = len(class_names)

    def mean_colour(image_bytes):
        is_png = tf.strings.substr(image_bytes + "....", 1, 3) == b"PNG"  # longer, as an empty image may come
        mean = tf.cond(
            is_png,
            lambda: tf.reduce_mean(tf.cast(tf.io.decode_png(image_bytes, channels=3), tf.float32), axis=(0, 1)),
            lambda: tf.zeros([3]),
        )
        return mean, is_png

    def answer(image_bytes):
        means, readable = tf.map_fn(mean_colour, image_bytes, fn_output_signature=(tf.float32, tf.bool))
        distances = tf.reduce_sum((means[:, None] - palette[None]) ** 2, axis=-1)
        probabilities = tf.nn.softmax(-sharpness * distances) * tf.cast(readable, tf.float32)[:, None]
        names = tf.constant(list(class_names))
        return {
            "status": tf.where(readable, "ok", "unknown_format"),
            "predicted_class": tf.where(readable, tf.gather(names, tf.argmax(probabilities, axis=-1)), ""),
            "probabilities": probabilities,
            "class_names": tf.repeat(names[None], tf.shape(image_bytes)[0], axis=0),
            "prediction_set": (probabilities >= tf.minimum(0.3, tf.reduce_max(probabilities, axis=1, keepdims=True)))
            & readable[:, None],
            "decision": tf.where(tf.reduce_max(probabilities, axis=1) > 0.6, "accept", "refer"),
            "reason": tf.where(
                readable, tf.where(tf.reduce_max(probabilities, axis=1) > 0.6, "confident", "uncertain"), "unreadable"
            ),
            "unfamiliarity": tf.cast(readable, tf.float32) * 0.5,
        }

    class Served(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def serve(self, image_bytes):
            return answer(image_bytes)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serve_examples(self, serialized):
            spec = {"image": tf.io.FixedLenFeature([], tf.string)}
            return answer(tf.io.parse_example(serialized, spec)["image"])

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def explain(self, image_bytes):
            outputs = answer(image_bytes)
            batch = tf.shape(image_bytes)[0]
            for name in ("layer_integrated_gradients", "grad_cam_plus_plus"):
                outputs[name] = tf.zeros([batch, 3, 3])
            return outputs

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image_bytes")])
        def explain_classes(self, image_bytes):
            maps = tf.zeros([tf.shape(image_bytes)[0], num_classes, 3, 3])
            return self.explain(image_bytes) | {"grad_cam_plus_plus_per_class": maps}

    module = Served()
    tf.saved_model.save(
        module,
        str(directory),
        signatures={
            "serving_default": module.serve,
            "serving_examples": module.serve_examples,
            "explain": module.explain,
            "explain_classes": module.explain_classes,
        },
    )
    return directory


def make_model(directory: pathlib.Path, **kwargs) -> artifacts.Artifact:
    """A Trainer artifact around `export_model`."""
    export_model(directory / "saved_model", **kwargs)
    names = list(kwargs.get("class_names", CLASS_NAMES))
    (directory / "model.json").write_text(json.dumps({"class_names": names, "image_size": 24}), encoding="utf-8")
    return make_artifact(directory, "Trainer")


def make_artifact(directory: pathlib.Path, producer: str) -> artifacts.Artifact:
    """Turns a folder into a finished artifact."""
    artifact = artifacts.Artifact(
        directory=directory,
        producer=producer,
        fingerprint="0" * 64,
        digest=artifacts.digest_directory(directory),
        config={},
        inputs={},
        external={},
        properties={},
        versions={},
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=0.0,
        files=artifacts.list_files(directory),
    )
    artifact.write()
    return artifact
