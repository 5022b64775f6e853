"""Classifiers in runtimes other than TensorFlow: ONNX Runtime, OpenVINO and LiteRT."""
