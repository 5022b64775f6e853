"""The stages. None imports another; `pipelines.components.graph` connects them."""
