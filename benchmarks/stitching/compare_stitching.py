"""Every stitching and decoding of entities against the overlap merge of transformers.

By cross-validation: a tagger is trained on the other folds, and its logits for the documents held
back are given to every method. The table of the result is written to standard output as Markdown.

    python benchmarks/stitching/compare_stitching.py --data litbank/train.jsonl.gz \\
        --label-field outer_entities --folds 4 --output litbank.json
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from stitching_methods import MERGE, METHODS, Decoder, ScoredWindow, token_logits
from transformers import AutoTokenizer

from longbert.arrays import IntArray
from longbert.core.crf import ends_at_line_breaks, masked_emissions
from longbert.core.fingerprint import fingerprint
from longbert.core.measures.counts import CORRECT, GOLD, PREDICTED, estimate, micro_f1
from longbert.core.windows import Window
from longbert.encoders.checkpoint.locate import find_model
from longbert.encoders.heads.learned.token_head import LearnedTagger
from longbert.encoders.models import LoadedBackbone, load_backbone
from longbert.encoders.splitting import Split, WindowPlan
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.engine.meter import NullMeter
from longbert.records import LabelledSpan
from longbert.training.base import FeatureReader, FeatureWindow, TrainingInputs
from longbert.training.config import TrainConfig
from longbert.training.data import folds_of, read_training_data
from longbert.training.features import FeatureStore, StoredFeatures, feature_head
from longbert.training.heads import fit_head
from longbert.training.ner import TRAINER, EntityTask
from longbert.training.observer import Observer

ALL, OVERLAP, CUT = range(3)
"""Which entities are counted: all, those with a token that several windows hold, and those that
an end of a window cuts. Of the last only what is to be found is counted."""

Windows = list[list[FeatureWindow]]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Compared:
    """A document: what is counted of it.

    Attributes:
        n_entities, n_overlap, n_cut, n_across: labelled entities, those with a token in an
            overlap, those that an end of a window cuts, those whose tokens have several owners.
        n_windows: of the document.
        counts: Shape: (n_methods, 3, 3), by method, :data:`ALL` and so on, and
            :data:`longbert.core.measures.counts.GOLD` and so on.
    """

    n_entities: int
    n_overlap: int
    n_cut: int
    n_across: int
    n_windows: int
    counts: Counts


class Regions:
    """Where in a document windows overlap, end, and hand over.

    Args:
        offsets: of the tokens. Shape: (n_tokens, 2).
        windows: of the document.
    """

    def __init__(self, offsets: npt.NDArray[np.int64], windows: Sequence[Window]) -> None:
        self._offsets = offsets
        n_holding = np.zeros(len(offsets), dtype=np.int64)
        for window in windows:
            n_holding[window.start : window.stop] += 1
        self._shared = n_holding > 1
        edges = {edge for window in windows for edge in (window.start, window.stop)}
        self._edges = np.array(sorted(edges))
        self._borders = np.array(sorted({window.owned_start for window in windows}))

    def overlaps(self, span: LabelledSpan) -> bool:
        """Whether a token of the span is in several windows."""
        return bool(self._shared[slice(*self._tokens(span))].any())

    def is_cut(self, span: LabelledSpan) -> bool:
        """Whether a window ends or begins within the span."""
        return self._parts(self._edges, span)

    def is_across(self, span: LabelledSpan) -> bool:
        """Whether the tokens of the span have several owners."""
        return self._parts(self._borders, span)

    def _parts(self, places: npt.NDArray[np.int64], span: LabelledSpan) -> bool:
        first, stop = self._tokens(span)
        return bool(((places > first) & (places < stop)).any())

    def _tokens(self, span: LabelledSpan) -> tuple[int, int]:
        first = int(np.searchsorted(self._offsets[:, 1], span.char_start, side="right"))
        return first, int(np.searchsorted(self._offsets[:, 0], span.char_end, side="left"))


def side_by_side(n_tokens: int, *, size: int) -> tuple[Window, ...]:
    """Windows without overlap; the last one is as short as it has to be."""
    starts = range(0, n_tokens, size)
    return tuple(
        Window(start, min(start + size, n_tokens), start, min(start + size, n_tokens))
        for start in starts
    )


@dataclass(frozen=True)
class SideBySide(Split):
    """Splits documents so."""

    size: int

    def plan(self) -> WindowPlan:
        """For one document."""
        return _SideBySide(self.size)


class _SideBySide:
    def __init__(self, size: int) -> None:
        self._size = size
        self._n_tokens = 0

    def add(self, offsets: IntArray) -> list[Window]:
        """Count the next tokens."""
        self._n_tokens += len(offsets)
        return []

    def finish(self) -> list[Window]:
        """All windows."""
        return list(side_by_side(self._n_tokens, size=self._size))


def compare(
    config: TrainConfig, folder: Path, *, tell: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Train, decode and count.

    Args:
        config: of the training; its output is not written.
        folder: for features and the states of trainings.
        tell: told how it goes on.

    Returns:
        Figures for a JSON file.
    """
    data = read_training_data(config)
    documents = data.main.documents
    loaded = load_backbone(config.models)
    inputs = TrainingInputs(config, loaded, documents, len(documents), data.main.kind)
    reader = TRAINER.make_reader(inputs, folder)
    own = _features(inputs, reader, loaded, folder / "overlapping")
    size = loaded.window - loaded.backbone.n_special
    apart = replace(loaded, split_tokens=SideBySide(size))
    separate = _features(inputs, reader, apart, folder / "separate")
    tell(f"{len(documents)} documents, {sum(map(len, own))} windows")
    task = TRAINER.make_task(inputs, reader, StoredFeatures(loaded, own, name=reader.name))
    path = find_model(config.backbone, task="embed", config=config.models).path
    tokenizer = AutoTokenizer.from_pretrained(str(path))
    compared: dict[int, Compared] = {}
    for fold, held_back in enumerate(folds_of(documents, config.n_folds, config.seed), start=1):
        seen = sorted(set(range(len(documents))) - set(held_back))
        tagger = _train(task, inputs, seen, fold, folder)
        assert tagger.transitions is not None
        decoder = Decoder(
            task.labels,
            tagger.transitions,
            tokenizer=tokenizer,
            own_tokenizer=loaded.backbone.tokenizer,
        )
        for number in held_back:
            compared[number] = _compared(
                documents[number].text,
                documents[number].spans or (),
                loaded.backbone.tokenizer.tokenize(documents[number].text),
                decoder,
                *([(one, tagger) for one in of_one[number]] for of_one in (own, separate)),
            )
        found = micro_f1(sum(one.counts for one in compared.values())[:, ALL, None, :] * 1.0)
        tell(f"fold {fold} of {config.n_folds}: F1 of {METHODS[-1]} so far {found[-1]:.3f}")
    return _figures(config, loaded, [compared[number] for number in sorted(compared)])


def _features(
    inputs: TrainingInputs, reader: FeatureReader, loaded: LoadedBackbone, folder: Path
) -> Windows:
    texts = {str(n): [one.document_id, one.text] for n, one in enumerate(inputs.documents)}
    store = FeatureStore(
        folder,
        {
            "documents": fingerprint(texts),
            "backbone": loaded.backbone.digest,
            "window": loaded.window,
            "overlap": loaded.overlap,
            "windows": folder.name,
            **TRAINER.feature_identity(inputs),
        },
    )
    pass_ = loaded.pass_for(feature_head(reader))
    return store.fill(inputs.documents, pass_, meter=NullMeter())


def _train(
    task: EntityTask, inputs: TrainingInputs, numbers: Sequence[int], fold: int, folder: Path
) -> LearnedTagger:
    """A tagger that has not seen the other documents, as ``longbert train`` makes it."""
    fitted = fit_head(
        task,
        inputs,
        numbers,
        name=f"fold {fold}",
        seed=inputs.config.seed + fold,
        state_file=folder / f"fold-{fold}.pt",
        observer=Silent(),
    )
    return fitted.scorer.tagger


class Silent(Observer):
    """Is told of trainings and passes nothing on."""


def _compared(
    text: str,
    gold: Sequence[LabelledSpan],
    tokens: TokenizedText,
    decoder: Decoder,
    own: Sequence[tuple[FeatureWindow, LearnedTagger]],
    separate: Sequence[tuple[FeatureWindow, LearnedTagger]],
) -> Compared:
    stops = ends_at_line_breaks(text, tokens.offsets)
    windows, apart = (
        [_scored(stored, tagger, stops, decoder) for stored, tagger in given]
        for given in (own, separate)
    )
    regions = Regions(tokens.offsets, [one.window for one in windows])
    found = decoder.entities(text, tokens, windows, apart)
    right = set(gold)
    return Compared(
        n_entities=len(right),
        n_overlap=sum(map(regions.overlaps, right)),
        n_cut=sum(map(regions.is_cut, right)),
        n_across=sum(map(regions.is_across, right)),
        n_windows=len(windows),
        counts=np.array([counts_of(right, set(found[name]), regions) for name in METHODS]),
    )


def _scored(
    stored: FeatureWindow,
    tagger: LearnedTagger,
    stops: npt.NDArray[np.bool_],
    decoder: Decoder,
) -> ScoredWindow:
    window = stored.window
    emissions = masked_emissions(
        tagger.token_logits(stored.features, window.n_tokens),
        stops[window.start : window.stop],
        decoder.scheme,
    )
    logits = token_logits(emissions, stored.features["first_tokens"], decoder.table)
    return ScoredWindow(window, emissions, logits)


def counts_of(gold: set[LabelledSpan], found: set[LabelledSpan], regions: Regions) -> Counts:
    """What is to be found, what was, and both. Shape: (3, 3)."""
    counts = np.zeros((3, 3), dtype=np.int64)
    for column, spans in ((GOLD, gold), (PREDICTED, found), (CORRECT, gold & found)):
        counts[ALL, column] = len(spans)
        counts[OVERLAP, column] = sum(map(regions.overlaps, spans))
        if column != PREDICTED:
            counts[CUT, column] = sum(map(regions.is_cut, spans))
    return counts


def _figures(
    config: TrainConfig, loaded: LoadedBackbone, compared: Sequence[Compared]
) -> dict[str, Any]:
    counts = np.stack([one.counts for one in compared])
    merge = METHODS.index(MERGE)

    def f1(method: int, region: int) -> Callable[[npt.NDArray[np.float64]], Any]:
        return lambda totals: micro_f1(totals[:, method, region, None])

    def ahead(method: int, region: int) -> Callable[[npt.NDArray[np.float64]], Any]:
        return lambda totals: f1(method, region)(totals) - f1(merge, region)(totals)

    figures = []
    for number, name in enumerate(METHODS):
        of_all, of_overlap, ahead_all, ahead_overlap = estimate(
            counts,
            [
                f1(number, ALL),
                f1(number, OVERLAP),
                ahead(number, ALL),
                ahead(number, OVERLAP),
            ],
        )
        totals = counts[:, number].sum(axis=0)
        figures.append(
            {
                "method": name,
                "f1": of_all.to_json(),
                "f1_in_overlaps": of_overlap.to_json(),
                "f1_ahead": ahead_all.to_json(),
                "f1_ahead_in_overlaps": ahead_overlap.to_json(),
                "predicted": int(totals[ALL, PREDICTED]),
                "correct": int(totals[ALL, CORRECT]),
                "correct_cut": int(totals[CUT, CORRECT]),
            }
        )
    return {
        "data": Path(config.data[0]).parent.name,
        "folds": config.n_folds,
        "window": loaded.window,
        "overlap": loaded.overlap,
        "documents": len(compared),
        "documents_of_several_windows": sum(one.n_windows > 1 for one in compared),
        "windows": sum(one.n_windows for one in compared),
        "entities": sum(one.n_entities for one in compared),
        "entities_in_overlaps": sum(one.n_overlap for one in compared),
        "entities_cut": sum(one.n_cut for one in compared),
        "entities_across_owners": sum(one.n_across for one in compared),
        "methods": figures,
    }


def table(figures: dict[str, Any]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| method | F1 | F1 − transformers | F1 in overlaps | F1 − transformers there "
        "| cut entities found |",
        "|---|---|---|---|---|---|",
    ]
    for one in figures["methods"]:
        cells = [
            _interval(one["f1"]),
            _interval(one["f1_ahead"], signed=True),
            _interval(one["f1_in_overlaps"]),
            _interval(one["f1_ahead_in_overlaps"], signed=True),
        ]
        if one["method"] == MERGE:
            cells[1] = cells[3] = ""
        found = f"{one['correct_cut']} of {figures['entities_cut']}"
        lines.append(f"| {one['method']} | {' | '.join(cells)} | {found} |")
    return "\n".join(lines) + "\n"


def _interval(estimated: dict[str, float], *, signed: bool = False) -> str:
    numbers = [estimated["value"], estimated["low"], estimated["high"]]
    value, low, high = (f"{one:+.3f}" if signed else f"{one:.3f}" for one in numbers)
    return f"{value} ({low} to {high})".replace("-", "−")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="documents with labelled spans")
    parser.add_argument("--label-field", help="the field of the spans")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--backbone", default="minilm")
    parser.add_argument("--window", type=int, help="positions, special tokens included")
    parser.add_argument("--overlap", type=int, help="content tokens")
    parser.add_argument("--epochs", type=int, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, required=True, help="JSON file of the figures")
    chosen = parser.parse_args(arguments)
    config = TrainConfig(
        task="ner",
        data=(chosen.data,),
        output=str(chosen.output),
        backbone=chosen.backbone,
        label_field=chosen.label_field,
        n_folds=chosen.folds,
        epochs=chosen.epochs,
        window=chosen.window,
        overlap=chosen.overlap,
        seed=chosen.seed,
        device="cpu",
    )
    with tempfile.TemporaryDirectory() as folder:
        figures = compare(config, Path(folder), tell=lambda line: print(line, file=sys.stderr))
    chosen.output.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    print(table(figures), end="")


if __name__ == "__main__":
    main()
