"""The real command, stopped by signals, with workers that die, and beside another run."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import Result
from support.commands import run_arguments
from support.runs import command_line, files_of, run, some_texts, write_texts

from longbert.cli.signals import stopping
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.lock import locked
from longbert.store.processes import process_start

N_DOCUMENTS = 24
DEADLINE_SECONDS = 200


@pytest.fixture
def many(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "many", some_texts(N_DOCUMENTS, n_words=400))


@contextmanager
def started(
    docs: Path, output: Path, model: Path, *options: str
) -> Iterator[subprocess.Popen[str]]:
    """The command in mid-run: two units are done, and many are not."""
    arguments = ["--precision", "float32", "--unit-bytes", "1000", *options]
    process = subprocess.Popen(
        command_line("run", "--input", docs, "--output", output, "--embed", model, *arguments),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: len(list(output.glob("receipts/*.json"))) >= 2, process)
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(happens: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not happens():
        assert process is None or process.poll() is None, "it is over too early"
        assert time.monotonic() < deadline
        time.sleep(0.005)


def workers_of(parent: int) -> list[int]:
    """Processes of the workers that a process has started."""
    # However narrow the terminal of the tests is.
    command = ["ps", "-ww", "-eo", "pid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    pattern = re.compile(rf"\s*(\d+) .*-m longbert\.beam\.worker \S+ {parent}$")
    found = (pattern.fullmatch(line) for line in listed.stdout.splitlines())
    return [int(one[1]) for one in found if one is not None]


def finish(docs: Path, output: Path, model: Path, folder: Path) -> None:
    """Go on with the same settings, and compare with a run that nothing disturbed."""
    run(docs, output, embed=model)
    run(docs, folder / "undisturbed", embed=model)
    assert files_of(output) == files_of(folder / "undisturbed")


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--runner", "none"], [], ["--workers", "2"]], ids=str)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_run_in_good_order(
    many: Path, tmp_path: Path, small: Path, options: list[str], number: int, status: int
) -> None:
    output = tmp_path / "out"
    with started(many, output, small, *options) as process:
        n_workers = len(workers_of(process.pid))
        process.send_signal(number)
        _, told = process.communicate(timeout=DEADLINE_SECONDS)
        assert n_workers == (2 if "--workers" in options else 0)
        assert workers_of(process.pid) == []
    assert process.returncode == status
    lines = [line for line in told.splitlines() if "% of the text" not in line]
    (line,) = lines
    counts = re.fullmatch(
        rf"longbert: stopped, (\d+) of {N_DOCUMENTS} documents done; what is finished is kept: "
        "run the same command again to go on",
        line,
    )
    assert counts is not None, told
    assert 2 <= int(counts[1]) < N_DOCUMENTS
    assert not (output / "lock.json").exists()
    assert not (output / "manifest.json").exists()
    finish(many, output, small, tmp_path)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_named_with_its_unit(
    many: Path, tmp_path: Path, small: Path
) -> None:
    output = tmp_path / "out"
    with started(many, output, small, "--workers", "2") as process:
        first, _ = workers_of(process.pid)
        os.kill(first, signal.SIGKILL)
        _, told = process.communicate(timeout=DEADLINE_SECONDS)
        assert workers_of(process.pid) == []
    assert process.returncode == 1
    lines = [line for line in told.splitlines() if "% of the text" not in line]
    (line,) = lines
    named = (
        rf"worker process {first} ended .*(at unit \d{{6}}-\w{{12}} \('\d\d\.txt'\)|between two)"
    )
    assert re.search(named, line), told
    assert "run again to go on" in line
    finish(many, output, small, tmp_path)


@pytest.mark.slow
def test_workers_end_when_the_process_that_started_them_is_killed(
    many: Path, tmp_path: Path, small: Path
) -> None:
    output = tmp_path / "out"
    with started(many, output, small, "--workers", "2") as process:
        assert len(workers_of(process.pid)) == 2
        process.kill()
        process.wait()
        wait_for(lambda: workers_of(process.pid) == [])
    assert (output / "lock.json").exists()
    finish(many, output, small, tmp_path)


def test_a_second_run_is_refused_with_the_name_of_the_first(
    call: Callable[..., Result], docs: Path, tmp_path: Path, small: Path
) -> None:
    output = tmp_path / "out"
    with locked(OutputFolder(LocalFileSystem(), str(output))):
        refused = call(*run_arguments(docs, output, small))
        assert os.listdir(output) == ["lock.json"]
        forecast = call(*run_arguments(docs, output, small), "--dry-run")
    assert refused.exit_code == 5
    assert re.search(
        rf"another run is writing output '\S+': process {os.getpid()} on \S+, since \S+: wait",
        refused.stderr,
    )
    assert forecast.exit_code == 5, "as the run would"
    told = json.loads(forecast.stdout)
    assert told["encode"]["documents"] > 0, "it changes nothing, so it need not wait"
    assert told["refused"] in refused.stderr


def test_readers_are_not_kept_waiting(
    call: Callable[..., Result], docs: Path, tmp_path: Path, small: Path
) -> None:
    output = tmp_path / "out"
    run(docs, output, embed=small)
    with locked(OutputFolder(LocalFileSystem(), str(output))):
        assert call("query", "a dragonfly", "--index", output).exit_code == 0
        assert call("verify", output).exit_code == 0


_SECOND_SIGNAL = """
import hashlib, subprocess, sys, threading, time
from longbert.cli.signals import stopping
from longbert.errors import Stopped
from longbert.store.processes import with_helpers

event = threading.Event()
helper = subprocess.Popen(["sleep", "1000"], stdout=subprocess.DEVNULL)
with stopping(), with_helpers(lambda: [helper.pid]):
    try:
        print(helper.pid, flush=True)
        while True:
            time.sleep(0.01)
    except Stopped:
        print("stopped", flush=True)
    # Nothing between two steps of Python comes to an end here.
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1) if sys.argv[1] == "busy" else event.wait()
"""


@pytest.mark.parametrize("what", ["busy", "waiting"])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_ends_all_processes_at_once(what: str, number: int, status: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SECOND_SIGNAL, what], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    helper = int(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "stopped\n"
    process.send_signal(number)
    assert process.wait(timeout=DEADLINE_SECONDS) == status
    process.stdout.close()
    wait_for(lambda: process_start(helper) is None)


def test_signals_are_as_before_once_the_block_has_ended() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopping() as signals:
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signals.status == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stopping():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
