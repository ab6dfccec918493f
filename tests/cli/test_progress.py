"""What is shown of a run while it goes on, and at its end."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result
from rich.console import Console
from support.runs import some_texts, write_texts
from support.written_tables import a_manifest

from longbert.cli.progress import ProgressDisplay, duration, progress_line, summary_lines
from longbert.engine.finish import RunEntry, RunResult
from longbert.engine.meter import FileMeter, FileMeterReader
from longbert.store.fingerprints import HeadSettings, PassSettings

PLANNED = {"planned_documents": 1400, "planned_bytes": 1e6}


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class NoTotals:
    """Stands for a reader; totals are given to ``show`` by hand."""

    def totals(self) -> Mapping[str, float]:
        return {}


def display(stream: io.StringIO, clock: Clock, *, terminal: bool) -> ProgressDisplay:
    console = Console(file=stream, force_terminal=terminal, width=100, color_system=None)
    return ProgressDisplay(NoTotals(), console, clock=clock)  # type: ignore[arg-type]


def test_plain_lines_come_now_and_then() -> None:
    stream, clock = io.StringIO(), Clock()
    with display(stream, clock, terminal=False) as shown:
        shown.show({})
        for second in range(0, 61):
            clock.now = float(second)
            done = {"documents": 10 * second, "tokens": 1000 * second, "bytes": 1e4 * second}
            shown.show({**PLANNED, **done, "errors": second // 30})
    assert stream.getvalue().splitlines() == [
        "longbert: 100 of 1,400 documents, 10% of the text, 1,000 tokens/s, 1:30 left, 0 errors",
        "longbert: 200 of 1,400 documents, 20% of the text, 1,000 tokens/s, 1:20 left, 0 errors",
        "longbert: 300 of 1,400 documents, 30% of the text, 1,000 tokens/s, 1:10 left, 1 error",
        "longbert: 400 of 1,400 documents, 40% of the text, 1,000 tokens/s, 1:00 left, 1 error",
        "longbert: 500 of 1,400 documents, 50% of the text, 1,000 tokens/s, 0:50 left, 1 error",
        "longbert: 600 of 1,400 documents, 60% of the text, 1,000 tokens/s, 0:40 left, 2 errors",
    ]


def test_a_line_that_would_say_the_same_is_not_repeated() -> None:
    stream, clock = io.StringIO(), Clock()
    with display(stream, clock, terminal=False) as shown:
        for clock.now in (0.0, 20.0, 40.0, 60.0):
            shown.show(PLANNED)
    assert stream.getvalue() == "longbert: 0 of 1,400 documents, 0% of the text, 0 errors\n"


def test_a_terminal_gets_a_live_bar() -> None:
    stream, clock = io.StringIO(), Clock()
    before = set(threading.enumerate())
    with display(stream, clock, terminal=True) as shown:
        assert set(threading.enumerate()) > before
        assert "loading models" in stream.getvalue()
        shown.show(PLANNED)
        clock.now = 10
        shown.show({**PLANNED, "documents": 350, "tokens": 5e4, "bytes": 2.5e5})
    text = stream.getvalue()
    assert "\x1b[" in text
    assert "longbert: " not in text
    bar, found, _ = text.rpartition(
        "350 of 1,400 documents, 25% of the text, 5,000 tokens/s, 0:30 left, 0 errors"
    )
    assert found
    # The last time that the line was drawn.
    assert bar.rpartition("\x1b[2K")[2].rstrip() == "━━━╸"


def test_what_an_earlier_run_did_does_not_count_as_speed() -> None:
    stream, clock = io.StringIO(), Clock()
    with display(stream, clock, terminal=False) as shown:
        shown.show(PLANNED)
        clock.now = 10
        resumed = {"documents": 700, "bytes": 6e5, "resumed_bytes": 5e5, "tokens": 1000}
        shown.show({**PLANNED, **resumed})
    assert "700 of 1,400 documents, 60% of the text, 100 tokens/s, 0:40 left" in stream.getvalue()


def test_the_thread_shows_what_meters_wrote(tmp_path: Path) -> None:
    stream = io.StringIO()
    meter = FileMeter(str(tmp_path))
    meter.add(PLANNED)
    meter.add({"documents": 7})
    console = Console(file=stream, force_terminal=True, width=100)
    with ProgressDisplay(FileMeterReader(str(tmp_path)), console):
        deadline = time.monotonic() + 20
        while "7 of 1,400 documents" not in stream.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_the_display_ends_with_an_error_inside() -> None:
    stream = io.StringIO()
    shown = display(stream, Clock(), terminal=True)
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="inside"), shown:
        raise ValueError("inside")
    deadline = time.monotonic() + 20
    while not set(threading.enumerate()) <= before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00")]
)
def test_durations(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_a_line_without_rates() -> None:
    assert (
        progress_line({"planned_documents": 1}, None) == "0 of 1 document, 0% of the text, 0 errors"
    )


def outcome(**entry: Any) -> RunResult:
    def one_pass(*names: str, **settings: Any) -> PassSettings:
        heads = tuple(HeadSettings(name=name, task="", digest="", settings={}) for name in names)
        defaults = {
            "digest": "",
            "attention": "",
            "implementation": "",
            "prompt": "",
            "batch_invariant": True,
        }
        return PassSettings(**(defaults | settings), heads=heads)

    manifest = msgspec.structs.replace(
        a_manifest(
            precision="bfloat16",
            passes=(
                one_pass(
                    "embedding",
                    "people",
                    window=256,
                    reads="all",
                    overlap=63,
                    batch_invariant=entry.pop("batch_invariant", True),
                ),
                one_pass("genre", window=512, reads="ends", overlap=None),
            ),
        ),
        counts={"errors": entry.pop("errors", 0)},
    )
    defaults = {"documents": 1000, "unchanged": 0, "removed": 0, "units": 4, "seconds": 12.34}
    defaults |= {"device": "cpu (2 threads)", "began": "", "runner": "none", "workers": None}
    defaults |= {
        "settings": {},
        "units_copied": 0,
        "units_reindexed": 0,
        "units_resumed": 0,
        "measured": {},
        "indexed": False,
    }
    return RunResult(manifest, RunEntry(**(defaults | entry)))


MEASURED = {
    "windows": 3000,
    "tokens": 500_000,
    "positions": 570_000,
    "padded_positions": 600_000,
    "seconds_reading": 0.26,
    "seconds_tokenizing": 1,
    "seconds_encoding": 10,
    "seconds_writing": 0.5,
}


def test_the_summary_of_a_fresh_run() -> None:
    encoded = {"windows": 3000, "tokens": 500_000}
    assert summary_lines(outcome(errors=2, encoded=encoded), MEASURED, "out") == [
        "1,000 documents: 1,000 new; 2 in errors -> out",
        "3,000 windows, 500,000 tokens (50,000 a second while encoding), 5.0% padding",
        "seconds: reading 0.3, tokenizing 1.0, encoding 10.0, writing 0.5, in all 12.3",
        "cpu (2 threads), bfloat16: 2 passes for 3 heads",
        "pass 1 shared by embedding, people (window 256, overlap 63)",
        "pass 2 for genre (window 512, of the first and last tokens)",
        "warning: 2 rows in out/errors, each with a reason",
    ]


def test_the_summary_of_other_runs() -> None:
    lines = summary_lines(
        outcome(unchanged=900, removed=3, documents_resumed=40, batch_invariant=False),
        {
            **MEASURED,
            "unknown_script": 1,
            "tokenized_whole": 2,
            "vectors_of_zeros": 2_000,
            "skipped .png": 2,
            "skipped ": 1,
            "unused encoding dso/*": 1,
        },
        "out",
    )
    assert lines[0] == (
        "1,000 documents: 100 new, 900 unchanged, 3 removed or changed "
        "(40 of them done by an earlier run); 0 in errors -> out"
    )
    assert "skipped 3 files that longbert does not read: no suffix 1, .png 2" in lines
    assert lines[-6].endswith("overlap 63; results depend on the batch here)")
    assert lines[-4].startswith("warning: 1 document with over a tenth of the characters under")
    assert lines[-3].startswith("warning: 2 documents larger than a unit in memory as a whole")
    assert lines[-2].startswith("warning: 2,000 vectors of documents or passages with nothing but")
    assert lines[-1].startswith("warning: --encoding 'dso/*=...' names no text file or page of")


def test_the_summary_says_what_was_indexed_again() -> None:
    words = outcome(units=4, unchanged=1000, units_reindexed=4)
    wanted = "1,000 documents: 0 new, 1,000 unchanged; the words of 4 parts were indexed again; "
    assert summary_lines(words, {}, "out")[0].startswith(wanted)
    vectors = outcome(units=0, unchanged=1000, indexed=True)
    assert "1,000 unchanged; the index was built again; " in summary_lines(vectors, {}, "out")[0]
    grown = outcome(units=4, unchanged=900, indexed=True, reindexed="it has grown")
    wanted = "900 unchanged; all vectors were indexed again: it has grown; "
    assert wanted in summary_lines(grown, {}, "out")[0]


def test_the_summary_of_a_run_with_nothing_to_do() -> None:
    done = outcome(units=0, unchanged=1000, errors=1)
    wanted = "nothing to do: 1,000 documents already in out, 1 of them in errors"
    unchecked = " (its files are all there in full length; longbert verify reads them)"
    assert summary_lines(done, {}, "out") == [wanted + unchecked]
    kept = outcome(units=0, unchanged=1000, errors=1, kept=12)
    gone = ", 12 kept that are gone from the inputs"
    assert summary_lines(kept, {}, "out") == [wanted + gone + unchecked]


def test_a_run_ends_with_a_summary_on_stderr(
    tmp_path: Path, call: Callable[..., Result], small: Path
) -> None:
    texts = {**some_texts(3), "h.txt": "\U00013000\U00013001 \U00013002", "e.txt": "", "x.png": ""}
    docs = write_texts(tmp_path / "docs", texts)
    arguments = ["run", "--input", docs, "--output", tmp_path / "out", "--embed", small]
    arguments += ["--precision", "float32", "--runner", "none"]
    result = call(*arguments)

    assert (result.exit_code, result.stdout) == (3, "")
    lines = result.stderr.splitlines()
    assert all(line.startswith("longbert: ") for line in lines)
    assert lines[0] == f"longbert: 5 documents: 5 new; 1 in errors -> {tmp_path}/out"
    counts = json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]
    assert lines[1].startswith(f"longbert: {counts['windows']} windows, {counts['tokens']} tokens ")
    for stage in ("reading", "tokenizing", "encoding", "assembling", "writing", "indexing"):
        assert f"{stage} " in result.stderr
    assert "skipped 1 file that longbert does not read: .png 1" in result.stderr
    assert "warning: 1 document with over a tenth of the characters" in result.stderr

    again = call(*arguments)
    assert (again.exit_code, again.stdout) == (3, "")
    nothing = f"5 documents already in {tmp_path}/out, 1 of them in errors"
    unchecked = "(its files are all there in full length; longbert verify reads them)"
    assert again.stderr == f"longbert: nothing to do: {nothing} {unchecked}\n"
