"""First screen of the trust page: one sentence and one column a dataset, from `decisions.json` and `audits.json`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sperm_tf.evaluation.attribution.attribution_metrics import beats_both
from sperm_tf.report import text
from sperm_tf.report.published import robustness
from sperm_tf.report.published.results_tables import MISSING, markdown_table
from sperm_tf.report.published.trust_targets import MUST_BEAT, mean_over
from sperm_tf.served_names import SHOWN_MAP

_OWN = "tested"
_RARE = 0.04
"""Share of normal forms, 0-1, of the slide in the overview: few, as on a slide near the reference limit."""
_STRONGEST = 5
_FEW = text.percent(_RARE, 0)

Decided = Mapping[str, Any]
Audited = Mapping[str, Any]


def sentence(title: str, model: str, decided: Decided) -> str:
    """What the model accepts of a dataset, and how much of it is right, means over the repeats.

    Args:
        title: of the dataset.
        model: whose decisions these are.
        decided: content of `decisions.json` for that model.
    """
    accepted, right = _accepted(decided), _right(decided)
    if right is None:
        risk = text.promised_percent(decided["promise"]["max_risk"])
        return (
            f"{title}: `{model}` accepts no prediction: the calibration images guarantee a risk of at most {risk} for "
            "none."
        )
    return (
        f"{title}: `{model}` accepts {text.percent(accepted)} of the predictions, of which {text.percent(right)} are "
        "right. It refers the others to an expert."
    )


def overview(datasets: Mapping[str, tuple[Decided, Audited]]) -> str:
    """One row a question, one column a dataset, and the section that holds the tables behind it.

    Args:
        datasets: title -> content of `decisions.json` and of `audits.json`, both of the model that is shown.
    """
    rows = [
        [question, *(answer(*found) for found in datasets.values()), f"*{section}*"]
        for question, answer, section in _QUESTIONS
    ]
    return markdown_table(["Question", *datasets, "Section"], rows)


def _accepted(decided: Decided) -> float:
    return mean_over(decided["repeats"], lambda repeat: repeat["selection"]["accepted"]["value"])


def _right(decided: Decided) -> float | None:
    """Accuracy of the accepted predictions, 0-1; None where a repeat accepts nothing."""
    values = [repeat["selection"]["accuracy_of_accepted"]["value"] for repeat in decided["repeats"]]
    return None if any(not text.is_finite(value) for value in values) else sum(values) / len(values)


def _calibration(decided: Decided, _: Audited) -> str:
    ece = mean_over(decided["repeats"], lambda repeat: repeat["scores"]["ece"]["value"])
    expected = mean_over(decided["repeats"], lambda repeat: repeat["scores"]["ece"]["by_chance"])
    return f"ECE {ece:.3f}, expected {expected:.3f}"


def _coverage(decided: Decided, _: Audited) -> str:
    covered = mean_over(decided["repeats"], lambda repeat: repeat["sets"]["coverage"]["value"])
    return f"{text.percent(covered)}, guarantee {text.promised_percent(decided['promise']['set_coverage'])}"


def _selection(decided: Decided, _: Audited) -> str:
    right = _right(decided)
    return "nothing accepted" if right is None else f"{text.percent(_accepted(decided))}, {text.percent(right)} right"


def _rare_class(decided: Decided, _: Audited) -> str:
    found = next((one for one in decided["accepted_on_slides"] if one["true_share"] == _RARE), None)
    return text.NOTHING if found is None else f"{text.percent(found['wrong_normal'])} of them wrong"


def _prevalence(decided: Decided, _: Audited) -> str:
    found = next((one for one in decided["slides"] if one["true_share"] == _RARE), None)
    if found is None:
        return text.NOTHING
    return f"{text.percent(found['counted'])} counted, {text.percent(found['corrected'])} corrected"


def _ood_inputs(_: Decided, audited: Audited) -> str:
    kinds = (audited.get("strangers") or {}).get("kinds", {})
    return _worst((name.replace("_", " "), one["accepted"]["value"]) for name, one in kinds.items() if name != _OWN)


def _external(_: Decided, audited: Audited) -> str:
    found = audited.get("transfer")
    return MISSING if found is None else text.percent(found["accepted"]["value"])


def _corruptions(_: Decided, audited: Audited) -> str:
    severities = (audited.get("corruptions") or {}).get("severities", ())
    severe = [row for row in severities if row["severity"] == _STRONGEST]
    return _worst(
        (robustness.NAMES.get(row["corruption"], row["corruption"]), row["accepted_wrong"]["value"]) for row in severe
    )


def _attribution(_: Decided, audited: Audited) -> str:
    found = audited.get("explanations")
    if not found or SHOWN_MAP not in found["methods"]:
        return MISSING
    metrics = found["methods"][SHOWN_MAP]
    won = sum(beats_both(metrics.get(name) or {}) for name in MUST_BEAT)
    return f"in {won} of {len(MUST_BEAT)} metrics"


def _attacks(_: Decided, audited: Audited) -> str:
    found = [one for one in audited.get("attacks", ()) if one["attack"] != "none"]
    return _worst(
        (f"{one['attack'].upper()}, {one['epsilon']} grey levels", one["accepted_wrong"]["value"]) for one in found
    )


def _worst(shares: Iterable[tuple[str, float]]) -> str:
    """The largest share with its name; the names of equals are left out."""
    known = [(name, value) for name, value in shares if text.is_finite(value)]
    if not known:
        return MISSING
    highest = max(value for _, value in known)
    names = [name for name, value in known if value == highest]
    return text.percent(highest) + (f" ({names[0]})" if len(names) == 1 else "")


_QUESTIONS: tuple[tuple[str, Callable[[Decided, Audited], str], str], ...] = (
    ("Are the probabilities calibrated?", _calibration, "Calibration"),
    ("Do the prediction sets hold the true class?", _coverage, "Conformal prediction sets"),
    ("How much is accepted, and how much of it is right?", _selection, "Selective classification"),
    (
        f"Accepted `normal` where {_FEW} of the sperm are normal",
        _rare_class,
        "Selective classification",
    ),
    (f"Normal forms counted where {_FEW} are normal", _prevalence, "Class prevalence on a slide"),
    ("OOD inputs accepted, the worst kind", _ood_inputs, "Out-of-distribution inputs"),
    ("Images of the other laboratory accepted", _external, "External validation"),
    ("Severe corruption accepted and wrong, the worst kind", _corruptions, "Corruptions"),
    ("Does the map shown beat the centre prior and the edge detector?", _attribution, "Attribution maps"),
    ("Adversarial images accepted and wrong, the worst attack", _attacks, "Adversarial attacks"),
)
