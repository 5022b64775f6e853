"""The model card: intended use, performance and limits.

The fields follow Mitchell et al. 2019 (Model Cards for Model Reporting, doi:10.1145/3287560.3287596); the last section
names where the items of TRIPOD+AI (Collins et al., BMJ 2024;385:e078378) and CLAIM (Mongan et al., Radiology:
Artificial Intelligence 2020;2:e200029) are answered, and says so where they are not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sperm_tf.report import text

_PROVENANCE = {
    "smids": "SMIDS: crops of stained human semen smears, labelled normal, abnormal or non-sperm by its authors.",
    "hushem": "HuSHeM: crops of stained human sperm heads of 15 patients, labelled normal, tapered, pyriform or "
    "amorphous by its authors.",
}
_NO_PATIENTS = (
    "No split by patient is possible: the release does not say which image comes from which patient. Cells of one "
    "person may stand in both the training and the test images, so accuracy on new patients can be lower."
)
_ORIGINS = "Images of one given group (patient, donor or slide) stay in one split."
_NO_ORIGINS = (
    "No groups were given with the images: cells of one person may stand in both the training and the test images, so "
    "accuracy on new patients can be lower."
)
_SYNTHETIC = (
    "The images are drawn by a program. Metrics on them show that the pipeline works, and nothing about real sperm."
)

_VIEWS = (
    "Test-time augmentation: inside the model, predictions are averaged over {views} views of the image, its rotations "
    "by right angles and their mirror images. An image that is turned in such a way gets practically the same "
    "prediction."
)
_WEIGHTS_OF_A_FILE = (
    "Training started from weights of a file, and it is unknown whether those have seen the test images. If they have, "
    "as those of a classifier trained for another test fold of the same dataset have, the metrics are too good."
)


def describe_model_card(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Sections of the card.

    Args:
        facts: the other sections' values: `dataset`, `defects`, `training`, `evaluation`, `serving`, `version`.

    Returns:
        Dictionaries with `title` and `blocks`; a block has `kind` (`text`, `list` or `table`) and `content`, a table
        also `header`.
    """
    return [
        _section("Model", _list(_model(facts))),
        _section("Intended use", _list(_INTENDED), _text("Intended users: " + _USERS)),
        _section("Out of scope", _list(_OUT_OF_SCOPE)),
        _section("Training and test data", _list(_data(facts))),
        _section("Performance", _list(_performance(facts))),
        _section("Limits", _list(_limits(facts))),
        _section("Ethical considerations", _list(_ETHICS)),
        _section("In the terms of the WHO laboratory manual", _list(_WHO)),
        _section("Reporting guidelines", _table(("Item (TRIPOD+AI, CLAIM)", "Where it is answered"), _items(facts))),
    ]


_INTENDED = (
    "Research on the classification of single sperm cells in image crops, and teaching.",
    "Comparing methods on public datasets under splits that keep identical and nearly identical images together.",
    "A starting point for a model trained and validated on a laboratory's own images.",
)
_USERS = "researchers in reproductive biology and machine learning, and engineers who build laboratory software."
_OUT_OF_SCOPE = (
    "It is not a medical device and has no regulatory clearance. It gives no diagnosis, no prognosis and no advice on "
    "treatment, and must not be used to select sperm for fertilisation.",
    "It classifies one crop. It neither finds cells in a field of view nor judges motility, concentration or vitality.",
    "Images of another stain, magnification, microscope or species, unstained cells, and whole fields of view.",
)
_ETHICS = (
    "A person's fertility is sensitive. Images from patients need a lawful basis and the protection of their identity; "
    "the model needs neither names nor other personal data.",
    "A wrong prediction can hurt in both directions: a false alarm causes distress, a missed defect false reassurance. "
    "A trained person has to look at the image before anything follows from a prediction.",
    "Age, ethnicity and clinical background of the donors do not come with the images, so it cannot be checked whether "
    "the model works equally well for all.",
    "Attribution maps show which places contributed to the prediction, not why, and not that it was right.",
)
_WHO = (
    "In the 6th edition of the WHO manual, 4 % normal forms is the 5th centile of a reference population: a reference "
    "limit, not a threshold of fertility.",
    "The manual counts at least 200 spermatozoa in each of two replicates. Share of normal forms is taken among "
    "spermatozoa: objects that are not sperm do not belong in the denominator.",
    "This model classifies crop by crop. Its predictions are no percentage of normal forms of a person.",
)


def _model(facts: Mapping[str, Any]) -> list[str]:
    training, dataset = facts["training"], facts["dataset"]
    weights = training["weights"]
    if weights == "none":
        weights = "random weights, without pretraining"
    elif training["starts_from_file"]:
        weights = f"the weights of the file {weights}"
    size = training["image_size"]
    return [
        f"{training['model_name']}, trained by sperm_tf {facts['version']}"
        + (f", starting from {weights}." if weights else "."),
        f"Input: one encoded image (PNG, JPEG, BMP or GIF), padded to a square and resized to "
        f"{size} × {size} pixels inside the model."
        if size
        else "Input: one encoded image.",
        f"Output: a probability for each of {text.listing(dataset['class_names'])}; attribution maps.",
        *([_VIEWS.format(views=training["views"])] if training["views"] > 1 else []),
        "Licence of the software: Apache-2.0.",
    ]


def _data(facts: Mapping[str, Any]) -> list[str]:
    dataset, defects = facts["dataset"], facts["defects"]
    splits = [f"{text.count(total)} {split}" for split, total in zip(dataset["splits"], dataset["totals"], strict=True)]
    found = [
        _SYNTHETIC if dataset["is_synthetic"] else _PROVENANCE.get(dataset["name"], f"Dataset: {dataset['title']}."),
        f"Images: {text.listing(splits)}." if splits else "",
        f"Left out: {text.plural(defects['num_excluded'], 'image')}." if defects["is_known"] else "",
        "Splits are stratified by class; images that are identical or nearly so stay in one split.",
        _reference_standard(dataset),
        f"Licence of the data: {dataset['license']}." if dataset["license"] else "",
    ]
    return [line for line in found if line]


def _performance(facts: Mapping[str, Any]) -> list[str]:
    evaluation = facts["evaluation"]
    if not evaluation["is_known"]:
        return ["The model was not evaluated."]
    accuracy, macro_f1 = evaluation["accuracy"], evaluation["macro_f1"]
    return [
        f"Accuracy {accuracy['percent']} on {text.plural(evaluation['num_examples'] or 0, 'test image')} "
        f"(95 % interval: Wilson {accuracy['wilson_percent'] or text.NOTHING}, "
        f"group bootstrap {accuracy['bootstrap_percent'] or text.NOTHING}).",
        f"Macro F1 {macro_f1['number']} (95 % group bootstrap {macro_f1['bootstrap_text'] or text.NOTHING}).",
        *(
            f"{row['name']}: recall {row['recall']['number']} ({row['recall']['wilson_text'] or text.NOTHING}), "
            f"F1 {row['f1']['number']}, {text.plural(row['support'] or 0, 'image')}."
            for row in evaluation["classes"]
        ),
        *_trust(facts["trust"]),
        *([_WEIGHTS_OF_A_FILE] if facts["training"]["starts_from_file"] else []),
        "One split, one training. The intervals hold the chance of which test images were drawn, not that of training "
        "again from another seed or on another split.",
    ]


def _trust(trust: Mapping[str, Any]) -> list[str]:
    """Selective classification, prediction sets and calibration in sentences."""
    if not trust["is_known"]:
        return []
    accepted, right, coverage = trust["accepted"], trust["accuracy_of_accepted"], trust["coverage"]
    ece = trust["scores"][0]
    return [
        f"Selective classification: {accepted['percent']} of the images with a prediction were accepted "
        f"({accepted['wilson'] or text.NOTHING}); of these {right['percent']} were right "
        f"({right['wilson'] or text.NOTHING}). All others are referred to an expert.",
        f"Prediction sets hold the true class of {coverage['percent']} of the images "
        f"({coverage['wilson'] or text.NOTHING}).",
        f"Calibration error (ECE) {ece['number']} (95 % group bootstrap {ece['bootstrap'] or text.NOTHING}).",
    ]


def _limits(facts: Mapping[str, Any]) -> list[str]:
    dataset = facts["dataset"]
    num_examples = facts["evaluation"]["num_examples"]
    limits = [_disjointness(dataset)]
    if isinstance(num_examples, int) and num_examples < 200:
        limits.append(f"The test split holds only {num_examples} images: read the intervals, not the values.")
    return [
        *limits,
        *_limits_of_trust(facts["trust"]),
        "One dataset: performance with another laboratory, stain or camera is unknown.",
        _limit_of_maps(facts["maps"]),
    ]


def _limit_of_maps(maps: Mapping[str, Any]) -> str:
    if not maps["is_known"]:
        return "The faithfulness of the attribution maps has not been measured here."
    figures = [f"better in: {maps['better'] or 'nothing'}"]
    if maps["not_better"]:
        figures.append(f"not better in: {maps['not_better']}")
    return (
        "The map that is shown was measured against a centre prior and an edge detector, which do not use the network. "
        f"It is {'; '.join(figures)}."
    )


def _limits_of_trust(trust: Mapping[str, Any]) -> list[str]:
    if not trust["is_known"] or not trust["promise"]:
        return [
            "Calibration has not been assessed: of predictions with a probability of 90 %, 9 in 10 need not be right.",
            "Nothing tells the model that an image shows no sperm at all, unless that is one of its classes: it names "
            "a class for any picture.",
        ]
    return [
        "Probabilities, prediction sets and the threshold for accepting a prediction hold for images like the "
        "calibration images, from the same microscopes and laboratories.",
        "Out-of-distribution images are referred by their colours, textures and contrast. An image of the usual "
        "look that shows something else may pass.",
    ]


def _disjointness(dataset: Mapping[str, Any]) -> str:
    if dataset["is_synthetic"]:
        return _SYNTHETIC
    if dataset["is_own"]:
        return _ORIGINS if dataset["num_origins"] else _NO_ORIGINS
    return _NO_PATIENTS


def _reference_standard(dataset: Mapping[str, Any]) -> str:
    if dataset["is_synthetic"]:
        return "Reference standard: the class that the program was asked to draw."
    if dataset["is_own"]:
        return "Reference standard: the labels that came with the images; how they came about is not known."
    return (
        "Reference standard: the labels that the dataset's authors assigned. How many observers there were, and how "
        "far they agreed, is not part of the images' release."
    )


def _items(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    dataset = facts["dataset"]
    is_synthetic = dataset["is_synthetic"]
    split_by = "the given group" if dataset["num_origins"] else "not by patient"
    rule = "Last epoch of a fixed schedule" if facts["training"]["keeps_last"] else "Lowest validation loss"
    choice = f"{rule}; test images were not used"
    if facts["training"]["starts_from_file"]:
        choice += " for it, but the initial weights may have seen them"
    return [
        (
            "Source of data, dates, setting",
            "Data; not published beyond what stands there" if not is_synthetic else "Data",
        ),
        ("Eligibility and exclusions", "Defects of the data, every excluded image with its reason"),
        ("Reference standard, annotators", "Model card, training and test data"),
        ("Sample size", "Data, images by split and class; no sample size calculation was made"),
        ("Missing data", "Undecodable files: defects of the data; no prediction: evaluation"),
        ("Data partitions, level of disjointness", f"By image and near-duplicate group; {split_by}"),
        ("Model, initialisation, training", "Training; the whole configuration: lineage"),
        ("Choice of the final model", choice),
        ("Performance with uncertainty", "Evaluation: Wilson and group-bootstrap intervals"),
        ("Calibration", "Selective classification and calibration" if facts["trust"]["is_known"] else "Not assessed"),
        (
            "Fairness, subgroups",
            "Not applicable" if is_synthetic else "Not possible: no data on donors came with the images",
        ),
        (
            "Explainability",
            "Attribution maps: layer integrated gradients, Grad-CAM++ and, where the model has it, CBAM",
        ),
        ("External validation", "None"),
        ("Code and model availability", "Open source; lineage names versions and digests"),
        ("Limitations, intended use", "Model card"),
    ]


def _section(title: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"title": title, "blocks": list(blocks)}


def _text(content: str) -> dict[str, Any]:
    return {"kind": "text", "content": content}


def _list(content: Sequence[str]) -> dict[str, Any]:
    return {"kind": "list", "content": list(content)}


def _table(header: Sequence[str], content: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {"kind": "table", "header": list(header), "content": list(content)}
