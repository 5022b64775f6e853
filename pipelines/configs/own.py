"""Images of your own: a folder with one folder per class, or a CSV table (docs/adding_a_dataset.md).

    python -m pipelines.run --preset=own --data_dir=<folder or table.csv>

Without `--data_dir` it looks for a folder `images` in the working directory. The recipe is that of `smids_b0`, which
starts from the backbone that was pretrained on drawn sperm (`weights=synthetic`) and suits some thousands of images.
With fewer, take more epochs and smaller batches:

    --config.trainer.full_epochs=60 --config.trainer.batch_size=16

Random weights are `--config.trainer.model.weights=none`, with more epochs; `simple_cnn` and `vit_tiny` need them, and
`vit_tiny` learns next to nothing at the rate of the others: for it
`--config.trainer.full_learning_rate=1e-4 --config.trainer.warmup_share=0.15`.
Where classes differ much in size, `--config.trainer.class_weights=true` weighs them alike.
"""

from pipelines.configs import smids_b0
from sperm_tf.config import EvaluatorConfig, ExampleGenConfig, PipelineConfig, TransformConfig


def get_config() -> PipelineConfig:
    """The configuration."""
    return PipelineConfig(
        preset="own",
        pipeline_root="runs/own",
        example_gen=ExampleGenConfig(dataset="own_images", builder_config="clean", data_dir="images"),
        transform=TransformConfig(image_size=128),
        trainer=smids_b0.get_config().trainer,
        # No constant answer reaches a macro F1 of 0.5, whatever the number and sizes of the classes; raise it to what
        # your use needs.
        evaluator=EvaluatorConfig(min_macro_f1=0.5),
    )
