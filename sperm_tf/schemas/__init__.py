"""The form of dictionaries that pass between stages, programs and files, as `TypedDict`s; imports no more than typing.

`served`: what a served model answers. `evaluation`: `metrics.json`. `cross_validation`: `fits.json`, `results.json`
and `decisions.json`. `audits`: `audits.json`. `metrics`: a figure with its intervals, which all of them hold.
"""
