"""Classification and calibration metrics, intervals and significance."""
