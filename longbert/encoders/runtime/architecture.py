"""What decides on an encoder's hidden states beside its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

# What a config.json says about training, heads and bookkeeping; the rest is architecture.
_NOT_ARCHITECTURE = frozenset(
    {
        "_attn_implementation_autoset",
        "_name_or_path",
        "architectures",
        "attn_implementation",
        "dtype",
        "finetuning_task",
        "gradient_checkpointing",
        "id2label",
        "initializer_range",
        "label2id",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)

# Dropout, and what belongs to heads.
_NOT_IN_USE = re.compile(r"dropout|^classifier_|^summary_|^task_specific_params$")


def architecture_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a whole configuration that are architecture."""
    return {
        key: value
        for key, value in config.items()
        if key not in _NOT_ARCHITECTURE and not _NOT_IN_USE.search(key)
    }
