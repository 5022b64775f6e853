"""StrangerAudit: predictions of a network for out-of-distribution inputs."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from pipelines.components.predictions_file import ANSWERS_FILE
from pipelines.components.source_images import read_images, sample
from pipelines.cross_validation.fold_model import FoldModel, open_fold
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component, RunContext
from sperm_tf.audit_config import StrangerAuditConfig
from sperm_tf.config import NUM_FOLDS

TESTED, OTHER_DATASET = "tested", "other_dataset"


class StrangerAudit(Component):
    """Shows a network its test images, and out-of-distribution inputs.

    Layout: `answers.csv`, one row an image: `kind` (`tested` for the images of the test part, `other_dataset`, or of
    `sperm_tf.evaluation.robustness.ood_inputs.KINDS`), `image_id`, `group_id` (what is made of one test image or stock
    picture, or belongs to a group of the dataset, is one group; of several images, that of the first), `unfamiliarity`,
    `confidence` (the highest probability), `predicted`, `decision`, `reason`.

    Args:
        config: how many, and the seed.
        **inputs: `model` from FoldCalibrator, `examples` from ExampleGen and, if there is one, `other` from the
            ExampleGen of another dataset.
    """

    config: StrangerAuditConfig
    version = 4  # several cells, and cells of another scale

    def execute(self, inputs: Mapping[str, Artifact], output: pathlib.Path, context: RunContext) -> dict[str, Any]:
        """Makes the images, predicts, and writes the predictions."""
        del context
        fold = open_fold(inputs["model"], inputs["examples"])
        files: dict[tuple[str, str, str], bytes] = {
            (TESTED, image.image_id, image.group_id): image.image for image in fold.tested
        }
        for kind, name, group, content in self._strangers(fold, inputs.get("other")):
            files[kind, name, group] = content
        rows = []
        for (kind, image_id, group_id), found in zip(
            files, fold.classifier.predict(list(files.values()), refuse_fields=False), strict=True
        ):
            if found.probabilities:
                rows.append(
                    {
                        "kind": kind,
                        "image_id": image_id,
                        "group_id": group_id,
                        "unfamiliarity": f"{found.unfamiliarity:.6g}",
                        "confidence": f"{max(found.probabilities.values()):.6g}",
                        "predicted": found.predicted_class,
                        "decision": found.decision,
                        "reason": found.reason,
                    }
                )
        pd.DataFrame(rows).to_csv(output / ANSWERS_FILE, index=False)
        return {"num_tested": len(fold.tested), "num_strangers": len(rows) - len(fold.tested)}

    def _strangers(self, fold: FoldModel, other: Artifact | None) -> Iterator[tuple[str, str, str, bytes]]:
        """Kind, name, group and content of images, others for every fold."""
        from sperm_tf.data.decode import decode_rgb, encode_png
        from sperm_tf.evaluation.quantification.class_roles import is_no_sperm
        from sperm_tf.evaluation.robustness.ood_composition import COMPOSITIONS
        from sperm_tf.evaluation.robustness.ood_inputs import KINDS, make_strangers

        familiar = [decode_rgb(image.image).pixels for image in fold.tested]
        everything, names = range(len(familiar)), fold.classifier.class_names
        cells = [index for index in everything if not is_no_sperm(names[fold.tested[index].label])]
        seed = self.config.seed * NUM_FOLDS + fold.fold
        for kind in KINDS:
            sources = cells if kind in COMPOSITIONS else everything
            shown = [familiar[index] for index in sources]
            drawn = make_strangers(kind, shown, count=self.config.num_images, seed=seed)
            for number, stranger in enumerate(drawn):
                name = f"{kind}_{fold.fold}_{number}"
                group = stranger.picture or name
                if stranger.familiar is not None:
                    group = fold.tested[sources[stranger.familiar]].group_id
                yield kind, name, group, encode_png(stranger.pixels)
        if other is not None:
            images = sample(read_images(other), self.config.num_images * NUM_FOLDS)[fold.fold :: NUM_FOLDS]
            yield from ((OTHER_DATASET, image.image_id, image.group_id, image.image) for image in images)
