"""What the tasks give to training: a head at another temperature is the head of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.training import Record

from longbert.encoders.heads.learned.document_head import LearnedClassifier
from longbert.encoders.heads.learned.token_head import LearnedTagger
from longbert.encoders.heads.sequence_classification import ClassificationHeads
from longbert.encoders.heads.token_classification import EntityHeads
from longbert.encoders.models import load_backbone
from longbert.engine.meter import NullMeter
from longbert.tasks import resolve
from longbert.training.base import TrainingInputs, TrainingTask
from longbert.training.classify import ClassScorer
from longbert.training.config import TrainConfig
from longbert.training.data import read_training_data
from longbert.training.ner import EntityScorer
from longbert.training.train import with_features

CPU = torch.device("cpu")


def task_of(name: str, data: Path, backbone: Path, output: Path) -> TrainingTask[Any, Any, Any]:
    """A task with its features stored."""
    config = TrainConfig(
        task=name, data=(str(data),), output=str(output), backbone=str(backbone), device="cpu"
    )
    labelled = read_training_data(config).main
    inputs = TrainingInputs(
        config,
        load_backbone(config.models),
        labelled.documents,
        len(labelled.documents),
        labelled.kind,
    )
    return with_features(resolve(config.training.trainer), inputs, Record(), NullMeter())


@pytest.mark.parametrize("kind", ["ner", "classify", "several"])
def test_rescored_is_scored_at_that_temperature(
    kind: str, files: dict[str, Path], backbone: Path, tmp_path: Path
) -> None:
    temperature = 0.37
    name = "ner" if kind == "ner" else "classify"
    task = task_of(name, files[kind], backbone, tmp_path / "head")
    torch.manual_seed(0)
    head = task.new_module().eval()
    for weight in head.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    module = task.source.trainable(head)
    plain = task.scorer(head)
    config = replace(task.config, temperature=temperature)
    models = TrainConfig(task=name, data=("x",), output="x").models
    other: Any
    if name == "ner":
        tagger = LearnedTagger(head, config, device=CPU)
        other = EntityScorer(EntityHeads(models).head_of(tagger, name="head"), tagger)
    else:
        classifier = LearnedClassifier(head, config, device=CPU)
        other = ClassScorer(
            ClassificationHeads(models).head_of(classifier, name="head"), classifier
        )
    n_rows = 0
    for number in range(6):
        partials = task.source.partials(module, plain, number)
        prediction = task.predict(plain, number, partials)
        found = task.rescore(plain, prediction, temperature)
        expected = task.predict(other, number, task.source.partials(module, other, number))
        rows = "entities" if name == "ner" else "classifications"
        assert getattr(found, rows) == getattr(expected, rows)
        assert getattr(found, rows) != getattr(prediction, rows)
        n_rows += len(getattr(found, rows))
    assert n_rows > 6
