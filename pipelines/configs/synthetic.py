"""Synthetic sperm of both label sets: pretrains EfficientNet-B0 with CBAM where ImageNet's weights are not to be had.

    python -m pipelines.run --preset=synthetic

No photograph is involved. The seven classes are the four head shapes as HuSHeM shows them and the three kinds of crop
as SMIDS shows them. The released backbone, `weights=synthetic`, was trained by this preset.
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
        preset="synthetic",
        pipeline_root="runs/synthetic",
        example_gen=ExampleGenConfig(dataset="synthetic_sperm", builder_config="all", num_images=35_000),
        transform=TransformConfig(image_size=128),
        trainer=TrainerConfig(
            model=ModelConfig(name="efficientnet_b0_cbam", weights="none", norm_momentum=0.9),
            frozen_epochs=0,
            full_epochs=7,
            full_learning_rate=2e-3,
            augmentation=("flip", "rotation", "zoom", "translation", "brightness", "contrast", "saturation"),
        ),
        evaluator=EvaluatorConfig(min_accuracy=0.5),
    )
