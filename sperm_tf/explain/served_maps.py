"""Names of the gradient maps that a model serves, in the order in which they are shown; imports nothing."""

SERVED_MAPS = LAYER_INTEGRATED_GRADIENTS, GRAD_CAM_PLUS_PLUS = ("layer_integrated_gradients", "grad_cam_plus_plus")
SHOWN_MAP = LAYER_INTEGRATED_GRADIENTS
"""The one that people are shown where there is room for one, and that is judged."""
PER_CLASS_MAPS = (GRAD_CAM_PLUS_PLUS,)
"""Those that are served for every class, too; the others cost as much again for each."""
