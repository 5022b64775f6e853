"""Predictions for any number of crops."""
