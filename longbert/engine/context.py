"""What every step of a run gets, on any machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from longbert.config import ModelConfig, RunConfig
from longbert.encoders.checkpoint.copies import local_copies
from longbert.encoders.loaded_models import Models, no_models
from longbert.engine.meter import Meter, NullMeter
from longbert.index.lexical.languages import lexical_settings
from longbert.store.filesystem import FileSystem
from longbert.store.fingerprints import LexicalSettings
from longbert.store.folder import OutputFolder
from longbert.store.layout import CATALOG, LEXICAL
from longbert.store.receipts import Receipt
from longbert.store.tables import table_names


class ModelLoader(Protocol):
    """Loads the models of a configuration, such as :func:`longbert.encoders.models.load_models`."""

    def __call__(self, config: ModelConfig, *, threads: int | None) -> Models:
        """Load them in this process."""


def load_models(
    config: ModelConfig, *, threads: int | None = None, for_queries: bool = False
) -> Models:
    """Load models with torch, which is imported only now: a run may need none.

    Args:
        config: models and how documents are split for them.
        threads: of torch in this process; None: what torch chooses.
        for_queries: put the prompt of queries before a text, and make no passages.

    Raises:
        ModelError, ConfigError: models or settings do not fit.
    """
    if not config.has_models:
        return no_models()
    from longbert.encoders import models

    return models.load_models(config, threads=threads, for_queries=for_queries)


@dataclass(frozen=True)
class RunContext:
    """The settings of a run and the means to carry it out.

    Attributes:
        config: the run.
        filesystem: where inputs and output are.
        meter: counts the work as it is done.
        threads: of torch in each process; None for torch's default.
        load: loads the models, in each process that needs them.
    """

    config: RunConfig
    filesystem: FileSystem
    meter: Meter = field(default_factory=NullMeter)
    threads: int | None = None
    load: ModelLoader = load_models

    @property
    def output(self) -> OutputFolder:
        """The output folder."""
        return OutputFolder(self.filesystem, self.config.output)

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables that the run writes."""
        return table_names(self.config.models)

    @property
    def lexical(self) -> LexicalSettings:
        """What the lexical index is built with on this machine."""
        return lexical_settings(self.config.language)

    def is_indexed(self, receipt: Receipt) -> bool:
        """Whether a part has the files that this run makes from its tables."""
        return receipt.lexical == self.lexical.digest and self.output.holds_all(
            receipt, (LEXICAL, CATALOG)
        )


def load_run_models(context: RunContext) -> Models:
    """Load the models of a run. This takes seconds, so do it once per process.

    Raises:
        ModelError, ConfigError: models or settings do not fit.
    """
    return context.load(fetched_models(context), threads=context.threads)


def fetched_models(context: RunContext) -> ModelConfig:
    """The models of a run, those in object stores by the names of their copies on this machine.

    Raises:
        ModelError: one is not there, or cannot be copied.
    """
    return local_copies(context.config.models, context.filesystem)
