"""A BERT encoder as llama.cpp reads it: one GGUF file with sizes, vocabulary and weights.

llama.cpp's own converter is no part of its Python package. The keys and the names of the weights
are those of its architecture ``bert``; matrices are written in float16, as its converter does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NAMES = {
    "embeddings.word_embeddings": "token_embd",
    "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types",
    "embeddings.LayerNorm": "token_embd_norm",
}
_NAMES_OF_LAYER = {
    "attention.self.query": "attn_q",
    "attention.self.key": "attn_k",
    "attention.self.value": "attn_v",
    "attention.output.dense": "attn_output",
    "attention.output.LayerNorm": "attn_output_norm",
    "intermediate.dense": "ffn_up",
    "output.dense": "ffn_down",
    "output.LayerNorm": "layer_output_norm",
}


def write_gguf(folder: Path, path: Path) -> None:
    """Write the encoder in a folder of transformers, whose vectors are means over tokens.

    Args:
        folder: with config.json, tokenizer.json and model.safetensors.
        path: the file to write.
    """
    from gguf import GGUFWriter, PoolingType
    from safetensors.numpy import load_file

    config = json.loads((folder / "config.json").read_text())
    writer = GGUFWriter(str(path), "bert")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(PoolingType.MEAN)
    _add_vocabulary(writer, json.loads((folder / "tokenizer.json").read_text()))
    weights = load_file(folder / "model.safetensors")
    for own, name in _weight_names(config["num_hidden_layers"]):
        array = weights[own].astype("float32")
        is_matrix = array.ndim == 2 and name.startswith(("blk.", "token_embd."))
        writer.add_tensor(name, array.astype("float16") if is_matrix else array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weight_names(n_layers: int) -> Iterator[tuple[str, str]]:
    """Names in the model's file, and those of llama.cpp."""
    for own, name in _NAMES.items():
        for part in ("weight", "bias") if "norm" in name else ("weight",):
            yield f"{own}.{part}", f"{name}.{part}"
    for layer in range(n_layers):
        for own, name in _NAMES_OF_LAYER.items():
            for part in ("weight", "bias"):
                yield f"encoder.layer.{layer}.{own}.{part}", f"blk.{layer}.{name}.{part}"


def _add_vocabulary(writer: Any, tokenizer: dict[str, Any]) -> None:
    from gguf import TokenType

    words = sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].__getitem__)
    special = {token["content"] for token in tokenizer["added_tokens"] if token["special"]}
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([_as_llama_has_it(word, special) for word in words])
    writer.add_token_types(
        [TokenType.CONTROL if word in special else TokenType.NORMAL for word in words]
    )
    writer.add_token_type_count(2)
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_eos_token_id(words.index("[SEP]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_mask_token_id(words.index("[MASK]"))


def _as_llama_has_it(word: str, special: set[str]) -> str:
    """Words begin with a mark there, and their other pieces do not."""
    if word in special:
        return word
    return word[2:] if word.startswith("##") else f"\u2581{word}"
