"""Presets: each module has `get_config() -> PipelineConfig`, and a docstring with the command and what to expect."""

PRESETS = (
    "demo",
    "smids",
    "hushem",
    "synthetic",
    "synthetic_lite0",
    "own",
    "paper_smids",
    "paper_hushem",
    "smids_b0",
    "smids_robust",
)
