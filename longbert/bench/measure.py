"""The benchmark: whole commands, runs with loaded models, the encoder alone, and its limit."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from longbert.bench.documents import write
from longbert.bench.jobs import DoneJob, kept_models, run_job
from longbert.bench.loops import EncoderLoops
from longbert.bench.processes import Ended, run_command, run_python
from longbert.bench.report import Report, machine, median_ratio, medians, versions
from longbert.config import Execution, RunConfig
from longbert.config_text import write_toml
from longbert.encoders.checkpoint.locate import find_model
from longbert.encoders.loaded_models import Models

_SHARE = 10
"""Which part of the documents is run alone, to see whether time grows as they do."""

_IMPORTS_OF_RUN = "import torch, transformers, apache_beam"
_IMPORTS_OF_QUERY = """
import sys, torch, tokenizers, faiss
from pathlib import Path
from safetensors.torch import load_file
for file in Path(sys.argv[1]).glob("*.safetensors"):
    load_file(file)
"""
_QUERY = "what was said about the price?"

Notify = Callable[[str], None]


def measure(config: RunConfig, texts: Sequence[str], *, rounds: int, notify: Notify) -> Report:
    """Measure everything in turn, round by round.

    Args:
        config: models and how documents are split; its inputs and output are not touched.
        texts: the documents.
        rounds: how often, after a warm-up that is not counted.
        notify: told what is being done.

    Raises:
        ModelError, ConfigError: models or settings do not fit.
        LongbertError: a command failed.
    """
    with tempfile.TemporaryDirectory(prefix="longbert-bench-") as folder:
        bench = _Bench(config, texts, Path(folder))
        notify("warming up")
        bench.warm_up()
        found = []
        for number in range(1, rounds + 1):
            notify(f"round {number} of {rounds}")
            found.append(bench.round())
        return bench.report(found)


class _Bench:
    """What all rounds share.

    Args:
        config: models and settings.
        texts: the documents.
        folder: temporary.
    """

    def __init__(self, config: RunConfig, texts: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._all = self._settings(config, texts, "all")
        self._few = self._settings(config, texts[: max(1, len(texts) // _SHARE)], "few")
        self._one = self._settings(config, [min(texts, key=len)], "one")
        self._models: Models = kept_models(config.models, threads=None)
        self._loops = EncoderLoops(self._models, texts)
        few_texts = texts[: max(1, len(texts) // _SHARE)]
        self._positions = {
            "all": self._loops.counts.padded_positions,
            "few": EncoderLoops(self._models, few_texts).counts.padded_positions,
        }
        self._n_documents = len(texts)
        self._stages: list[dict[str, float]] = []
        self._peaks: list[dict[str, float]] = []

    def warm_up(self) -> None:
        """Do what is slower the first time."""
        self._job("few", through_beam=True)
        self._loops.run_with_heads()
        self._loops.run_products()
        self._command("one")

    def round(self) -> dict[str, float]:
        """Everything once; seconds by name."""
        commands = self._commands()
        with_beam = self._job("all", through_beam=True)
        without_beam = self._job("all", through_beam=False)
        few = self._job("few", through_beam=True)
        self._stages.append(without_beam.stages)
        self._peaks.append(
            {name: one.peak_mb for name, one in commands.items() if one.peak_mb is not None}
        )
        return {
            **{name: one.seconds for name, one in commands.items()},
            "job": with_beam.seconds,
            "job without beam": without_beam.seconds,
            "job of a tenth": few.seconds,
            "encoder and heads": _seconds(self._loops.run_with_heads),
            "forward pass": _seconds(self._loops.run_forward),
            "bare products": _seconds(self._loops.run_products),
        }

    def report(self, rounds: Sequence[dict[str, float]]) -> Report:
        """Sum up."""
        seconds = medians(rounds)
        models, counts = self._models, self._loops.counts
        return Report(
            machine=machine(),
            versions=versions(models),
            settings={
                "precision": models.precision,
                "device": models.device,
                "rounds": len(rounds),
                "passes": [
                    {
                        "heads": [head.name for head in one.heads],
                        "implementation": one.implementation,
                        "window": one.window,
                        "overlap": one.overlap,
                    }
                    for one in models.settings
                ],
            },
            corpus={
                "documents": self._n_documents,
                "unique_tokens": counts.unique_tokens,
                "processed_tokens": counts.processed_tokens,
                "windows": counts.windows,
                "padding_share": counts.padding_share,
            },
            rounds=tuple(rounds),
            seconds=seconds,
            stages=self._stage_medians(rounds),
            ratios=self._ratios(rounds),
            rates=self._rates(seconds),
            peak_mb=medians(self._peaks),
        )

    def _ratios(self, rounds: Sequence[dict[str, float]]) -> dict[str, float]:
        """Medians of the ratios of each round."""
        few, whole = self._positions["few"], self._positions["all"]
        found = {
            "start-up of run over its imports": ("run of one document", "imports of run"),
            "job over encoder and heads": ("job", "encoder and heads"),
            "heads over the forward pass": ("encoder and heads", "forward pass"),
            "job over job without beam": ("job", "job without beam"),
        }
        if self._searches:
            found["query over its imports"] = ("query", "imports of query")
        ratios = {name: median_ratio(rounds, *pair) for name, pair in found.items()}
        growth = median_ratio(rounds, "job", "job of a tenth") * few / whole
        ratios["growth of time over growth of text"] = growth
        operations = self._loops.linear_operations()
        if operations:
            ratios["forward pass over the rate of products"] = (
                median_ratio(rounds, "bare products", "forward pass")
                * self._loops.operations()
                / operations
            )
        return ratios

    def _rates(self, seconds: dict[str, float]) -> dict[str, float]:
        counts = self._loops.counts
        return {
            "unique tokens a second, command": counts.unique_tokens / seconds["run"],
            "unique tokens a second, job": counts.unique_tokens / seconds["job"],
            "processed tokens a second, forward pass": (
                counts.processed_tokens / seconds["forward pass"]
            ),
            "operations a second, forward pass": self._loops.operations() / seconds["forward pass"],
            "operations a second, bare products": (
                self._loops.linear_operations() / seconds["bare products"]
            ),
        }

    def _stage_medians(self, rounds: Sequence[dict[str, float]]) -> dict[str, float]:
        beam = statistics.median(one["job"] - one["job without beam"] for one in rounds)
        return {**medians(self._stages), "beam": beam}

    @property
    def _searches(self) -> bool:
        return self._models.width is not None

    def _commands(self) -> dict[str, Ended]:
        """Whole commands, in processes of their own."""
        ended = {
            "imports of run": run_python(_IMPORTS_OF_RUN),
            "run of one document": self._command("one"),
            "run": self._command("all"),
            "help": run_command("--help"),
        }
        if self._searches:
            config = self._all.models
            model = find_model(config.embed, task="embed", config=config).path
            ended["imports of query"] = run_python(_IMPORTS_OF_QUERY, str(model))
            ended["query"] = run_command("query", _QUERY, "--index", self._output("all"))
        return ended

    def _command(self, which: str) -> Ended:
        """``longbert run`` into a fresh folder."""
        output = Path(self._output(which))
        if output.exists():
            os.rename(output, tempfile.mkdtemp(dir=self._folder) + "/earlier")
        return run_command("run", "--config", str(self._folder / f"{which}.toml"))

    def _job(self, which: str, *, through_beam: bool) -> DoneJob:
        config = {"all": self._all, "few": self._few}[which]
        return run_job(config, through_beam=through_beam, folder=self._folder / "job")

    def _output(self, which: str) -> str:
        return str(self._folder / f"{which}-output")

    def _settings(self, config: RunConfig, texts: Sequence[str], which: str) -> RunConfig:
        """The same run of other documents, which is also kept as a file for ``--config``."""
        path = self._folder / f"{which}.jsonl"
        write(texts, path)
        own = replace(
            config,
            inputs=(str(path),),
            output=self._output(which),
            id_field=RunConfig.id_field,
            text_field=RunConfig.text_field,
        )
        toml = write_toml(own, Execution())
        (self._folder / f"{which}.toml").write_text(toml, encoding="utf-8")
        return own


def _seconds(function: Callable[[], None]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began
