"""Synthetic sperm heads, EfficientNet-B0 with CBAM from the shipped weights `synthetic`: the pipeline in minutes.

    python -m pipelines.run

It shows that everything works; its figures say nothing about real sperm.
"""

from sperm_tf.config import (
    CalibratorConfig,
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
        drawn_fields=3,
        # Another seed than that of the images that the initial weights have seen.
        example_gen=ExampleGenConfig(dataset="synthetic_sperm", builder_config="head_shape", num_images=1100, seed=1),
        transform=TransformConfig(image_size=128),
        trainer=TrainerConfig(
            model=ModelConfig(name="efficientnet_b0_cbam", weights="synthetic", norm_momentum=0.9),
            frozen_epochs=0,
            full_epochs=4,
            full_learning_rate=3e-4,
            batch_size=16,
            augmentation=("flip", "rotation"),
            checkpoint="last",
        ),
        calibrator=CalibratorConfig(max_risk=0.1),  # 220 images calibrate: too few to guarantee the usual 5 %
        evaluator=EvaluatorConfig(min_accuracy=0.4),  # well above guessing; raise it to what your use needs
    )
