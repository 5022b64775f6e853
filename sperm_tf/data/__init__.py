"""Decoding, preprocessing, identity and splits of images."""
