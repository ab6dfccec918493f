"""What the package offers, for Python and for the command line alike.

Nothing heavy is imported before it is needed: torch, Beam and FAISS come with the functions.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from longbert.config import DEFAULT_OUTPUT, DEFAULT_RUNNER, job_config, run_config
from longbert.errors import ConfigError, OutputError
from longbert.files import filesystem_for, output_folder
from longbert.launch import forecast, run_job

if TYPE_CHECKING:
    from longbert.engine.compact import Compacted
    from longbert.engine.encoder import Encoder
    from longbert.engine.evaluate import Evaluation
    from longbert.engine.evaluate_ranking import RankingEvaluation
    from longbert.engine.meter import Meter
    from longbert.engine.verify.problems import Compared, Problem, Sampled
    from longbert.index.excerpts import Hit
    from longbert.index.search import Index


def run(
    *inputs: str | os.PathLike[str],
    output: str | os.PathLike[str] = DEFAULT_OUTPUT,
    runner: str = DEFAULT_RUNNER,
    workers: int | None = None,
    beam_options: Sequence[str] = (),
    dry_run: bool = False,
    **settings: Any,
) -> dict[str, Any]:
    """Encode documents into an output folder: ``longbert run`` from Python.

    Args:
        inputs: files, folders or globs.
        output: the folder for tables, index and manifest.
        runner: ``"DirectRunner"`` is this machine through Beam, ``"none"`` is this process
            without Beam, any other name is a runner of Beam's.
        workers: processes on this machine; None: this one alone.
        beam_options: options of Beam, ``"--name=value"``.
        dry_run: change nothing, and return what would be encoded, copied and dropped.
        settings: the other options of ``longbert run``, ``-`` written ``_``.

    Returns:
        The manifest; empty where Beam only wrote a job, as for a template.

    Raises:
        LongbertError: the run failed; what earlier runs wrote is kept.
    """
    execution_settings = {"runner": runner, "workers": workers, "beam_options": beam_options}
    config, execution = job_config(
        {"input": inputs, "output": output, **execution_settings, **settings}
    )
    if dry_run:
        return forecast(config, execution)
    import tempfile

    with tempfile.TemporaryDirectory(prefix="longbert-") as meter_folder:
        result = run_job(config, execution, meter_folder=meter_folder, notify=_warn)
    if result is None:
        return {}
    from longbert.store.record import to_builtins

    return to_builtins(result.manifest)


def load(**settings: Any) -> Encoder:
    """Load models for use from Python, without Beam.

    Args:
        settings: ``embed``, ``classify``, ``ner``, ``window``, ... as for ``longbert run``.

    Returns:
        An encoder; call it with a text.

    Raises:
        ConfigError: a setting is unknown or out of range.
        ModelError: a model cannot be found or used.
    """
    from longbert.encoders.checkpoint.copies import local_copies
    from longbert.engine.encoder import Encoder

    models = run_config({"input": "-", **settings}).models
    return Encoder(local_copies(models, filesystem_for(*models.names)))


def open(
    folder: str | os.PathLike[str] = DEFAULT_OUTPUT, *, query_prompt: str | None = None
) -> Index:
    """Open a finished output for search.

    The index is a snapshot: it answers as it did when it was opened while runs change the folder,
    until ``index.reload()``.

    Args:
        folder: the output.
        query_prompt: what the model reads before a query; None: what the run recorded; empty:
            nothing.

    Returns:
        An index; ``index.search("a question", k=10)`` ranks the documents.

    Raises:
        ConfigError: there is no such folder.
        OutputError: the folder holds no finished output, or no index, or is damaged.
    """
    from longbert.engine.open_index import open_index

    path = os.fspath(folder)
    return open_index(
        filesystem_for(path), path, model_files=filesystem_for, query_prompt=query_prompt
    )


def evaluate(
    gold: str,
    folder: str,
    *,
    head: str | None = None,
    label_map: Mapping[str, str] | None = None,
    id_field: str = "id",
    text_field: str = "text",
    label_field: str | None = None,
) -> Evaluation:
    """Measure a finished output against documents that people labelled.

    Args:
        gold: JSON lines or Parquet; a folder or glob of these.
        folder: the output.
        head: name in the tables; None: the only one that fits the labels.
        label_map: names on either side that stand for another one; see
            :func:`longbert.engine.evaluate.evaluate_output`.
        id_field, text_field, label_field: of the labelled documents; ``label_field`` None:
            ``label``, ``labels`` or ``entities``, whichever there is.

    Raises:
        ConfigError: there is no such folder, or no head fits.
        InputError: the labelled documents cannot be read, or none of them is in the output.
        OutputError: the output is unfinished or damaged.
    """
    from longbert.engine.evaluate import evaluate_output
    from longbert.readers.labels import read_labelled

    output = output_folder(folder)
    if not output.filesystem.is_folder(folder):
        raise ConfigError(
            f"index names no folder: {folder!r}; name the output folder of a longbert run"
        )
    data = read_labelled(
        filesystem_for(gold),
        gold,
        id_field=id_field,
        text_field=text_field,
        label_field=label_field,
        may_be_empty=True,
    )
    return evaluate_output(output, data, head=head, label_map=label_map)


def evaluate_ranking(
    queries: str | None,
    folder: str = DEFAULT_OUTPUT,
    *,
    qrels: str | None = None,
    run: str | None = None,
    against: str | None = None,
    rank: str | None = None,
    k: int | None = None,
    filter: str | None = None,
    rerank: str | None = None,
    rerank_label: str | None = None,
    query_prompt: str | None = None,
) -> RankingEvaluation:
    """Measure how well the documents that answer some queries are found.

    Args:
        queries: JSON lines with ``id``, ``text`` and, without ``qrels``, ``relevant``; None if
            ``run`` and ``qrels`` are given, and ``against`` is none of the rankings.
        folder: the output that is searched.
        qrels: judgments as TREC writes them.
        run: a ranking as TREC writes it, measured in place of a search.
        against: a ranking to compare with: one that ``rank`` names, or a run as TREC writes it.
        rank, k, filter, rerank, rerank_label, query_prompt: of the search; see
            :meth:`longbert.index.search.Index.search_many` and :func:`open`. ``k`` is at least
            100, and that if None. ``rank``, ``rerank`` and ``rerank_label`` are not for the
            ranking to compare with.

    Raises:
        ConfigError: what is given does not go together, or is out of range.
        ModelError: a model cannot be found or used.
        InputError: a file cannot be read, or queries, judgments and documents do not belong
            together.
        OutputError: the output is unfinished or damaged.
    """
    from longbert.core.ranks import LEAST_DEPTH
    from longbert.engine.evaluate_ranking import evaluate_rankings
    from longbert.engine.judged_search import JudgedSearch, read_judged_queries

    files = filesystem_for(*(one for one in (queries, qrels, run, against) if one is not None))
    judged = read_judged_queries(files, queries=queries, qrels=qrels)
    source = JudgedSearch(
        files,
        judged,
        open_index=lambda: open(folder, query_prompt=query_prompt),
        k=LEAST_DEPTH if k is None else k,
        filter=filter,
    )
    other = None if against is None else source.named(against)
    if run is None:
        ranking = source.search(rank, rerank=rerank, rerank_label=rerank_label)
    elif rank is rerank is rerank_label is None:
        ranking = source.run(run)
    else:
        raise ConfigError(
            "--run is a ranking that is read, and --rank, --rerank and --rerank-label are of a "
            "search: leave out one or the other"
        )
    compared = None if other is None else other()
    return evaluate_rankings(
        ranking, judged.grades, against=compared, document_ids=source.document_ids
    )


def verify(
    folder: str | os.PathLike[str] = DEFAULT_OUTPUT,
    *,
    inputs: bool = False,
    sample: int | None = None,
    notify: Callable[[Sampled | Compared], None] = lambda _: None,
) -> Iterator[Problem]:
    """Check a finished output.

    Args:
        folder: the output.
        inputs: read the inputs again, where the last run named them, and compare all texts.
        sample: encode as many documents again and compare all their rows; None: none.
        notify: told which documents these were, and how many were compared with the inputs, once
            they are.

    Yields:
        What is wrong, as it is found.

    Raises:
        ConfigError: there is no such folder, or it holds no output.
        LockError: it has no manifest yet, and a run is writing it.
        OutputError: the output is of another format.
        InputError: an input is not where the run named it.
        FingerprintError: this machine would not make the bits that are to be compared.
    """
    from longbert.engine.recorded import recorded_config
    from longbert.engine.verify.inputs import input_problems
    from longbert.engine.verify.output import readable_manifest, verify_output
    from longbert.engine.verify.problems import Mend, Problem

    output = output_folder(os.fspath(folder))
    yield from verify_output(output)
    is_compared = inputs or sample is not None
    if not is_compared or readable_manifest(output) is None:
        return
    try:
        config = recorded_config(output)
    except OutputError as error:
        yield Problem(f"neither inputs nor bits were compared: {error}", Mend.RUN)
        return
    if inputs:
        files = filesystem_for(*config.inputs)
        yield from input_problems(output, config, files, notify=notify)
    if sample is not None:
        from longbert.engine.verify.sample import sample_problems

        files = filesystem_for(*config.places)
        yield from sample_problems(output, config, sample, filesystem=files, notify=notify)


def compact(
    folder: str | os.PathLike[str] = DEFAULT_OUTPUT, *, meter: Meter | None = None
) -> Compacted:
    """Merge small parts of an output, and put its tables in the order of the inputs.

    Args:
        folder: the output.
        meter: counts the documents as they are done.

    Returns:
        How many parts there were, are, and were written.

    Raises:
        ConfigError: there is no such folder.
        InputError: the inputs are not where the last run named them, or have changed since.
        OutputError: the folder holds no finished output, or a part is damaged.
    """
    from longbert.engine.compact import compact_output
    from longbert.engine.context import RunContext
    from longbert.engine.meter import NullMeter
    from longbert.engine.recorded import recorded_config

    output = output_folder(os.fspath(folder))
    output.finished()
    config = recorded_config(output)
    files = filesystem_for(*config.places)
    return compact_output(RunContext(config, files, meter or NullMeter()))


def hits_table(results: Sequence[Hit] | Mapping[str, Sequence[Hit]]) -> Any:
    """The hits of some queries as an Arrow table, a row for each passage that is shown.

    Args:
        results: hits of one query, or of several by the query's id, as
            ``{"rent": index.search("who pays the rent?")}``; a single query has the id ``"1"``.

    Returns:
        A ``pyarrow.Table`` with the columns ``query_id``, ``rank``, ``document_id``, ``score``,
        ``char_start``, ``char_end``, ``passage_score`` and ``text``, best first; the last four
        are null for a hit without passages.
    """
    from longbert.index.results import hits_table

    by_query = results if isinstance(results, Mapping) else {"1": results}
    return hits_table(by_query.items())


def _warn(sentence: str) -> None:
    # Of whoever called `run`, past the functions in between.
    warnings.warn(sentence, RuntimeWarning, stacklevel=5)
