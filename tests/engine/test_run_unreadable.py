"""A disk that fails once costs a row in errors until the next run, not for ever."""

import pyarrow.parquet as pq

from longbert.config import run_config
from longbert.engine.context import RunContext
from longbert.engine.finish import RunInfo
from longbert.engine.run import run_in_process
from longbert.store.filesystem import LocalFileSystem


class FailsOnce(LocalFileSystem):
    """Gives a file when it is planned, and fails when it is read to be encoded."""

    def __init__(self, name):
        self._name = name
        self._opened = 0

    def open(self, path):
        if path.endswith(self._name):
            self._opened += 1
            if self._opened == 2:
                raise OSError(5, "Input/output error")
        return super().open(path)


def rows(output, table):
    return pq.read_table(output / table).to_pylist()


def test_unreadable_document_is_tried_again(models, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (folder / name).write_text(f"{name} was written by Maria in Zurich. " * 9)
    output = tmp_path / "out"
    config = run_config(
        {"input": [str(folder)], "output": str(output), "embed": str(models("bert"))}
    )

    outcome = run_in_process(RunContext(config, FailsOnce("b.txt")), RunInfo("none"))
    assert outcome.manifest.counts["errors"] == 1
    (error,) = rows(output, "errors")
    assert (error["document_id"], error["stage"], error["error"]) == ("b.txt", "read", "unreadable")

    outcome = run_in_process(RunContext(config, LocalFileSystem()), RunInfo("none"))
    assert outcome.entry.unchanged == 2
    assert rows(output, "errors") == []
    assert {row["document_id"] for row in rows(output, "documents")} == {"a.txt", "b.txt", "c.txt"}

    assert run_in_process(RunContext(config, LocalFileSystem()), RunInfo("none")).found_all_done
