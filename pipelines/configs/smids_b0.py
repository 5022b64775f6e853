"""SMIDS with EfficientNet-B0, the paper's network: the recipe of the release `smids@1`.

    python -m pipelines.run --preset=smids_b0 --manual_dir=<folder with SMIDS.zip>
    python -m pipelines.cross_validate --preset=smids_b0 --manual_dir=<folder with SMIDS.zip> --repeats=2

The network starts from weights that were trained on drawn sperm alone, and a prediction is averaged over eight views.
Its results stand beside those of `--preset=smids` in docs/results.md.
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
        preset="smids_b0",
        pipeline_root="runs/smids_b0",
        example_gen=ExampleGenConfig(dataset="smids", builder_config="clean"),
        transform=TransformConfig(image_size=128),
        trainer=TrainerConfig(
            model=ModelConfig(name="efficientnet_b0_cbam", weights="synthetic", dropout=0.3, norm_momentum=0.95),
            frozen_epochs=0,
            full_epochs=18,
            full_learning_rate=1e-3,
            weight_decay=1e-2,
            label_smoothing=0.05,
            augmentation=("flip", "rotation", "zoom", "translation", "brightness", "contrast", "saturation"),
            early_stopping_patience=0,
            checkpoint="last",
            views=8,
        ),
        evaluator=EvaluatorConfig(min_accuracy=0.6),  # well above guessing; raise it to what your use needs
    )
