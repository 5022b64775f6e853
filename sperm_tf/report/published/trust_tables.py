"""Markdown tables of the trust page, from the content of `decisions.json` and `audits.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sperm_tf.evaluation.attribution.attribution_metrics import METHOD_LABELS, rows_for_page
from sperm_tf.report import text
from sperm_tf.report.published.results_tables import bounds_of, markdown_table, percent_bounds, with_bounds
from sperm_tf.schemas.audits import Attributions, LabelRandomization
from sperm_tf.schemas.cross_validation import CountedSlides, ModelDecisions

Models = Mapping[str, Mapping[str, Any]]


def probabilities(models: Models) -> str:
    """Calibration of every model in every repeat."""
    names = ("ece", "ece_equal_mass", "brier", "nll", "aurc")
    rows = [[label, *(_score(repeat["scores"][name]) for name in names)] for label, repeat in _repeats(models)]
    return markdown_table(["Model", "ECE, equal width", "ECE, equal mass", "Brier", "NLL", "AURC"], rows)


def _score(figure: Mapping[str, Any]) -> str:
    by_chance = figure.get("by_chance")
    return with_bounds(figure) + (f", expected {by_chance:.3f}" if text.is_finite(by_chance) else "")


def sets(models: Models) -> str:
    """Coverage and size of the prediction sets."""
    classes = next(repeat for _, repeat in _repeats(models))["sets"]["per_class"]
    rows = []
    for label, repeat in _repeats(models):
        found = repeat["sets"]
        shares = [found["coverage"], *(found["per_class"][name]["coverage"] for name in classes)]
        rows.append([label, *map(_share, shares), with_bounds(found["mean_size"])])
    return markdown_table(["Model", "All", *classes, "Classes in a set"], rows)


def selection(models: Models) -> str:
    """Selective classification: shares accepted, and their accuracy."""
    classes = next(repeat for _, repeat in _repeats(models))["selection"]["per_class"]
    rows = []
    for label, repeat in _repeats(models):
        found = repeat["selection"]
        if not found["num_accepted"]:
            rows.append([label, "nothing", *[text.NOTHING] * (1 + len(classes))])
            continue
        per_class = [found["per_class"][name] for name in classes]
        cells = [
            f"{text.percent(one['accepted']['value'])}, {text.percent(one['accuracy_of_accepted']['value'])} right"
            for one in per_class
        ]
        rows.append([label, _share(found["accepted"]), _share(found["accuracy_of_accepted"]), *cells])
    header = ["Model", "Accepted", "Accuracy of the accepted", *(f"Accepted of {name}" for name in classes)]
    return markdown_table(header, rows)


def slides(model: ModelDecisions) -> str:
    """Errors of classify and count (CC) and adjusted classify and count (ACC); empty where no slides were made."""
    is_foretold = any(found.get("num_foretold") for found in model["slides"])
    rows = [
        [
            text.percent(found["true"]),
            *(
                _tried(found, name, number)
                for name, number in (("counted", "num_slides"), ("corrected", "num_corrected"))
            ),
            *(_foretold(found) if is_foretold else []),
        ]
        for found in model["slides"]
    ]
    header = ["Truly normal", "Counted (CC) ± error, interval holds", "Corrected (ACC) ± error, interval holds"]
    if is_foretold:
        header += ["Wrong of the accepted `normal`", "Predicted to be wrong ± error, interval holds"]
    return markdown_table(header, rows) if rows else ""


def _foretold(found: CountedSlides) -> list[str]:
    if not found.get("num_foretold"):
        return [text.NOTHING] * 2
    width = f"{100 * found['foretold_width']:.0f} points wide"
    return [text.percent(found["wrong"]), f"{_tried(found, 'foretold', 'num_foretold')}, {width}"]


def _tried(found: Mapping[str, Any], name: str, number: str) -> str:
    """`3.9 % ± 3.2, 10 of 10`: mean, root mean square error, and how many intervals hold the truth."""
    share, error = text.percent(found[name]), 100 * found[f"{name}_error"]
    return f"{share} ± {error:.1f}, {found[f'{name}_held']} of {found[number]}"


def accepted_on_slides(model: Mapping[str, Any]) -> str:
    """How often accepted predictions are wrong where normal forms are rarer or more frequent; empty where not known."""
    names = ("true_share", "accepted", "wrong_normal", "wrong_other")
    rows = [[text.percent(found[name]) for name in names] for found in model["accepted_on_slides"]]
    header = ["Truly normal", "Accepted", "Wrong of the accepted `normal`", "Wrong of the other accepted"]
    return markdown_table(header, rows) if rows else ""


def guarantees(model: ModelDecisions) -> str:
    """What other guarantees would accept, in every repeat."""
    num_repeats = len(model["repeats"])
    rows = []
    for entry in model["guarantees"]:
        cells = []
        for found in entry["repeats"]:
            right = found["accuracy_of_accepted"]
            accepted = text.percent(found["accepted"])
            cells.append("nothing" if right is None else f"{accepted}, {text.percent(right)} right")
        rows.append([text.percent(entry["max_risk"], 0), *cells])
    return markdown_table(["At most wrong", *(f"Repeat {number}" for number in range(num_repeats))], rows)


def ood_inputs(audits: Models) -> str:
    """Detection of out-of-distribution inputs, and the decisions on them; empty where nothing was audited."""
    audited = {name: found["strangers"] for name, found in audits.items() if "strangers" in found}
    return "\n\n".join(f"`{name}`\n\n{_ood_inputs_of(found)}" for name, found in audited.items())


def _ood_inputs_of(found: Mapping[str, Any]) -> str:
    rows = []
    for kind, entry in found["kinds"].items():
        scores = [with_bounds(entry["auroc"][name]) if "auroc" in entry else text.NOTHING for name in _SCORES]
        name = "*the dataset's own test images*" if kind == "tested" else kind.replace("_", " ")
        shares = [
            _share(entry[share]) if share in entry else text.NOTHING  # audits of older versions
            for share in _SHARES
        ]
        rows.append([name, _images(entry), *scores, *shares])
    means = [with_bounds(found["mean_auroc"][name]) for name in _SCORES]
    rows.append(["**mean of the OOD kinds**", text.NOTHING, *means, *[text.NOTHING] * len(_SHARES)])
    header = ["Kind", "Images of pictures", "AUROC, OOD score", "AUROC, 1 − max probability", *_SHARES.values()]
    return markdown_table(header, rows)


def _images(entry: Mapping[str, Any]) -> str:
    """`200`, or `200 of 3` where some are made of one picture or test image, or show one cell."""
    number, groups = entry["num_images"], entry.get("num_groups")
    return text.count(number) if groups in (None, number) else f"{text.count(number)} of {text.count(groups)}"


def transfer(audits: Models) -> str:
    """External validation on the other dataset; empty where nothing was audited."""
    names = ("auroc", "sensitivity", "specificity", "accepted", "accepted_right", "unfamiliar")
    rows = [
        [
            f"`{name}`",
            text.count(found["transfer"]["num_images"]),
            *(with_bounds(found["transfer"][key]) for key in names),
        ]
        for name, found in audits.items()
        if "transfer" in found
    ]
    header = [
        "Model",
        "Images",
        "AUROC, normal",
        "Sensitivity, abnormal",
        "Specificity, normal",
        "Accepted",
        "Accuracy of the accepted",
    ]
    return markdown_table([*header, "Referred as OOD"], rows) if rows else ""


def explanations(figures: Attributions) -> str:
    """Faithfulness and localisation of every attribution method."""
    shown = {
        "deletion_auc": "Deletion AUC ↓",
        "insertion_auc": "Insertion AUC ↑",
        "confidence_drop": "Average drop ↓",
        "energy_in_head": "On the head ↑",
        "pointing_hit": "Pointing game ↑",
        "likeness_to_other_maps": "Similarity to other maps ↓",
    }
    rows = [[row["method"], *(row[name] or text.NOTHING for name in shown)] for row in rows_for_page(figures)]
    return markdown_table(["Map", *shown.values()], rows)


def sanity(figures: Mapping[str, Any]) -> str:
    """Model-parameter randomisation test: similarity of the maps, stage by stage."""
    stages = list(dict.fromkeys(stage for stages in figures["sanity"].values() for stage in stages))
    rows = []
    for name, found in figures["sanity"].items():
        similarity = [found.get(stage, {}).get(_SIMILARITY, {}).get("value") for stage in stages]
        rows.append([METHOD_LABELS[name], *(text.number(value, 2) for value in similarity)])
    return markdown_table(["Map", *(f"to {stage}" for stage in stages)], rows) if rows else ""


def labels(found: LabelRandomization) -> str:
    """Label randomisation test: similarity to the maps of a label-randomised control."""
    rows = []
    for name, figures in found["methods"].items():
        cells = [figures[figure] for figure in (_SIMILARITY, "structural_similarity")]
        rows.append([METHOD_LABELS[name], *map(with_bounds, cells)])
    return markdown_table(["Map", "Rank correlation", "Structural similarity"], rows)


def attacks(audits: Models) -> str:
    """Accuracy and decisions under adversarial attacks; empty where nothing was audited."""
    rows = []
    for model, found in audits.items():
        for entry in found.get("attacks", ()):
            attack = "unchanged" if entry["attack"] == "none" else f"{entry['attack'].upper()}, {entry['epsilon']}"
            shares = [_share(entry[name]) for name in ("accuracy", "accepted", "accepted_wrong")]
            rows.append([f"`{model}`, {attack}", text.count(entry["num_images"]), *shares])
    header = ["Model, attack, grey levels", "Images", "Accuracy", "Accepted", "Accepted and wrong"]
    return markdown_table(header, rows) if rows else ""


_SIMILARITY = "rank_correlation"
_SCORES = ("unfamiliarity", "doubt")
_SHARES = {"unfamiliar": "Referred as OOD", "accepted": "Accepted", "accepted_as_sperm": "Accepted as sperm"}


def _repeats(models: Models) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, model in models.items():
        for number, repeat in enumerate(model["repeats"]):
            yield f"`{name}`, repeat {number}", repeat


def _share(figure: Mapping[str, Any]) -> str:
    """`90.2 [89.1, 91.2]`, in percent."""
    if not text.is_finite(figure["value"]):
        return text.NOTHING
    return f"{100 * figure['value']:.1f} {percent_bounds(bounds_of(figure))}"
