"""What the Trainer costs beside a bare `fit` on tensors in memory: python -m benchmarks.trainer_overhead.

Both fine-tune the whole of efficientnet_b0_cbam on the same synthetic images, without augmentation as `fit` has none;
the Trainer reads TFRecord files, writes TensorBoard logs and commits its state after every epoch. An epoch is timed
from its start to the start of the next; the first, which traces, does not count. Target: at least 0.95 of the images
a second.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import tempfile
import time

TARGET = 0.95


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--num_images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=4)
    options = parser.parse_args()

    import keras
    import numpy as np

    from pipelines.components.example_gen import ExampleGen
    from pipelines.components.example_validator import ExampleValidator
    from pipelines.components.trainer import Trainer
    from pipelines.components.transform import Transform
    from pipelines.orchestration.component import RunContext
    from sperm_tf.config import ExampleGenConfig, ExampleValidatorConfig, ModelConfig, TrainerConfig, TransformConfig
    from sperm_tf.data import batches
    from sperm_tf.models.classifier import build_classifier
    from sperm_tf.training import recipe

    config = TrainerConfig(
        model=ModelConfig(), frozen_epochs=0, full_epochs=options.epochs, augmentation=(), deterministic=False
    )
    with tempfile.TemporaryDirectory() as folder:
        context = RunContext(pathlib.Path(folder))
        examples = ExampleGen(ExampleGenConfig(num_images=options.num_images))
        validation = ExampleValidator(ExampleValidatorConfig(), examples=examples)
        transform = Transform(TransformConfig(options.image_size), examples=examples, validation=validation)
        data = transform.run(context).directory
        held_out = batches.evaluation_batches(
            batches.read_images(data, "validation"), num_classes=4, batch_size=config.batch_size
        )
        images, labels = (np.stack(part) for part in zip(*batches.read_images(data, "train"), strict=True))
        images, labels = images.astype("float32"), keras.utils.to_categorical(labels, 4)

        bare_starts: list[float] = []
        model = build_classifier(config.model, num_classes=4, image_size=options.image_size)
        model.compile("adamw", keras.losses.CategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
        watch = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: bare_starts.append(time.perf_counter()))
        arguments = {"batch_size": config.batch_size, "epochs": options.epochs, "validation_data": held_out}
        model.fit(images, labels, callbacks=[watch], verbose=0, **arguments)
        bare_starts.append(time.perf_counter())

        trainer_starts: list[float] = []
        model = build_classifier(config.model, num_classes=4, image_size=options.image_size)
        epochs = Trainer(config, examples=transform).epochs(data, 4)

        def timed_epochs(epoch: int):
            trainer_starts.append(time.perf_counter())
            return epochs(epoch)

        folders = {"work_dir": context.pipeline_root / "work", "logs_dir": context.pipeline_root / "logs"}
        recipe.train(model, timed_epochs, held_out, config=config, verbose=0, **folders)
        trainer_starts.append(time.perf_counter())

    # The recipe asks for the first epoch once more, to count its steps.
    seconds = {"bare fit": np.diff(bare_starts)[1:], "Trainer": np.diff(trainer_starts[1:])[1:]}
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    rates = "  ".join(f"{name} {len(images) / value:.1f} images/s" for name, value in medians.items())
    ratio = medians["bare fit"] / medians["Trainer"]
    print(f"trainer_overhead  ratio {ratio:.2f} (target at least {TARGET})  {rates}")


if __name__ == "__main__":
    main()
