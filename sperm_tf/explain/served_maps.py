"""Names of the gradient maps that a model serves, in the order in which they are shown; imports nothing."""

SERVED_MAPS = LAYER_CAM, GRAD_CAM_PLUS_PLUS = ("layer_cam", "grad_cam_plus_plus")
SHOWN_MAP = LAYER_CAM
"""The one that people are shown where there is room for one, and that is judged."""
