"""SMIDS, trained for images of other cameras and laboratories.

    python -m pipelines.run --preset=smids_robust --manual_dir=<folder with SMIDS.zip>
    python -m pipelines.cross_validate --preset=smids_robust --manual_dir=<folder with SMIDS.zip> --results_dir=robust

The recipe of `smids_b0` with staining, blur and noise changed too, stacked on the other augmentations as in BigAug
(Zhang et al. 2020, IEEE Transactions on Medical Imaging 39:2531-2540), in the order in which they befall an image. What
it costs on clean images and gains on corrupted ones: `python -m benchmarks.robust_training`, figures in
`benchmarks/README.md`. It needs a results_dir of its own, since the published answers to SMIDS are those of the preset
`smids_b0`.
"""

import dataclasses

from pipelines.configs import smids_b0
from sperm_tf.config import PipelineConfig


def get_config() -> PipelineConfig:
    """The configuration."""
    config = smids_b0.get_config()
    augmentation = (*config.trainer.augmentation, "stain", "blur", "noise")
    trainer = dataclasses.replace(config.trainer, augmentation=augmentation)
    return dataclasses.replace(config, preset="smids_robust", pipeline_root="runs/smids_robust", trainer=trainer)
