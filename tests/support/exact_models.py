"""Small models whose arithmetic is exact, so that their rows have the same bits on every machine.

They are true BERT and RoBERTa checkpoints of one layer, run by torch like any other. Weights and
hidden states are small integers, and what would round is kept from rounding:

- A normalisation whose ``eps`` outweighs every variance divides by a power of two. The mean that
  it subtracts is zero but for rounding; adding an offset drowns that, and the next layer takes the
  offset off again.
- Attention scores lie so far apart that one key gets all the weight.
- The activation sees zeros, and its output is multiplied by zero.

What is left are sums of small integers, which floating point adds exactly in any order.

A token's last hidden state tells which token it is, which one stands before it, and at which
position of its window, so that a token taken from the wrong window or place changes the rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertTokenizer,
    RobertaTokenizer,
)

from .models import write_sentence_transformers

FAMILIES = ("bert", "roberta")
LIMIT_TOKENS = 64

_AUTO_CLASSES = {
    "base": AutoModel,
    "classify": AutoModelForSequenceClassification,
    "ner": AutoModelForTokenClassification,
}
_TOKEN_BITS = 12
_POSITION_BITS = 6
_TOKEN = slice(0, 2 * _TOKEN_BITS)
_POSITION = slice(_TOKEN.stop, _TOKEN.stop + 2 * _POSITION_BITS)
_POSITION_BEFORE = slice(_POSITION.stop, _POSITION.stop + 2 * _POSITION_BITS)
_WIDTH = _POSITION_BEFORE.stop
# Variances are below 64, half a unit in the last place of this in float32.
_EPS = 2.0**30
_NORM_SCALE = 2.0**15
# Large enough that float32 cannot hold it together with an error of the mean, about 1e-7.
_OFFSET = 32.0
_SHARPNESS = 1000.0
# The hyperbolic tangent of 16 is 1 in float32.
_SATURATED = 16.0
# exp(-256) is 0 in float32.
_DECIDED = 256.0

_WORDS = (
    *("the", "tenant", "paid", "invoice", "maria", "rotterdam", "alvarez", "court", "and", "of"),
    *("was", "in", "it", "for", "budget", "report", "meeting", "on", "that", "a"),
)
_ENDINGS = ("ing", "ed", "s", "er", "ly", "tion")
_MERGES = (
    *(("Ġt", "h"), ("Ġth", "e"), ("i", "n"), ("in", "g"), ("e", "r"), ("e", "n"), ("Ġa", "n")),
    *(("Ġan", "d"), ("Ġo", "f"), ("Ġi", "n"), ("o", "r"), ("o", "n"), ("e", "d"), ("r", "e")),
    *(("a", "r"), ("t", "h"), ("th", "e"), ("a", "n"), ("an", "d")),
)


def build_exact_model(
    folder: Path,
    family: str,
    *,
    task: str = "base",
    labels: Sequence[str] = (),
    problem_type: str | None = None,
    seed: int = 0,
    sentence_transformers: Mapping[str, Any] | None = None,
) -> Path:
    """Save a model of exact arithmetic with its tokenizer.

    Args:
        folder: made if it does not exist; its name is the model's.
        family: ``"bert"`` or ``"roberta"``, whose tokenizer is byte-level.
        task: ``"base"``, ``"classify"`` or ``"ner"``. All of a family share a backbone.
        labels: names in the order of the logits. Logits of ``"ner"`` and of one label of several
            lie 256 apart or are equal; of ``"regression"`` they are small integers.
        problem_type: of ``"classify"``.
        seed: of the head.
        sentence_transformers: write the files of that library, too; see
            ``support.models.write_sentence_transformers``.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _wordpiece() if family == "bert" else _byte_level()
    tokenizer.model_max_length = LIMIT_TOKENS
    tokenizer.save_pretrained(folder)
    first = 0 if family == "bert" else tokenizer.pad_token_id + 1
    settings: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": _WIDTH,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "intermediate_size": 8,
        "max_position_embeddings": LIMIT_TOKENS + first,
        "layer_norm_eps": _EPS,
        "pad_token_id": tokenizer.pad_token_id,
        "type_vocab_size": 1,
    }
    if task != "base":
        settings["id2label"] = dict(enumerate(labels))
        settings["label2id"] = {label: i for i, label in enumerate(labels)}
        settings["problem_type"] = problem_type
    model = _AUTO_CLASSES[task].from_config(AutoConfig.for_model(family, **settings))
    scale = 1.0 if problem_type == "regression" else _DECIDED
    with torch.no_grad():
        _set_backbone(model.base_model, first)
        _set_head(model, seed, scale)
    model.eval().save_pretrained(folder)
    if sentence_transformers is not None:
        write_sentence_transformers(folder, width=_WIDTH, **sentence_transformers)
    return folder


def _wordpiece() -> Any:
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    pieces = [*letters, *_WORDS, *(f"##{piece}" for piece in (*letters, *_ENDINGS))]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*special, *pieces]))}
    return BertTokenizer(vocab=vocabulary, do_lower_case=True)


def _byte_level() -> Any:
    # The printable stand-ins of bytes, as in GPT-2.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    n_others = 256 - len(printable)
    alphabet = [chr(code) for code in (*printable, *range(256, 256 + n_others))]
    # A space goes with what stands behind it first of all, so that it is hardly ever a token alone.
    merges = [*(("Ġ", chr(code)) for code in range(33, 127)), *_MERGES]
    merged = [left + right for left, right in merges]
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    vocabulary = {piece: i for i, piece in enumerate([*special, *alphabet, *merged, "<mask>"])}
    return RobertaTokenizer(vocab=vocabulary, merges=merges)


def _code(number: int, n_bits: int) -> list[float]:
    """The bits of a number as 1 and -1, and their opposites, so that they add up to zero."""
    bits = [1.0 if number >> bit & 1 else -1.0 for bit in range(n_bits)]
    return [*bits, *(-bit for bit in bits)]


def _set_backbone(base: Any, first_position: int) -> None:
    for parameter in base.parameters():
        parameter.zero_()
    for module in base.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.fill_(_NORM_SCALE)
            module.bias.fill_(_OFFSET)
    words = base.embeddings.word_embeddings.weight
    words[:, _TOKEN] = torch.tensor([_code(i, _TOKEN_BITS) for i in range(len(words))])
    positions = base.embeddings.position_embeddings.weight
    n_codes = 2**_POSITION_BITS
    own = [_code(i % n_codes, _POSITION_BITS) for i in range(len(positions))]
    # A window's first position attends to the one after it, so that [CLS] knows its window.
    before = [own[i - 1 if i > first_position else i + 1] for i in range(len(positions))]
    positions[:, _POSITION] = torch.tensor(own)
    positions[:, _POSITION_BEFORE] = torch.tensor(before)
    (layer,) = base.encoder.layer
    attention = layer.attention.self
    places = torch.arange(_POSITION.start, _POSITION.stop)
    attention.query.weight[places, places + 2 * _POSITION_BITS] = _SHARPNESS
    attention.key.weight[places, places] = 1
    attention.value.weight[_TOKEN, _TOKEN] = torch.eye(2 * _TOKEN_BITS)
    for linear in (attention.query, attention.key, attention.value):
        _take_offset_off(linear)
    layer.attention.output.dense.weight[_TOKEN, _TOKEN] = 2 * torch.eye(2 * _TOKEN_BITS)
    # These are added to the hidden states, offset and all.
    layer.attention.output.dense.bias.fill_(-_OFFSET)
    layer.output.dense.bias.fill_(-_OFFSET)


def _take_offset_off(linear: torch.nn.Linear) -> None:
    linear.bias -= _OFFSET * linear.weight.sum(dim=1)


def _set_head(model: Any, seed: int, scale: float) -> None:
    """Draw a pooler that saturates and a classifier of small integers."""
    readers_of_states = ("pooler.dense", "classifier.dense", "classifier")
    for name, linear in model.named_modules():
        name = name.removeprefix(f"{model.base_model_prefix}.")
        if not isinstance(linear, torch.nn.Linear) or name.startswith("encoder."):
            continue
        is_pooler = name.endswith(".dense")
        for kind, parameter in linear.named_parameters():
            drawn = [_small_integer(f"{seed} {name} {kind} {i}") for i in range(parameter.numel())]
            values = torch.tensor(drawn, dtype=torch.float32).reshape(parameter.shape)
            parameter.copy_(values * (_SATURATED if is_pooler else scale))
        reads_pooled = getattr(model.base_model, "pooler", None) is not None and not is_pooler
        if name in readers_of_states and not reads_pooled:
            _take_offset_off(linear)


def _small_integer(key: str) -> int:
    """-1, 0 or 1."""
    return hashlib.sha256(key.encode()).digest()[0] % 3 - 1
