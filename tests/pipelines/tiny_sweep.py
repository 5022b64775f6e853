"""A cross-validation that is small enough for a test."""

from pipelines import cross_validate

FLAGS = (
    "--preset=demo",
    "--models=simple_cnn",
    "--config.example_gen.num_images=80",
    "--config.transform.image_size=32",
    "--config.trainer.full_epochs=1",
    "--config.trainer.views=8",
    "--config.trainer.checkpoint=last",
    "--config.trainer.early_stopping_patience=0",
)


def folders(folder):
    return f"--pipeline_root={folder / 'root'}", f"--results_dir={folder / 'results'}"


def run_sweep(folder, *flags):
    return cross_validate.main(["cross_validate", *FLAGS, "--repeats=1", *folders(folder), *flags])
