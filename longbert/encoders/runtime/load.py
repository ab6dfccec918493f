"""Loading an encoder, with or without its head."""

from __future__ import annotations

from pathlib import Path

from longbert.encoders.runtime.base import EncoderModule, ModelParts
from longbert.encoders.runtime.bert_files import load_bert, outline_bert


def load_model(
    folder: Path, *, model_class: str, trust_pickle: bool, trust_remote_code: bool
) -> ModelParts:
    """Load a model in float32, with transformers where its family is not known here.

    Args:
        folder: of the model.
        model_class: name of the class of transformers, such as ``AutoModel``.
        trust_pickle: whether weights may be loaded from pickles.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        Exception: whatever transformers or safetensors raises.
    """
    model = load_bert(folder, model_class=model_class)
    if model is not None:
        return model
    # Importing it takes seconds.
    from longbert.encoders.runtime.transformers_model import load_transformers_model

    return load_transformers_model(
        folder,
        model_class=model_class,
        trust_pickle=trust_pickle,
        trust_remote_code=trust_remote_code,
    )


def outline_model(folder: Path, *, trust_remote_code: bool) -> EncoderModule:
    """The encoder that a ``config.json`` describes, without weights: it cannot be run.

    Raises:
        Exception: whatever transformers raises.
    """
    encoder = outline_bert(folder)
    if encoder is not None:
        return encoder
    from longbert.encoders.runtime.transformers_model import outline_transformers_model

    return outline_transformers_model(folder, trust_remote_code=trust_remote_code)
