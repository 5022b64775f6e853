"""Names in the serving contract: signatures, outputs, statuses, decisions, reasons and maps.

They are part of the serving contract: clients, files and reports hold these strings. Imports nothing but typing, so
that every module can use it. `sperm_tf.evaluation.infra_validation.probe`, which runs without this package, repeats
`INPUT_NAMES`; a test holds the two together.
"""

from typing import Final

# Signatures.
SERVING_DEFAULT = "serving_default"
SERVING_EXAMPLES = "serving_examples"
EXPLAIN = "explain"
EXPLAIN_CLASSES = "explain_classes"
INPUT_NAMES = {
    SERVING_DEFAULT: "image_bytes",
    SERVING_EXAMPLES: "examples",
    EXPLAIN: "image_bytes",
    EXPLAIN_CLASSES: "image_bytes",
}
"""Signature -> name of its only input, string [B]."""

# Outputs, see `sperm_tf.schemas.served.ServedAnswer`.
DECISION_OUTPUTS = ("prediction_set", "decision", "reason", "unfamiliarity")
"""What an answer says about itself."""
ANSWER_OUTPUTS = ("status", "predicted_class", "probabilities", "class_names", *DECISION_OUTPUTS)
"""Every output of all signatures; `explain` and `explain_classes` have maps, too."""

# Statuses.
OK = "ok"
EMPTY = "empty"
UNKNOWN_FORMAT = "unknown_format"
TOO_SMALL = "too_small"
TOO_LARGE = "too_large"
UNDECODABLE = "undecodable"
STATUSES = (OK, EMPTY, UNKNOWN_FORMAT, TOO_SMALL, TOO_LARGE, UNDECODABLE)
"""What decoding finds in the bytes of a file; all but the first say why there is no answer."""
UNREADABLE = "unreadable"
"""Status of a file that the operating system does not hand out; the reason to refer every file without an answer."""
FIELD_OF_VIEW = "field_of_view"
"""Status of a whole field that came where a crop of one cell is expected; `pipelines.fields` finds its cells."""
NOT_FINITE = "not_finite"
"""Status that the evaluation gives to an answer with NaN or infinity in its probabilities."""

# Decisions: selective classification, which accepts an answer or abstains and refers the image to an expert.
ACCEPT = "accept"
REFER = "refer"

# Reasons.
CONFIDENT = "confident"
UNFAMILIAR = "unfamiliar"
NO_GUARANTEE = "no_guarantee"
UNCERTAIN = "uncertain"
NOT_CALIBRATED = "not_calibrated"
REASONS = (CONFIDENT, UNFAMILIAR, NO_GUARANTEE, UNCERTAIN, NOT_CALIBRATED)
"""Why an answer is accepted (the first) or referred to a person (all others); the first that applies is given."""

# Attribution maps.
LAYER_INTEGRATED_GRADIENTS: Final = "layer_integrated_gradients"
GRAD_CAM_PLUS_PLUS: Final = "grad_cam_plus_plus"
GRAD_CAM_PLUS_PLUS_PER_CLASS: Final = "grad_cam_plus_plus_per_class"
CBAM_ATTENTION: Final = "cbam_attention"
"""The network's own attention; only models with CBAM serve it."""
SERVED_MAPS = (LAYER_INTEGRATED_GRADIENTS, GRAD_CAM_PLUS_PLUS)
"""The maps of gradients, which every model serves for the class that it predicts, in the order of display."""
SHOWN_MAP: Final = LAYER_INTEGRATED_GRADIENTS
"""The one that people are shown where there is room for one, and that is judged."""
MAP_OUTPUTS = (*SERVED_MAPS, GRAD_CAM_PLUS_PLUS_PER_CLASS, CBAM_ATTENTION)
"""Every output of `explain_classes` that is a map."""

# Formats of an exported classifier.
SAVED_MODEL, ONNX, OPENVINO, LITERT = FORMATS = ("saved_model", "onnx", "openvino", "litert")
"""What `sperm_tf.Classifier.export` writes; all but the first hold a graph from pixels to decisions."""
