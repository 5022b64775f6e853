"""A model server over HTTP: TensorFlow Serving's REST API (V1) and the Open Inference Protocol (V2)."""
