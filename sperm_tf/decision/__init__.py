"""What an answer is worth: calibrated probabilities, sets of classes, and when to look again."""
