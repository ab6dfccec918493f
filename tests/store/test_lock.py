"""One writer at a time."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from fakes.memory_files import MemoryFiles

from longbert.errors import LockError, OutputError
from longbert.store import lock as lock_module
from longbert.store import processes
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.lock import Lock, locked

HOLDS = """
import sys, time
from longbert.store.filesystem import LocalFileSystem
from longbert.store.folder import OutputFolder
from longbert.store.lock import locked
with locked(OutputFolder(LocalFileSystem(), sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def output(tmp_path: Path) -> OutputFolder:
    return OutputFolder(LocalFileSystem(), str(tmp_path / "out"))


@pytest.fixture
def other_process(output: OutputFolder) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock."""
    command = [sys.executable, "-c", HOLDS, output.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def edit(output: OutputFolder, **changes: object) -> None:
    path = Path(output.join("lock.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_another_process_is_refused_with_the_name_of_the_holder(
    output: OutputFolder, other_process: subprocess.Popen[str]
) -> None:
    with pytest.raises(LockError) as raised, locked(output):
        pass
    assert raised.value.exit_status == 5
    message = str(raised.value)
    assert re.search(rf"process {other_process.pid} on \S+, since 20..-..-..T..:..:..\+", message)
    assert "wait until it has ended, or name another --output" in message
    assert Path(output.join("lock.json")).exists(), "it is the other's"


def test_the_lock_of_a_killed_process_is_taken_over(
    output: OutputFolder, other_process: subprocess.Popen[str]
) -> None:
    os.kill(other_process.pid, signal.SIGKILL)
    # Before its parent has asked for its status it is still listed, as a zombie.
    os.waitid(os.P_PID, other_process.pid, os.WEXITED | os.WNOWAIT)
    with locked(output) as lock:
        lock.check()
    assert not Path(output.path, "lock.json").exists()


def test_a_number_that_another_process_has_by_now_is_no_holder(output: OutputFolder) -> None:
    with locked(output):
        edit(output, process_start="long ago")
        with locked(output) as second:
            second.check()


def test_a_holder_on_another_machine_is_left_to_the_user(output: OutputFolder) -> None:
    with locked(output):
        edit(output, host="elsewhere", pid=1)
        with pytest.raises(LockError, match=r"process 1 on elsewhere.*remove .*/out/lock\.json"):
            Lock(output).acquire()


def test_a_number_in_another_container_says_nothing(output: OutputFolder) -> None:
    with locked(output):
        edit(output, space="pid:[1]", pid=2**22 + 1)
        with pytest.raises(LockError, match="cannot tell whether it is still running"):
            Lock(output).acquire()


def test_of_many_at_once_one_gets_it(output: OutputFolder) -> None:
    """Threads of one process, for whom the holder is alive like any other."""
    n_threads = 8
    barrier = threading.Barrier(n_threads)
    held: list[Lock] = []
    refused: list[LockError] = []

    def take() -> None:
        lock = Lock(output)
        barrier.wait()
        try:
            lock.acquire()
            held.append(lock)
        except LockError as error:
            refused.append(error)

    threads = [threading.Thread(target=take) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == 1
    assert len(refused) == n_threads - 1
    held[0].check()


def test_of_many_that_take_over_one_gets_it(output: OutputFolder) -> None:
    with locked(output):
        edit(output, process_start="long ago")
        test_of_many_at_once_one_gets_it(output)


def test_a_lock_that_was_lost_is_noticed_before_anything_is_changed(output: OutputFolder) -> None:
    with locked(output) as lock:
        Path(output.join("lock.json")).unlink()
        with pytest.raises(LockError, match="now by nobody"):
            lock.check()
        with locked(output):
            with pytest.raises(LockError, match=f"now by process {os.getpid()}"):
                lock.check()
            lock.release()
            assert Path(output.join("lock.json")).exists(), "it is the other's"


def test_a_store_where_two_may_write_at_once_leaves_one_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without preconditions both think that they wrote, and the first finds the other's lock."""
    files = MemoryFiles()
    output = OutputFolder(files, "mem://out")
    with ExitStack() as stack:
        write_if = files.write_if

        def write_with_another(path: str, data: bytes, *, expected: bytes | None) -> bool:
            written = write_if(path, data, expected=expected)
            monkeypatch.setattr(files, "write_if", write_if)
            files.remove(path)
            stack.enter_context(locked(output))
            return written

        monkeypatch.setattr(files, "write_if", write_with_another)
        with pytest.raises(LockError, match="was locked by this run, and now by"):
            Lock(output).acquire()


def test_a_folder_that_cannot_be_written_is_told_when_something_is_to_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = MemoryFiles()
    files.refused.add("mem://out/lock.json")
    monkeypatch.setattr(files, "open", MemoryFiles().open)
    with (
        locked(OutputFolder(files, "mem://out")) as lock,
        pytest.raises(OutputError, match=r"lock\.json cannot be written \(403 Forbidden\)"),
    ):
        lock.check()


def test_a_folder_in_which_nothing_was_written_goes_again(output: OutputFolder) -> None:
    with locked(output):
        assert Path(output.path).is_dir()
    assert not Path(output.path).exists()
    with locked(output):
        Path(output.path, "mine.txt").write_text("")
    assert os.listdir(output.path) == ["mine.txt"]


def test_a_damaged_lock_says_what_to_do(output: OutputFolder) -> None:
    output.write("lock.json", b"{")
    with pytest.raises(LockError, match=r"lock\.json is damaged.*remove it"), locked(output):
        pass


def test_a_process_is_told_from_later_ones_of_its_number() -> None:
    own = processes.process_start(os.getpid())
    assert own is not None
    assert own == processes.process_start(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        start = processes.process_start(child.pid)
        assert start not in (None, own)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert processes.process_start(child.pid) is None, "a zombie does nothing any more"
    assert processes.process_start(child.pid) is None


def test_ps_tells_as_much_where_there_is_no_proc() -> None:
    own = processes.start_from_ps(os.getpid())
    assert own
    assert own == processes.start_from_ps(os.getpid())
    assert processes.start_from_ps(2**22 + 1) is None


def test_the_holder_is_this_process() -> None:
    holder = lock_module.Holder.this_process()
    assert (holder.pid, holder.is_here, holder.is_gone) == (os.getpid(), True, False)
    assert holder.token != lock_module.Holder.this_process().token
