"""Packaging: installed files, dependencies, and one `onmt_<name>` command per script."""

import runpy
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent

SERVE = ["prometheus-client>=0.20", "pyzmq>=25", "starlette>=0.40", "uvicorn>=0.30"]

COMMANDS = {
    "demo": ("demo", "generate_dates", "generate_shapes"),
    "model_files": ("average_models", "import_lua_model", "inspect_model", "release_model"),
    "pictures": ("plot_training", "visualize"),
    "pipeline": ("lm", "preprocess", "tag", "train", "translate"),
    "score": ("score",),
    "servers": ("rest_multi_models", "rest_translation_server", "translation_server"),
    "text": ("build_vocab", "detokenize", "learn_bpe", "tokenize"),
    "word_vectors": ("apply_embeddings", "embeddings", "extract_embeddings"),
}

setup(
    name="onmt-lua-pytorch",
    version=runpy.run_path(str(ROOT / "onmt" / "constants.py"))["VERSION"],
    description="The command line of OpenNMT's Lua edition, rebuilt on PyTorch with the same numbers",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.11",
    packages=find_packages(include=["onmt", "onmt.*"]),
    package_data={"onmt.serving": ["*.html"]},
    install_requires=[
        "torch>=2.6",
        "configargparse>=1.7",
        "tqdm>=4.66",
        "sacremoses>=0.1.1",
        "numpy>=1.26",
        "sacrebleu>=2.4",
        "rapidfuzz>=3.6",
        "rouge-score>=0.1.2",
        "pyyaml>=6.0",
    ],
    extras_require={
        "serve": SERVE,
        "plot": ["matplotlib>=3.8", "tensorboard>=2.15"],
        "image": ["pillow>=10"],
        "audio": ["kaldiio>=2.18"],
        "pieces": ["sentencepiece>=0.2"],
        "browser": ["selenium>=4.20"],
        "dev": [
            *SERVE,
            "hypothesis>=6.100",
            "matplotlib>=3.8",
            "mypy>=1.13",
            "pillow>=10",
            "pytest>=8",
            "pytest-cov>=5",
            "ruff>=0.8",
            "types-pyyaml",
            "types-tqdm",
        ],
    },
    entry_points={
        "console_scripts": [
            f"onmt_{name} = onmt.commands.{module}:{name}"
            for module, names in COMMANDS.items()
            for name in names
        ]
    },
)
