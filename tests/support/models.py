"""Small models of true architecture, saved as a user's checkpoint looks.

Nothing is downloaded: weights are random, tokenizers are trained on the texts of these tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from .vocabularies import save_tokenizer

WEIGHT_STD = 0.2
"""Standard deviation of all weights: ten times that of real checkpoints before training, so that
tokens, labels and texts differ visibly in what comes out."""

NER_LABELS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG")
CLASSIFY_LABELS = ("neg", "pos")
TASKS = ("base", "classify", "ner")

_AUTO_CLASSES = {
    "base": AutoModel,
    "classify": AutoModelForSequenceClassification,
    "ner": AutoModelForTokenClassification,
}

_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
_BERT = {**_SIZES, "pad_token_id": 0, "type_vocab_size": 2}
_ROBERTA = {
    **_SIZES,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "type_vocab_size": 1,
    "max_position_embeddings": 514,
    "layer_norm_eps": 1e-5,
}
_DEBERTA = {
    **_SIZES,
    "pad_token_id": 0,
    "type_vocab_size": 0,
    "relative_attention": True,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "position_biased_input": False,
    "max_relative_positions": -1,
    "layer_norm_eps": 1e-7,
    "pooler_dropout": 0,
    "pooler_hidden_act": "gelu",
}
_FAMILIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "bert": ("bert", _BERT),
    "bert-cased": ("bert", _BERT),
    "bert-chinese": ("bert", _BERT),
    "albert": (
        "albert",
        {**_BERT, "embedding_size": 16, "bos_token_id": 2, "eos_token_id": 3},
    ),
    "roberta": ("roberta", _ROBERTA),
    "distilbert": (
        "distilbert",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48, "pad_token_id": 0},
    ),
    "bertweet": ("roberta", {**_ROBERTA, "max_position_embeddings": 130}),
    "electra": ("electra", {**_BERT, "embedding_size": 16}),
    "mpnet": (
        "mpnet",
        {key: value for key, value in _ROBERTA.items() if key != "type_vocab_size"},
    ),
    "deberta-v2": (
        "deberta-v2",
        {**_DEBERTA, "conv_kernel_size": 3, "conv_act": "gelu", "attention_head_size": 8},
    ),
    "deberta-v3": ("deberta-v2", _DEBERTA),
    "xlm-roberta": ("xlm-roberta", _ROBERTA),
    # Three layers, so that both kinds of its attention, global and local, occur.
    "modernbert": ("modernbert", {**_SIZES, "num_hidden_layers": 3, "classifier_pooling": "mean"}),
}
FAMILIES = tuple(_FAMILIES)
_DISTILBERT_NAMES = {
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
}

_OFFSET_FAMILIES = ("roberta", "bertweet", "mpnet", "xlm-roberta")
"""Families whose positions begin after that of the padding token, so two of them hold no token."""


def build_model(
    folder: str | Path,
    family: str,
    *,
    task: str = "base",
    labels: Sequence[str] | None = None,
    problem_type: str | None = None,
    seed: int = 0,
    backbone_seed: int | None = None,
    sentence_transformers: Mapping[str, Any] | None = None,
    tokenizer: Mapping[str, Any] | None = None,
    declare_limit: bool = True,
    **config: Any,
) -> Path:
    """Save a small random model with its tokenizer.

    Args:
        folder: made if it does not exist.
        family: one of ``FAMILIES``.
        task: ``"base"``, ``"classify"`` or ``"ner"``.
        labels: names in the order of the logits; default ``CLASSIFY_LABELS`` or ``NER_LABELS``.
        problem_type: as in the model's configuration, such as ``"multi_label_classification"``.
        seed: of the head, BERT's pooler included.
        backbone_seed: of all other weights; left out, it is ``seed``. Models of one family and
            configuration share these weights to the bit whenever it is the same.
        sentence_transformers: write the files of that library, too; see
            ``write_sentence_transformers``.
        tokenizer: options of the tokenizer, such as ``{"normalization": True}`` for BERTweet.
        declare_limit: put ``model_max_length`` into the tokenizer's files, as not all
            checkpoints do.
        config: replaces values of the configuration, such as ``max_position_embeddings``.

    Returns:
        The folder.
    """
    if family not in _FAMILIES:
        raise ValueError(f"family must be one of {', '.join(FAMILIES)}, got {family!r}")
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}, got {task!r}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)

    settings = _config(family, task, labels, problem_type, config)
    limit_tokens = limit(family, settings) if declare_limit else None
    settings.vocab_size = save_tokenizer(
        folder, family, limit_tokens=limit_tokens, **(tokenizer or {})
    )
    if family == "modernbert":
        # [UNK], [CLS], [SEP], [PAD], [MASK] are the last of its vocabulary.
        first = settings.vocab_size - 5
        settings.bos_token_id = settings.cls_token_id = first + 1
        settings.eos_token_id = settings.sep_token_id = first + 2
        settings.pad_token_id = first + 3
    with torch.random.fork_rng(devices=[]):
        model = _AUTO_CLASSES[task].from_config(settings)
    initialise(model, seed=seed, backbone_seed=seed if backbone_seed is None else backbone_seed)
    model.save_pretrained(folder)
    if sentence_transformers is not None:
        write_sentence_transformers(folder, width=settings.hidden_size, **sentence_transformers)
    return folder


def limit(family: str, config: PreTrainedConfig) -> int:
    """Tokens a model of this family takes, special ones included."""
    return config.max_position_embeddings - 2 * (family in _OFFSET_FAMILIES)


def _config(
    family: str,
    task: str,
    labels: Sequence[str] | None,
    problem_type: str | None,
    overrides: Mapping[str, Any],
) -> PreTrainedConfig:
    model_type, values = _FAMILIES[family]
    settings: dict[str, Any] = {**values, **overrides}
    if family == "bertweet":
        settings["tokenizer_class"] = "BertweetTokenizer"
    if family == "distilbert":
        settings = {_DISTILBERT_NAMES.get(name, name): value for name, value in settings.items()}
    if task != "base":
        names = labels or (NER_LABELS if task == "ner" else CLASSIFY_LABELS)
        settings["id2label"] = dict(enumerate(names))
        settings["label2id"] = {name: i for i, name in enumerate(names)}
        if problem_type is not None:
            settings["problem_type"] = problem_type
    return AutoConfig.for_model(model_type, **settings)


def initialise(model: PreTrainedModel, *, seed: int, backbone_seed: int) -> None:
    """Draw every weight by its own name, so that it does not depend on what else there is."""
    prefix = f"{model.base_model_prefix}."
    has_head = model.base_model is not model
    with torch.no_grad():
        for name, weight in model.named_parameters():
            in_base = not has_head or name.startswith(prefix)
            own_name = name.removeprefix(prefix) if in_base else name
            is_head = not in_base or "pooler" in own_name
            weight.copy_(_draw(own_name, weight, seed if is_head else backbone_seed))
        for module in model.modules():
            if isinstance(module, torch.nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0
    model.eval()


def _draw(name: str, weight: torch.Tensor, seed: int) -> torch.Tensor:
    key = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key[:7]))
    noise = torch.randn(weight.shape, generator=generator) * WEIGHT_STD
    # Scales of the normalisation layers lie around one.
    is_scale = "norm" in name.lower() and name.endswith("weight")
    return 1 + noise / 2 if is_scale else noise


def write_sentence_transformers(
    folder: Path,
    *,
    width: int,
    pooling: str = "mean",
    normalize: bool = True,
    max_seq_length: int | None = None,
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    similarity: str | None = None,
    include_prompt: bool = True,
    dialect: str = "classic",
) -> None:
    """Make a base model's folder one that sentence-transformers loads.

    Args:
        width: of the embedding.
        pooling: ``"mean"``, ``"cls"``, ``"max"``, or what else the library knows.
        max_seq_length: where it is kept depends on the dialect.
        similarity: ``similarity_fn_name``, ``"cosine"`` or ``"dot"``.
        dialect: ``"classic"`` as almost all published models are, or ``"v6"`` as version 6 of the
            library writes them: other names, and the length in the tokenizer's files.
    """
    is_classic = dialect == "classic"
    if not is_classic and dialect != "v6":
        raise ValueError(f"dialect must be classic or v6, got {dialect!r}")
    modules = ["Transformer", "Pooling"] + ["Normalize"] * normalize
    places = ["", "1_Pooling", "2_Normalize"]
    packages = (
        dict.fromkeys(modules, "sentence_transformers.models")
        if is_classic
        else {
            "Transformer": "sentence_transformers.base.modules.transformer",
            "Pooling": "sentence_transformers.sentence_transformer.modules.pooling",
            "Normalize": "sentence_transformers.base.modules.normalize",
        }
    )
    _write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"{packages[name]}.{name}"}
            for i, (name, path) in enumerate(zip(modules, places, strict=False))
        ],
    )
    versions = {
        "classic": {"sentence_transformers": "2.0.0", "transformers": "4.6.1", "pytorch": "1.8.1"},
        "v6": {"sentence_transformers": "6.2.0", "transformers": "5.23.0", "pytorch": "2.13.0"},
    }
    about: dict[str, Any] = {"__version__": versions[dialect]}
    if prompts is not None or not is_classic:
        about |= {"prompts": dict(prompts or {}), "default_prompt_name": default_prompt_name}
    if similarity is not None or not is_classic:
        about["similarity_fn_name"] = similarity or "cosine"
    if not is_classic:
        about["model_type"] = "SentenceTransformer"
    _write_json(folder / "config_sentence_transformers.json", about)

    pooling_file = folder / "1_Pooling" / "config.json"
    if is_classic:
        modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
        modes |= {"mean_sqrt_len_tokens": "mean_sqrt_len_tokens"}
        chosen = {f"pooling_mode_{mode}": name == pooling for name, mode in modes.items()}
        values = {"word_embedding_dimension": width, **chosen}
        _write_json(pooling_file, values | ({} if include_prompt else {"include_prompt": False}))
        length = {"max_seq_length": max_seq_length, "do_lower_case": False}
        _write_json(folder / "sentence_bert_config.json", length)
        return

    _write_json(
        pooling_file,
        {"embedding_dimension": width, "pooling_mode": pooling, "include_prompt": include_prompt},
    )
    forward = {"method": "forward", "method_output_name": "last_hidden_state"}
    _write_json(
        folder / "sentence_bert_config.json",
        {
            "transformer_task": "feature-extraction",
            "modality_config": {"text": forward},
            "module_output_name": "token_embeddings",
        },
    )
    if normalize:
        names = {"module_input_name": "sentence_embedding"}
        names["module_output_name"] = "sentence_embedding"
        _write_json(folder / "2_Normalize" / "config.json", names)
    if max_seq_length is not None:
        file = folder / "tokenizer_config.json"
        _write_json(file, json.loads(file.read_text()) | {"model_max_length": max_seq_length})


def _write_json(file: Path, value: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(value, indent=2), encoding="utf-8")
