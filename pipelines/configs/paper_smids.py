"""SMIDS as in the paper (arXiv 2606.20438): one split, ImageNet weights, freeze, then unfreeze.

    python -m pipelines.run --preset=paper_smids --manual_dir=<folder with SMIDS>
    python -m pipelines.run --preset=paper_smids --manual_dir=<folder> --config.trainer.model.weights=synthetic

For reading beside the paper's table, not for choosing a model: `pipelines.cross_validate` measures.

The paper reports 90.2 % on its test images, whose number and choice are not known. Here fold 0 tests (590 images),
fold 1 validates, and the others train.

The learning rates and numbers of epochs are not in the paper's abstract either; these are customary for fine-tuning.
"""

from sperm_tf.config import (
    ExampleGenConfig,
    ModelConfig,
    PipelineConfig,
    TrainerConfig,
    TransformConfig,
)


def get_config() -> PipelineConfig:
    """The configuration."""
    return PipelineConfig(
        preset="paper_smids",
        pipeline_root="runs/paper_smids",
        example_gen=ExampleGenConfig(dataset="smids", builder_config="clean"),
        transform=TransformConfig(image_size=224),
        trainer=TrainerConfig(
            model=ModelConfig(name="efficientnet_b0_cbam", weights="imagenet"),
            frozen_epochs=5,
            full_epochs=25,
            frozen_learning_rate=1e-3,
            full_learning_rate=1e-4,
            batch_size=32,
        ),
    )
