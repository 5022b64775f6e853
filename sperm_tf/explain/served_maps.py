"""Names of the maps that a model serves, in the order in which they are shown; imports nothing."""

SERVED_MAPS = LAYER_INTEGRATED_GRADIENTS, GRAD_CAM_PLUS_PLUS = ("layer_integrated_gradients", "grad_cam_plus_plus")
"""The maps of gradients, which every model serves for the class that it predicts."""
SHOWN_MAP = LAYER_INTEGRATED_GRADIENTS
"""The one that people are shown where there is room for one, and that is judged."""
PER_CLASS_MAPS = (GRAD_CAM_PLUS_PLUS,)
"""Those that are served for every class, too; the others cost as much again for each."""
CBAM_ATTENTION = "cbam_attention"
"""The network's own attention; only models with CBAM serve it."""
MAP_OUTPUTS = (*SERVED_MAPS, *(f"{name}_per_class" for name in PER_CLASS_MAPS), CBAM_ATTENTION)
"""Every output of `explain` that is a map."""
