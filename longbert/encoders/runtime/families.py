"""The families of encoders that are computed without transformers.

All are stacks of the layers of BERT (Devlin et al. 2018, arXiv:1810.04805), normalised after each
residual. They differ in the names of settings and weights, in where positions begin, and in heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_COMMON: Mapping[str, Any] = {
    "chunk_size_feed_forward": 0,
    "is_encoder_decoder": False,
    "vocab_size": 30522,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
_BERT_SIZES: Mapping[str, Any] = {
    **_COMMON,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "is_decoder": False,
    "add_cross_attention": False,
}
_BERT_NAMES: Mapping[str, str] = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "types": "embeddings.token_type_embeddings",
    "embeddings_norm": "embeddings.LayerNorm",
    "project": "embeddings_project",
}
_BERT_LAYER: Mapping[str, str] = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "norm": "output.LayerNorm",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A linear layer of a head.

    Attributes:
        name: of its weights in a checkpoint.
        activation: of what it gives; None on the last.
    """

    name: str
    activation: str | None = None


@dataclass(frozen=True, kw_only=True)
class Family:
    """How the checkpoints of one ``model_type`` name their parts.

    Attributes:
        prefix: of the encoder's weights in a checkpoint with a head.
        defaults: of its configuration, as far as they are architecture.
        settings: names of settings that are not those of BERT.
        names: of weights outside the layers, by their names in
            :class:`longbert.encoders.runtime.bert.BertEncoder`.
        layers: name of the list of layers.
        layer: names of weights in a layer.
        counts_after_padding: whether positions begin after that of the padding token, and tokens
            of padding take none.
        classifier: the head that reads the first position of a text.
        tagger: the head that reads every position.
    """

    prefix: str
    defaults: Mapping[str, Any]
    classifier: tuple[Step, ...]
    tagger: tuple[Step, ...] = (Step("classifier"),)
    settings: Mapping[str, str] | None = None
    names: Mapping[str, str] | None = None
    layers: str = "encoder.layer"
    layer: Mapping[str, str] | None = None
    counts_after_padding: bool = False

    def setting(self, name: str) -> str:
        """What the family calls a setting of BERT."""
        return (self.settings or {}).get(name, name)

    def stored_name(self, name: str) -> str:
        """What the family calls a weight of a ``BertEncoder``."""
        part, _, rest = name.partition(".")
        if part != "stack":
            return f"{(self.names or _BERT_NAMES)[part]}.{rest}"
        number, part, rest = rest.split(".")
        return f"{self.layers}.{number}.{(self.layer or _BERT_LAYER)[part]}.{rest}"


_ROBERTA = Family(
    prefix="roberta",
    defaults={**_BERT_SIZES, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2},
    classifier=(Step("classifier.dense", "tanh"), Step("classifier.out_proj")),
    counts_after_padding=True,
)

FAMILIES: Mapping[str, Family] = {
    "bert": Family(
        prefix="bert",
        defaults={**_BERT_SIZES, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None},
        classifier=(Step("bert.pooler.dense", "tanh"), Step("classifier")),
    ),
    "distilbert": Family(
        prefix="distilbert",
        defaults={
            **_COMMON,
            "sinusoidal_pos_embds": False,
            "n_layers": 6,
            "n_heads": 12,
            "dim": 768,
            "hidden_dim": 3072,
            "activation": "gelu",
            "pad_token_id": 0,
            "bos_token_id": None,
            "eos_token_id": None,
        },
        classifier=(Step("pre_classifier", "relu"), Step("classifier")),
        settings={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
        },
        names={name: stored for name, stored in _BERT_NAMES.items() if name != "types"},
        layers="transformer.layer",
        layer={
            "query": "attention.q_lin",
            "key": "attention.k_lin",
            "value": "attention.v_lin",
            "attended": "attention.out_lin",
            "attended_norm": "sa_layer_norm",
            "inner": "ffn.lin1",
            "outer": "ffn.lin2",
            "norm": "output_layer_norm",
        },
    ),
    "electra": Family(
        prefix="electra",
        defaults={
            **_BERT_SIZES,
            "embedding_size": 128,
            "hidden_size": 256,
            "num_attention_heads": 4,
            "intermediate_size": 1024,
            "pad_token_id": 0,
            "bos_token_id": None,
            "eos_token_id": None,
        },
        classifier=(Step("classifier.dense", "gelu"), Step("classifier.out_proj")),
    ),
    "roberta": Family(**{**vars(_ROBERTA), "defaults": {**_ROBERTA.defaults, "vocab_size": 50265}}),
    "xlm-roberta": _ROBERTA,
}
"""By ``model_type``."""
