"""Explainer: attribution maps of test images that the model classified right and wrong."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipelines.components import explanation_choice
from pipelines.orchestration import progress
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.config import ExplainerConfig
from sperm_tf.data import examples
from sperm_tf.served_names import CBAM_ATTENTION, EXPLAIN, SERVED_MAPS, SHOWN_MAP

EXPLANATIONS_FILE = "explanations.json"
SPLIT = "test"
_BATCH = 16  # images, or views of images, explained at once; bounds memory
_MAX_SIDE = 448  # pixels; larger images are drawn smaller
_NO_AGREEMENT = {"num_images": 0, "max_relative_difference": None, "median_relative_difference": None}


class Explainer(Component):
    """Explains some test images of every true class, right and wrong predictions mixed.

    Layout: `images/<number>.png` (image and maps side by side, with true class, predicted class and probability),
    `images/<number>_<view>.png` (the views apart: `image`, `layer_integrated_gradients`, `grad_cam_plus_plus`,
    `cbam_attention`), and `explanations.json`:

    * `images`: one entry an image, by class: `image_id`, `file`, `files` (view -> file), `true`, `predicted`,
      `probability`, `correct`, `maps` (view -> what `explanation_choice.summarize_map` says);
    * `agreement`: for `layer_integrated_gradients` and `grad_cam_plus_plus`, how far the `explain` signature of the
      SavedModel is from the maps shown, which are those of `sperm_tf.explain.reference`.

    Where the served answer is averaged over rotations and mirror images (`views` in `model.json`), so is what is
    explained. Where the model answered no test image, there is none to explain: `images` is empty and `agreement`
    undefined.
    """

    config: ExplainerConfig
    version = 4  # integrated gradients fade where they say nothing

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Chooses the images, explains them, and draws the maps over them."""
        from sperm_tf.evaluation.metrics import predictions

        del context
        table = predictions.read_csv(inputs["evaluation"].directory / "predictions.csv")
        chosen = explanation_choice.choose_images(table, self.config.images_per_class)
        (output / "images").mkdir()
        if not chosen:
            return _write_content(output, [], dict.fromkeys(SERVED_MAPS, _NO_AGREEMENT))
        predicted = [int(label) for label in table.predicted[chosen]]
        encoded = _read_images(inputs["examples"].directory, [table.image_ids[row] for row in chosen])
        num_views = _read_num_views(inputs["model"].directory)
        served = _ask_served_model(inputs["model"].directory / "saved_model", encoded)
        maps = _compute_maps(inputs["model"].directory, encoded, predicted, served, num_views=num_views)
        items = []
        for number, (row, label) in enumerate(zip(chosen, predicted, strict=True)):
            views = {view: values[number] for view, values in maps.items()}
            item = {
                "image_id": table.image_ids[row],
                "true": table.class_names[table.labels[row]],
                "predicted": table.class_names[label],
                "probability": round(float(table.probabilities[row, label]), 6),
                "correct": bool(label == table.labels[row]),
                "maps": {view: explanation_choice.summarize_map(values) for view, values in views.items()},
            }
            items.append(item | _draw(item, encoded[number], views, output, f"images/{number:03d}"))
        agreement = {name: explanation_choice.compare_maps(maps[name], served[name]) for name in SERVED_MAPS}
        return _write_content(output, items, agreement)


def _write_content(
    output: pathlib.Path, items: Sequence[Mapping[str, Any]], agreement: Mapping[str, Any]
) -> dict[str, Any]:
    """Writes `explanations.json`; returns the artifact's properties."""
    content = {"images": items, "agreement": agreement}
    (output / EXPLANATIONS_FILE).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return {
        "num_images": len(items),
        "num_wrong": sum(not item["correct"] for item in items),
        "max_relative_difference": agreement[SHOWN_MAP]["max_relative_difference"],
    }


def _read_images(folder: pathlib.Path, image_ids: Sequence[str]) -> list[bytes]:
    """Encoded images of the test split, in the order of `image_ids`."""
    wanted = set(image_ids)
    found: dict[str, Any] = {}
    for serialized in examples.read_serialized(examples.shard_paths(folder, SPLIT)).as_numpy_iterator():
        values: dict[str, Any] = examples.from_example(serialized)
        image_id = values["image_id"].decode()
        if image_id in wanted:
            found[image_id] = values["image"]
    return [found[image_id] for image_id in image_ids]


def _read_num_views(model_dir: pathlib.Path) -> int:
    """Number of views of the test-time augmentation; 1 for models that were exported before it existed."""
    return json.loads((model_dir / "model.json").read_text(encoding="utf-8")).get("views", 1)


def _compute_maps(
    model_dir: pathlib.Path,
    encoded: Sequence[bytes],
    predicted: Sequence[int],
    served: Mapping[str, np.ndarray],
    *,
    num_views: int = 1,
) -> dict[str, np.ndarray]:
    """View -> maps, float [N, h, w], 0-1, of the predicted classes, for the prediction averaged over `num_views`.

    The network's own attention is the served one: there is nothing to compute it by but the network.
    """
    import keras
    import tensorflow as tf

    import sperm_tf.layers.attention  # noqa: F401  (registers the layers that the model is made of)
    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.explain.reference import reference_maps
    from sperm_tf.models.views import build_averaged_classifier

    model = _in_float32(keras.models.load_model(model_dir / "model.keras", compile=False))
    image_size = model.input_shape[1]
    averaged = build_averaged_classifier(model, views=num_views)
    batch_size = _BATCH // num_views
    found: dict[str, list[np.ndarray]] = {name: [] for name in SERVED_MAPS}
    progress.expect(len(encoded), "images")
    for start in range(0, len(encoded), batch_size):
        batch = encoded[start : start + batch_size]
        images = np.stack([preprocess(tf.constant(image), image_size).numpy() for image in batch]).astype(np.float32)
        classes = list(predicted[start : start + batch_size])
        for name in SERVED_MAPS:
            found[name].append(reference_maps(name, averaged, images, class_indices=classes))
        progress.advance(len(batch))
    maps = dict(served)
    for name, batches in found.items():
        reference = np.concatenate(batches)
        # tf-keras-vis computes exp(score), which leaves float32 above 88; the served map is then the one there is.
        is_finite = np.isfinite(reference).all(axis=(1, 2), keepdims=True)
        maps[name] = np.where(is_finite, reference, served[name])
    return maps


def _in_float32(model: Any) -> Any:
    """The model itself, or its copy in float32: tf-keras-vis cannot explain one of mixed precision."""
    import keras

    from sperm_tf.models.weights import copy_weights

    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model

    def clone(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "dtype": "float32"})

    copy = keras.models.clone_model(model, clone_function=clone)
    copy_weights(model, copy)
    return copy


def _draw(
    item: Mapping[str, Any], encoded: bytes, views: Mapping[str, np.ndarray], output: pathlib.Path, stem: str
) -> dict[str, Any]:
    """Writes the pictures of one image; returns `file` and `files`, relative to `output`."""
    from PIL import Image

    from sperm_tf.data.decode import decode_rgb
    from sperm_tf.explain import overlay

    source = Image.fromarray(decode_rgb(encoded).pixels)
    source.thumbnail((_MAX_SIDE, _MAX_SIDE))
    pixels = np.asarray(source)
    attention = views.get(CBAM_ATTENTION)
    panel = overlay.draw_panel(
        pixels,
        layer_integrated_gradients=views["layer_integrated_gradients"],
        grad_cam_plus_plus=views["grad_cam_plus_plus"],
        attention=attention,
        true_class=item["true"],
        predicted_class=item["predicted"],
        probability=item["probability"],
    )
    panel.save(output / f"{stem}.png")
    pictures = {"image": pixels, **{name: overlay.draw_overlay(pixels, views[name]) for name in SERVED_MAPS}}
    if attention is not None:
        pictures[CBAM_ATTENTION] = overlay.draw_overlay(pixels, overlay.stretch(attention))
    files = {view: f"{stem}_{view}.png" for view in pictures}
    for view, picture in pictures.items():
        Image.fromarray(picture).save(output / files[view])
    return {"file": f"{stem}.png", "files": files}


def _ask_served_model(saved_model: pathlib.Path, encoded: Sequence[bytes]) -> dict[str, np.ndarray]:
    """Name -> maps, float32 [N, h, w], from the SavedModel's own signature: of the predicted class, and attention."""
    import tensorflow as tf

    explain = tf.saved_model.load(str(saved_model)).signatures[EXPLAIN]
    batches = [encoded[start : start + _BATCH] for start in range(0, len(encoded), _BATCH)]
    answers = [explain(image_bytes=tf.constant(batch)) for batch in batches]
    names = [name for name in (*SERVED_MAPS, CBAM_ATTENTION) if name in answers[0]]
    return {name: np.concatenate([answer[name].numpy() for answer in answers]) for name in names}
