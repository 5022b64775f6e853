"""A small folder of examples, as ExampleGen writes it, whose images are drawn here."""

import csv
import hashlib
import io
import json

import numpy as np
from PIL import Image

from sperm_tf.data import examples
from sperm_tf.data.identity import pixel_sha256

CLASS_NAMES = ("normal", "tapered", "pyriform", "amorphous")
EXCLUDED_FIELDS = ("image_id", "reason", "label_name", "related_image_id", "distance", "detail")


def draw(label, index, size=(40, 48)):
    """A noisy picture whose class is told by the position of a dark square; uint8 [H, W, 3]."""
    rng = np.random.default_rng([label, index])
    pixels = rng.integers(180, 220, (*size, 3), np.uint8)
    row, column = divmod(label, 2)
    pixels[4 + 18 * row : 18 + 18 * row, 4 + 20 * column : 20 + 20 * column] //= 3
    return pixels


def encode(pixels, image_format="PNG"):
    """Encoded bytes of an image."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, image_format)
    return file.getvalue()


def features(label, index, **changes):
    """The features of one example; `changes` override them."""
    pixels = draw(label, index)
    values = {
        "image": encode(pixels),
        "label": label,
        "label_name": CLASS_NAMES[label].encode(),
        "image_id": f"{CLASS_NAMES[label]}/{index:03d}.png".encode(),
        "pixel_sha256": pixel_sha256(pixels).encode(),
        "group_id": f"{CLASS_NAMES[label]}/{index:03d}.png".encode(),
        "source_format": b"PNG",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "fold": index % 5,
    }
    return {**values, **changes}


def default_splits(per_class=4):
    """Split -> features of `per_class` examples of every class, none of them shared."""
    start = {split: position * per_class for position, split in enumerate(examples.SPLITS)}
    return {
        split: [
            features(label, start[split] + index) for label in range(len(CLASS_NAMES)) for index in range(per_class)
        ]
        for split in examples.SPLITS
    }


def write_examples(folder, splits=None, *, shards=1, undecodable=(), num_source_images=None):
    """Writes the folder and returns it."""
    splits = default_splits() if splits is None else splits
    for split, rows in splits.items():
        for shard in range(shards):
            serialized = [examples.to_example(row).SerializeToString() for row in rows[shard::shards]]
            examples.write_shard(examples.shard_path(folder, split, shard, shards), serialized)
    total = sum(len(rows) for rows in splits.values()) + len(undecodable)
    info = {
        "name": "drawn",
        "config": "clean",
        "version": "1.0.0",
        "class_names": list(CLASS_NAMES),
        "description": "Drawn squares.",
        "homepage": "",
        "citation": "",
        "license": "",
        "folds": {"train": [2, 3, 4], "validation": [1], "test": [0]},
        "num_source_images": num_source_images or total,
        "num_undecodable": len(undecodable),
    }
    (folder / examples.DATASET_FILE).write_text(json.dumps(info))
    with (folder / "excluded.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, EXCLUDED_FIELDS)
        writer.writeheader()
        writer.writerows({"image_id": image_id, "reason": "undecodable"} for image_id in undecodable)
    (folder / "near_duplicates.csv").write_text("image_id,related_image_id,distance,labels\n")
    return folder


def digest(path):
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
