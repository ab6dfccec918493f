"""The forward pass without transformers against that of transformers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from longbert.encoders.checkpoint.digest import weights_digest
from longbert.encoders.runtime.base import EncoderModule, ModelParts
from longbert.encoders.runtime.bert_files import load_bert, outline_bert
from longbert.encoders.runtime.transformers_model import load_transformers_model

Build = Callable[..., Path]

FAMILIES = ("bert", "roberta", "xlm-roberta", "distilbert", "electra")
CLASSES = {
    "base": "AutoModel",
    "classify": "AutoModelForSequenceClassification",
    "ner": "AutoModelForTokenClassification",
}
SHAPES = ((1, 16), (3, 40), (8, 128))


def reference_of(folder: Path, task: str = "base") -> ModelParts:
    return load_transformers_model(
        folder, model_class=CLASSES[task], trust_pickle=False, trust_remote_code=False
    )


def own_of(folder: Path, task: str = "base") -> ModelParts:
    model = load_bert(folder, model_class=CLASSES[task])
    assert model is not None
    return model


def batch(encoder: EncoderModule, shape: tuple[int, int], *, n_padding: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(shape[1] + n_padding)
    ids = torch.randint(0, encoder.n_ids, shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.int64)
    if n_padding:
        # One row more than the others, which is that of the longest text.
        mask[1:, -n_padding:] = 0
        mask[0, -1] = 0
        ids[mask == 0] = 1 if "roberta" in encoder.model_type else 0
    return [ids, mask]


def without_weights(parts: ModelParts) -> dict[str, Any]:
    encoder = parts.encoder
    return {
        "architecture": encoder.architecture,
        "sizes": (encoder.width, encoder.n_layers, encoder.n_positions, encoder.n_ids),
        "attention": encoder.attention,
        "missing": parts.missing,
        "misshapen": parts.misshapen,
    }


@pytest.mark.parametrize("task", CLASSES)
@pytest.mark.parametrize("family", FAMILIES)
class TestEveryFamily:
    def test_states_and_logits_have_the_same_bits(
        self, models: Build, family: str, task: str
    ) -> None:
        folder = models(family, task=task)
        own, reference = own_of(folder, task), reference_of(folder, task)
        for dtype in (torch.float32, torch.bfloat16):
            for parts in (own, reference):
                parts.encoder.to(dtype)
                if parts.head is not None:
                    parts.head.to(dtype)
            for shape in SHAPES:
                for n_padding in (0, 7):
                    inputs = batch(own.encoder, shape, n_padding=n_padding)
                    ids, mask = inputs[0], inputs[1] if n_padding else None
                    with torch.inference_mode():
                        found = own.encoder(ids, mask, all_layers=True)
                        expected = reference.encoder(ids, mask, all_layers=True)
                        (last,) = own.encoder(ids, mask)
                    assert len(found) == own.encoder.n_layers + 1
                    for layer, right in zip(found, expected, strict=True):
                        assert torch.equal(layer, right)
                    assert torch.equal(last, found[-1])
                    if own.head is not None and reference.head is not None:
                        with torch.inference_mode():
                            logits = own.head(found[-1], *inputs)
                            right = reference.head(expected[-1], *inputs)
                        assert torch.equal(logits, right)

    def test_digests_are_those_of_transformers(self, models: Build, family: str, task: str) -> None:
        folder = models(family, task=task)
        own, reference = own_of(folder, task), reference_of(folder, task)
        assert without_weights(own) == without_weights(reference)
        digests = [
            weights_digest(parts.encoder.named_weights(), extra="") for parts in (own, reference)
        ]
        assert digests[0] == digests[1]
        outline = outline_bert(folder)
        assert outline is not None
        assert outline.architecture == reference.encoder.architecture
        assert (own.head is None) == (reference.head is None) == (task == "base")
        if own.head is not None and reference.head is not None:
            assert weights_digest(own.head.named_weights(), extra="") == weights_digest(
                reference.head.named_weights(), extra=""
            )
            assert own.head.id2label == reference.head.id2label
            assert own.head.problem_type == reference.head.problem_type

    def test_what_the_files_lack_is_told_alike(
        self, models: Build, tmp_path: Path, family: str, task: str
    ) -> None:
        folder = Path(shutil.copytree(models(family, task=task), tmp_path / "model"))
        weights = load_file(folder / "model.safetensors")
        lost = sorted(name for name in weights if "pooler" not in name)[::5]
        bent = next(name for name in sorted(weights) if name not in lost)
        kept = {name: weight for name, weight in weights.items() if name not in lost}
        kept[bent] = torch.zeros(5, 5)
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        own, reference = own_of(folder, task), reference_of(folder, task)
        assert own.missing == reference.missing != frozenset()
        assert own.misshapen == reference.misshapen != ()


def test_the_packaged_model(minilm: Path) -> None:
    own, reference = own_of(minilm).encoder, reference_of(minilm).encoder
    inputs = batch(own, (4, 256), n_padding=20)
    with torch.inference_mode():
        (found,), (expected,) = own(*inputs), reference(*inputs)
        assert torch.equal(found, expected)
        (reduced,) = own.to(torch.bfloat16)(*inputs)
    vectors = [one.float().mean(dim=1) for one in (reduced, expected)]
    assert functional.cosine_similarity(*vectors).min() > 0.999


def test_a_backbone_in_a_checkpoint_with_a_head(models: Build) -> None:
    folder = models("roberta", task="ner")
    own, reference = own_of(folder), reference_of(folder)
    assert own.head is None
    assert without_weights(own) == without_weights(reference)
    inputs = batch(own.encoder, (2, 24), n_padding=3)
    with torch.inference_mode():
        assert torch.equal(own.encoder(*inputs)[0], reference.encoder(*inputs)[0])


def test_half_precision_files_and_former_names(models: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models("bert"), tmp_path / "model"))
    weights = {
        name.replace("Norm.weight", "Norm.gamma").replace("Norm.bias", "Norm.beta"): one.half()
        for name, one in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    own, reference = own_of(folder), reference_of(folder)
    assert not own.missing
    inputs = batch(own.encoder, (2, 24), n_padding=3)
    with torch.inference_mode():
        assert torch.equal(own.encoder(*inputs)[0], reference.encoder(*inputs)[0])


def test_weights_in_several_files(models: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models("bert"), tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    files = {name: f"model-{number % 2}.safetensors" for number, name in enumerate(names)}
    for file in set(files.values()):
        part = {name: weights[name] for name in names if files[name] == file}
        save_file(part, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    # Not named by the index, so not a part of the model.
    save_file({names[0]: torch.zeros(3)}, folder / "other.safetensors")
    own = own_of(folder)
    digest = weights_digest(own.encoder.named_weights(), extra="")
    whole = own_of(models("bert")).encoder
    assert digest == weights_digest(whole.named_weights(), extra="")


@pytest.mark.parametrize(
    "settings",
    [
        {
            "output_past": True,
            "gradient_checkpointing": False,
            "position_embedding_type": "absolute",
        },
        {
            "torch_dtype": "float16",
            "torchscript": False,
            "finetuning_task": "x",
            "tie_weights_": True,
        },
        {"model_type": "bert", "hidden_act": "relu", "layer_norm_eps": 1e-6},
        {"pruned_heads": {}, "num_labels": 5, "directionality": "bidi", "pooler_fc_size": 768},
    ],
)
def test_settings_of_real_checkpoints(
    models: Build, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(models("bert"), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    own, reference = own_of(folder), reference_of(folder)
    assert without_weights(own) == without_weights(reference)
    inputs = batch(own.encoder, (2, 24), n_padding=3)
    with torch.inference_mode():
        assert torch.equal(own.encoder(*inputs)[0], reference.encoder(*inputs)[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"model_type": "albert"},
        {"hidden_act": "gelu_new"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"pruned_heads": {"0": [1]}},
        {"auto_map": {"AutoModel": "modeling.Own"}},
        {"quantization_config": {"load_in_8bit": True}},
        {"num_attention_heads": 5},
        {"hidden_size": None},
    ],
)
def test_others_are_left_to_transformers(
    models: Build, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = Path(shutil.copytree(models("bert"), tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text()) | settings
    (folder / "config.json").write_text(json.dumps(config))
    assert load_bert(folder, model_class="AutoModel") is None
    assert outline_bert(folder) is None


def test_pickles_are_left_to_transformers(models: Build, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(models("bert"), tmp_path / "model"))
    (folder / "model.safetensors").unlink()
    assert load_bert(folder, model_class="AutoModel") is None


def test_gradients_reach_the_layers(models: Build) -> None:
    encoder = own_of(models("bert")).encoder
    top = encoder.layers()[-1].requires_grad_(True)
    encoder(*batch(encoder, (2, 24), n_padding=3))[0].sum().backward()
    assert all(weight.grad is not None for weight in top.parameters())
    assert all(weight.grad is None for weight in encoder.layers()[0].parameters())


def test_replaced_weights_are_used(models: Build) -> None:
    encoder = own_of(models("distilbert")).encoder
    name = "transformer.layer.1.ffn.lin2.bias"
    before = dict(encoder.named_weights())[name].clone()
    assert encoder.replace_weights({name: before + 1, "nothing": before}) == ["nothing"]
    assert torch.equal(dict(encoder.named_weights())[name], before + 1)
    with pytest.raises(RuntimeError):
        encoder.replace_weights({name: torch.zeros(3)})
