"""What `tests.forked_run` imports before it forks, with the environment of the commands."""
# ruff: noqa: E402, F401

from pipelines.cli import environment

environment.set_defaults()

import os

os.environ.setdefault("GRPC_VERBOSITY", "ERROR")

import apache_beam
import keras
import tensorflow
import tensorflow_datasets
import tensorflow_model_analysis

import pipelines.components.graph
import pipelines.run
