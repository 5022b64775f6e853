"""The stages. None imports another; `pipelines.graph` connects them."""
