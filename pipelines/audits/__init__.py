"""Audits of trained networks: out-of-distribution inputs, corruptions, attacks, attributions, external data."""
