"""Synthetic sperm heads, EfficientNet-B0 with CBAM from random initialisation: the whole pipeline in minutes.

    python -m pipelines.run

It shows that everything works; its figures say nothing about real sperm.
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
        preset="demo",
        pipeline_root="runs/demo",
        example_gen=ExampleGenConfig(dataset="synthetic_sperm", builder_config="head_shape", num_images=600),
        transform=TransformConfig(image_size=128),
        trainer=TrainerConfig(
            model=ModelConfig(name="efficientnet_b0_cbam", weights="none", norm_momentum=0.9),
            frozen_epochs=0,
            full_epochs=12,
            full_learning_rate=1e-3,
            batch_size=8,  # few images: with 32 there would be too few steps to learn anything in the time
            augmentation=("flip", "rotation"),
        ),
        evaluator=EvaluatorConfig(min_accuracy=0.4),  # well above guessing; raise it to what your use needs
    )
