"""Without weights, models are said to read documents as they do with them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from support.heads import build_head
from support.models import FAMILIES
from support.texts import long_text

from longbert.config import ModelConfig
from longbert.encoders.loading import load_requested
from longbert.encoders.outline import outline_models
from longbert.encoders.readings import Reading, readings_of
from longbert.engine.inspect import split_document
from longbert.errors import ConfigError, ModelError
from longbert.records import Document

Build = Callable[..., Path]

DOCUMENT = Document("long", long_text(300, seed=2))
WEIGHTS = "model.safetensors"


def config_of(**settings: Any) -> ModelConfig:
    paths = {
        key: str(value) if isinstance(value, Path) else value for key, value in settings.items()
    }
    return ModelConfig(**{"embed": "none", "passage": 10, **paths})


def about(reading: Reading[Any]) -> tuple[Any, ...]:
    return (
        reading.names,
        reading.reads,
        reading.prompt,
        reading.window,
        reading.overlap,
        reading.tokenizer.digest,
        reading.tokenizer.prefix,
    )


def check(config: ModelConfig, *, for_queries: bool = False) -> list[tuple[str, ...]]:
    """Compare with what loaded models do; the names of the heads of each pass."""
    loaded = readings_of(load_requested(config), config, for_queries=for_queries)
    outlined = outline_models(config, for_queries=for_queries).readings
    assert [about(one) for one in outlined] == [about(one) for one in loaded]
    views = [split_document(one, DOCUMENT, passage_tokens=10) for one in (outlined, loaded)]
    assert views[0] == views[1]
    return [one.names for one in outlined]


def without_weights(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to, ignore=shutil.ignore_patterns(WEIGHTS)))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("declares", [True, False])
def test_limits_and_sharing_of_every_family(models: Build, family: str, declares: bool) -> None:
    common = {"backbone_seed": 4, "declare_limit": declares}
    files = {"max_seq_length": 40, "prompts": {"document": "passage: "}}
    config = config_of(
        embed=models(family, sentence_transformers=files, **common),
        classify=(str(models(family, task="classify", seed=1, **common)),),
        ner=(str(models(family, task="ner", seed=2, **common)),),
    )
    names = check(config)
    assert [len(heads) for heads in names] == [1, 2]
    assert [len(heads) for heads in check(config, for_queries=True)] == [3]
    alone = config_of(ner=config.ner)
    check(alone)


def test_backbones_of_other_weights_have_passes_of_their_own(models: Build) -> None:
    config = config_of(
        embed=models("bert", sentence_transformers={"max_seq_length": 24}),
        classify=(str(models("bert", task="classify", backbone_seed=3)),),
        ner=(str(models("bert", task="ner", backbone_seed=3)), str(models("roberta", task="ner"))),
    )
    assert [len(names) for names in check(config)] == [1, 2, 1]


@pytest.mark.parametrize("pooling", ["cls", "max"])
def test_passages_alone_and_the_two_ends(models: Build, pooling: str) -> None:
    config = config_of(
        embed=models("bert", sentence_transformers={"pooling": pooling}),
        classify=(str(models("bert", task="classify")),),
        classify_pooling="head+tail",
        window=32,
    )
    reads = [one.reads for one in outline_models(config).readings]
    assert reads == ["all", "ends", "passages"]
    check(config)


def test_learned_heads(models: Build, tmp_path: Path) -> None:
    backbone = models("bert", seed=1)
    names, moods, own = (
        str(build_head(tmp_path / name, backbone, task, **changes))
        for name, task, changes in (
            ("names", "ner", {}),
            ("moods", "classify", {}),
            ("own", "ner", {"n_unfrozen": 1, "window": 30}),
        )
    )
    found = check(config_of(embed=backbone, classify=(moods,), ner=(names, own)))
    assert found == [("embedding", "moods", "names"), ("own",)]
    assert check(config_of(ner=(names, own))) == [("names",), ("own",)]


def test_a_learned_head_beside_a_copy_of_its_backbone(models: Build, tmp_path: Path) -> None:
    here = shutil.copytree(models("bert", seed=1), tmp_path / "here")
    head = build_head(tmp_path / "names", Path(here), "ner")
    there = here.rename(tmp_path / "there")
    assert check(config_of(embed=there, ner=(str(head),))) == [("embedding", "names")]
    with pytest.raises(ModelError, match=r"reads the backbone .*, which is not there"):
        outline_models(config_of(ner=(str(head),)))


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "bertweet"])
def test_no_weights_are_needed(models: Build, tmp_path: Path, family: str) -> None:
    files = {"max_seq_length": 24, "normalize": True}
    folder = models(family, sentence_transformers=files)
    whole, bare = (
        outline_models(config_of(embed=one))
        for one in (folder, without_weights(folder, tmp_path / "bare"))
    )
    assert [about(one) for one in bare.readings] == [about(one) for one in whole.readings]
    assert (bare.width, bare.metric, bare.prompts) == (32, "cosine", whole.prompts)
    with pytest.raises(ModelError, match="has no weights"):
        load_requested(config_of(embed=tmp_path / "bare"))


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 40, b'\x08\0\0\0\0\0\0\0{"a": 1}'])
def test_weights_that_cannot_be_read_count_as_different(
    models: Build, tmp_path: Path, content: bytes | None
) -> None:
    one = models("bert", task="ner", seed=1, backbone_seed=3)
    other = without_weights(models("bert", task="classify", backbone_seed=3), tmp_path / "other")
    if content is not None:
        (other / WEIGHTS).write_bytes(content)
    readings = outline_models(config_of(classify=(str(other),), ner=(str(one),))).readings
    assert [reading.names for reading in readings] == [("other",), (one.name,)]


def test_weights_are_compared_whatever_they_are_called(models: Build, tmp_path: Path) -> None:
    embed = models("bert", backbone_seed=3)
    former = shutil.copytree(models("bert", task="ner", backbone_seed=3), tmp_path / "former")
    weights = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): weight
        for name, weight in load_file(former / WEIGHTS).items()
    }
    assert any(name.endswith("gamma") for name in weights)
    save_file(weights, former / WEIGHTS, metadata={"format": "pt"})
    assert check(config_of(embed=embed, ner=(str(former),))) == [("embedding", "former")]


def test_settings_that_do_not_fit(models: Build) -> None:
    folder = models("bert")
    with pytest.raises(ConfigError, match=r"window must be in \[3, 512\] for embedding, got 600"):
        outline_models(config_of(embed=folder, window=600))
    with pytest.raises(ConfigError, match=r"overlap must be in \[0, 30\)"):
        outline_models(config_of(embed=folder, window=32, overlap=30))


def test_a_config_that_describes_no_model(models: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models("bert"), tmp_path / "model"))
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 32', '"hidden_size": 33'))
    with pytest.raises(ModelError, match="describes no model that can be built"):
        outline_models(config_of(embed=folder))
