"""TensorFlow Model Analysis."""
