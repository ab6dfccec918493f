"""BERT-family encoders over documents longer than 512 tokens.

The public API is what this module names.
"""

from longbert.api import hits_table, load, open, run
from longbert.config import ModelConfig, RunConfig
from longbert.errors import (
    ConfigError,
    DamagedError,
    DeviceMemoryError,
    DocumentError,
    FingerprintError,
    InputError,
    LockError,
    LongbertError,
    ModelError,
    OutputError,
    QueryWarning,
    TooManyErrorsError,
    UnfinishedError,
    WorkerError,
)

__all__ = [
    "ConfigError",
    "DamagedError",
    "DeviceMemoryError",
    "DocumentError",
    "FingerprintError",
    "InputError",
    "LockError",
    "LongbertError",
    "ModelConfig",
    "ModelError",
    "OutputError",
    "QueryWarning",
    "RunConfig",
    "TooManyErrorsError",
    "UnfinishedError",
    "WorkerError",
    "hits_table",
    "load",
    "open",
    "run",
]
