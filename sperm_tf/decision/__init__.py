"""Selective classification: calibrated probabilities, conformal prediction sets, OOD score, accept or refer."""
