"""HuSHeM: normal, tapered, pyriform and amorphous sperm heads; 216 crops.

    python -m pipelines.run --preset=hushem --manual_dir=<folder with HuSHeM.zip or the official RAR>
    python -m pipelines.run --preset=hushem --config.trainer.model.weights=imagenet \
        --config.trainer.frozen_epochs=5 \
        --config.trainer.full_learning_rate=1e-4 --config.trainer.model.norm_momentum=0.99

MixUp and label smoothing as in the paper. The paper does not state their strength in its abstract; 0.2 and 0.1 are
the customary values (Zhang et al. 2018; Szegedy et al. 2016).
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
        preset="hushem",
        pipeline_root="runs/hushem",
        example_gen=ExampleGenConfig(dataset="hushem", builder_config="clean"),
        transform=TransformConfig(image_size=128),
        trainer=TrainerConfig(
            model=ModelConfig(name="efficientnet_b0_cbam", weights="smids", dropout=0.3, norm_momentum=0.95),
            frozen_epochs=0,
            full_epochs=25,
            full_learning_rate=1e-3,
            weight_decay=1e-2,
            batch_size=16,
            label_smoothing=0.1,
            augmentation=("flip", "rotation", "zoom", "translation", "brightness", "contrast", "saturation"),
            early_stopping_patience=0,
            checkpoint="last",
            views=8,
        ),
        evaluator=EvaluatorConfig(min_accuracy=0.4),  # well above guessing; raise it to what your use needs
    )
