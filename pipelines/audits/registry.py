"""The audits: which component runs each on the networks, and what makes metrics of its predictions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pandas as pd

from pipelines.audits.attack_audit import AttackAudit
from pipelines.audits.corruption_analysis import CorruptionAnalysis
from pipelines.audits.corruption_audit import CorruptionAudit
from pipelines.audits.explanation_audit import ExplanationAudit
from pipelines.audits.label_audit import LabelAudit
from pipelines.audits.shuffled_fit import ShuffledFit
from pipelines.audits.stranger_audit import StrangerAudit
from pipelines.audits.transfer_audit import TransferAudit
from pipelines.cross_validation import recipes
from pipelines.orchestration.artifacts import Artifact
from pipelines.orchestration.component import Component
from sperm_tf.audit_config import LabelAuditConfig
from sperm_tf.config import FitConfig
from sperm_tf.evaluation.attribution.attribution_metrics import describe_explanations
from sperm_tf.evaluation.attribution.label_randomization import describe_labels
from sperm_tf.evaluation.robustness.attack_metrics import describe_attacks
from sperm_tf.evaluation.robustness.corruption_metrics import describe_corruptions
from sperm_tf.evaluation.robustness.external_validation import describe_transfer
from sperm_tf.evaluation.robustness.ood_metrics import describe_strangers

NOT_TAKEN, TAKEN, NEEDED = "not taken", "taken", "needed"


@dataclasses.dataclass(frozen=True)
class Audit:
    """One way to question the networks of a cross-validation.

    Attributes:
        component: asks one network. It takes its part of `AuditConfig`, `model` from FoldCalibrator, `examples` from
            ExampleGen and perhaps `other` from the ExampleGen of another dataset; it writes `answers.csv`.
        describe: figures for `audits.json` from the rows of all folds, which have a column `fold`.
        other: whether it takes the other dataset, and whether it can do without.
        rival: makes what trains another network for a fold, from the audit's configuration, the fit and the
            preprocessed images. Its audit takes it as `rival`, and says by `num_folds` for how many folds.
        analyze: analyses the answers of all networks with TFMA; it takes their components, under any names, and writes
            `eval_result`.
    """

    component: type[Component]
    describe: Callable[[pd.DataFrame], Any]
    other: str = NOT_TAKEN
    rival: Callable[[Any, FitConfig, Artifact], Component] | None = None
    analyze: type[Component] | None = None


def _shuffled(config: LabelAuditConfig, fit: FitConfig, examples: Artifact) -> Component:
    return ShuffledFit(
        dataclasses.replace(fit, trainer=recipes.memorizing(fit.trainer, config.epochs)), examples=examples
    )


AUDITS = {  # by the names of their parts of `AuditConfig`
    "strangers": Audit(StrangerAudit, describe_strangers, TAKEN),
    "transfer": Audit(TransferAudit, describe_transfer, NEEDED),
    "attacks": Audit(AttackAudit, describe_attacks),
    "corruptions": Audit(CorruptionAudit, describe_corruptions, analyze=CorruptionAnalysis),
    "explanations": Audit(ExplanationAudit, describe_explanations),
    "labels": Audit(LabelAudit, describe_labels, rival=_shuffled),
}
