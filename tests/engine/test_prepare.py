"""Fingerprints gate what they decide: rows, readers and the index, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.runs import files_of, last_run, problems, rows_by_document, some_texts, write_texts

from longbert.config import run_config
from longbert.encoders.loaded_models import Models
from longbert.engine.context import RunContext, load_run_models
from longbert.engine.done_units import DoneUnits
from longbert.engine.finish import RunInfo, RunResult, finish
from longbert.engine.gather import gather
from longbert.engine.plan import list_groups, plan, summarize
from longbert.engine.prepare import check_machine, prepare, row_fingerprint
from longbert.engine.spool import Spool
from longbert.engine.unit import process_unit
from longbert.engine.verify.output import environments_of
from longbert.errors import FingerprintError
from longbert.index.lexical.languages import lexical_settings
from longbert.store.filesystem import LocalFileSystem

OTHER = {"torch": "99.0"}


@pytest.fixture(scope="module")
def embed(models: Callable[..., Path]) -> str:
    return str(models("bert", sentence_transformers={"max_seq_length": 32}))


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "docs", some_texts(3))


def context_of(docs: Path, output: Path, embed: str, **settings: Any) -> RunContext:
    given = {"input": str(docs), "output": str(output), "embed": embed, "unit_bytes": 2000}
    config = run_config({**given, "precision": "float32", "ner": [], **settings})
    return RunContext(config, LocalFileSystem())


def run_with(context: RunContext, models: Models) -> RunResult:
    """A run in an environment of the test's own."""
    prepared = prepare(context, models)
    planned = plan(context, Spool(list_groups(context)), prepared)
    for unit in planned.units:
        process_unit(context, unit, lambda: models)
    return finish(
        context,
        summarize(context, planned.counts),
        DoneUnits(),
        gather(context, planned.parts),
        prepared,
        RunInfo("none"),
    )


def in_another_environment(models: Models, **libraries: str) -> Models:
    return replace(models, libraries={**models.libraries, **libraries})


def test_another_environment_is_refused_with_what_differs_and_what_it_costs(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    context = context_of(docs, tmp_path / "out", embed)
    models = load_run_models(context)
    run_with(context, models)
    before = files_of(tmp_path / "out")

    with pytest.raises(FingerprintError) as raised:
        run_with(context, in_another_environment(models, **OTHER))

    message = str(raised.value)
    assert raised.value.exit_status == 4
    assert f'libraries.torch: "{models.libraries["torch"]}" -> "99.0"' in message
    assert "--accept-drift" in message
    assert "--output" in message
    assert files_of(tmp_path / "out") == before


def test_accepted_drift_keeps_rows_and_records_the_mixture(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    output = tmp_path / "out"
    context = context_of(docs, output, embed, accept_drift=True)
    models = load_run_models(context)
    first = run_with(context, models)
    write_texts(docs, {"new.txt": "The tenant paid. " * 20})
    (docs / "00.txt").unlink()

    other = in_another_environment(models, **OTHER)
    second = run_with(context, other)

    assert second.entry.unchanged == 2
    made = {one for shard in second.manifest.shards for one in shard.fingerprints}
    assert made == {first.manifest.fingerprint, second.manifest.fingerprint}
    assert second.manifest.environments.keys() == made
    assert problems(output) == []
    lines = list(environments_of(context.output, context.output.finished()))
    assert len(lines) == 2
    assert any("torch 99.0" in line for line in lines)

    # Either environment goes on without being asked again.
    plain = context_of(docs, output, embed)
    assert run_with(plain, models).encoded_nothing
    fresh = context_of(docs, tmp_path / "fresh", embed)
    run_with(fresh, models)
    assert rows_by_document(output) == rows_by_document(tmp_path / "fresh")


def test_after_a_drift_that_leaves_no_row_of_the_first_run_the_claim_is_of_the_rest(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    output = tmp_path / "out"
    context = context_of(docs, output, embed, accept_drift=True, prune=True)
    models = load_run_models(context)
    run_with(context, models)
    for path in docs.iterdir():
        path.unlink()
    write_texts(docs, {"new.txt": "The tenant paid. " * 20})
    drifted = run_with(context, in_another_environment(models, **OTHER))
    assert len(drifted.manifest.environments) == 1
    assert problems(output) == []
    claim = context.output.claim()
    assert claim is not None
    assert claim.rows.digest == drifted.manifest.fingerprint


def test_what_differs_beside_the_rows_is_told_with_its_price(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    context = context_of(docs, tmp_path / "out", embed)
    models = load_run_models(context)
    run_with(context, models)
    other = context_of(docs, tmp_path / "out", embed, metric="dot")
    with pytest.raises(FingerprintError) as raised:
        run_with(other, replace(in_another_environment(models, **OTHER), metric="dot"))
    rows, _, beside = str(raised.value).partition("These also differ")
    assert "libraries.torch" in rows
    assert 'index: metric: "cosine" -> "dot" (it would be built again from the tables' in beside


def test_drift_is_never_accepted_for_settings(docs: Path, tmp_path: Path, embed: str) -> None:
    context = context_of(docs, tmp_path / "out", embed, accept_drift=True)
    run_with(context, load_run_models(context))
    other = context_of(docs, tmp_path / "out", embed, accept_drift=True, passage=7)
    with pytest.raises(FingerprintError, match="passage: 64 -> 7"):
        run_with(other, load_run_models(other))


def test_other_weights_are_named_with_what_reads_them(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    context = context_of(docs, tmp_path / "out", embed)
    models = load_run_models(context)
    run_with(context, models)
    (settings,) = models.settings
    other = msgspec.structs.replace(settings, digest="0" * 64)
    told = r'weights or tokenizer of the model of embedding: passes\[0\]\.digest: "\w+" -> "0+"'
    with pytest.raises(FingerprintError, match=told):
        run_with(context, replace(models, settings=(other,)))


def test_parts_of_a_first_run_that_was_stopped_are_kept_when_drift_is_accepted(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    output = tmp_path / "out"
    context = context_of(docs, output, embed)
    models = load_run_models(context)
    run_with(context, models)
    (output / "manifest.json").unlink()
    receipts = sorted((output / "receipts").iterdir())
    receipts[-1].unlink()
    other = in_another_environment(models, **OTHER)
    with pytest.raises(FingerprintError, match="--accept-drift"):
        run_with(context, other)

    accepting = context_of(docs, output, embed, accept_drift=True)
    result = run_with(accepting, other)

    assert last_run(output)["unchanged"] == 2
    assert len(result.manifest.environments) == 2
    assert problems(output) == []


def test_a_machine_whose_rows_would_be_others_is_named_with_both_fingerprints(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    context = context_of(docs, tmp_path / "out", embed)
    models = load_run_models(context)
    planned = row_fingerprint(context.config, models)
    check_machine(planned, row_fingerprint(context.config, models))
    own = row_fingerprint(context.config, replace(models, processor="cpu x86_64 OTHER"))

    with pytest.raises(FingerprintError) as raised:
        check_machine(planned, own)

    message = str(raised.value)
    assert planned.digest[:12] in message
    assert own.digest[:12] in message
    assert 'environment.processor: "' in message
    assert '-> "cpu x86_64 OTHER"' in message


def test_a_machine_whose_words_would_be_others_is_named_with_both_versions() -> None:
    planned = lexical_settings("en")
    check_machine(planned, lexical_settings("en"))
    libraries = {**planned.libraries, "pystemmer": "99"}

    with pytest.raises(FingerprintError) as raised:
        check_machine(planned, msgspec.structs.replace(planned, libraries=libraries))

    message = str(raised.value)
    assert "would not write the planned words" in message
    assert planned.digest[:12] in message
    assert '-> "99"' in message


def test_another_language_of_words_is_told_beside_what_stops_a_run(
    docs: Path, tmp_path: Path, embed: str
) -> None:
    context = context_of(docs, tmp_path / "out", embed)
    models = load_run_models(context)
    run_with(context, models)
    other = context_of(docs, tmp_path / "out", embed, language="en")

    with pytest.raises(FingerprintError) as raised:
        run_with(other, in_another_environment(models, **OTHER))

    _, _, beside = str(raised.value).partition("These also differ")
    assert 'lexical index: language: "auto" -> "en" (it would be built again from' in beside
