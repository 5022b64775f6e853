"""Corruptions, out-of-distribution inputs, attacks and external validation."""
