"""The table of window scores: on request, whole, and part of an output like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.runs import last_run, problems, rows, rows_by_document, run, some_texts, write_texts

import longbert
from longbert.errors import FingerprintError

Build = Callable[..., Path]


@pytest.fixture
def settings(models: Build) -> dict[str, object]:
    return {
        "embed": "none",
        "classify": str(models("bert", task="classify")),
        "window": 24,
        "overlap": 6,
    }


def test_a_table_on_request(settings: dict[str, object], tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(3))

    without = run(inputs, tmp_path / "without", **settings)
    manifest = run(inputs, tmp_path / "with", window_scores=True, **settings)

    assert not (tmp_path / "without/window_scores").exists()
    assert "window_scores" not in without["counts"]
    assert problems(tmp_path / "with") == problems(tmp_path / "without") == []
    table = rows(tmp_path / "with", "window_scores")
    n_windows = {
        row["document_id"]: row["n_windows"] for row in rows(tmp_path / "with", "documents")
    }
    assert min(n_windows.values()) > 3
    assert len(table) == manifest["counts"]["window_scores"] == 2 * sum(n_windows.values())
    for document_id, n in n_windows.items():
        spans = [
            (row["window"], row["char_start"], row["char_end"])
            for row in table
            if row["document_id"] == document_id and row["label"] == "pos"
        ]
        assert [window for window, _, _ in spans] == list(range(n))
        assert [start for _, start, _ in spans[1:]] == [stop for _, _, stop in spans[:-1]]
    assert rows(tmp_path / "with", "classifications") == rows(
        tmp_path / "without", "classifications"
    )


def test_a_lost_file_is_made_again(settings: dict[str, object], tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(3))
    run(inputs, tmp_path / "out", window_scores=True, **settings)
    before = rows_by_document(tmp_path / "out")
    lost = sorted((tmp_path / "out/window_scores").iterdir())[1]
    lost.unlink()
    assert problems(tmp_path / "out") == [f"window_scores/{lost.name} is missing"]

    run(inputs, tmp_path / "out", window_scores=True, **settings)

    assert rows_by_document(tmp_path / "out") == before
    assert problems(tmp_path / "out") == []
    assert last_run(tmp_path / "out")["units_resumed"] == 2


def test_rows_of_unchanged_documents_are_kept(settings: dict[str, object], tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(4))
    one_unit = {**settings, "unit_bytes": 1_000_000, "window_scores": True}
    run(inputs, tmp_path / "out", **one_unit)
    kept = [row for row in rows(tmp_path / "out", "window_scores") if row["document_id"] > "00.txt"]
    (inputs / "00.txt").unlink()

    run(inputs, tmp_path / "out", prune=True, **one_unit)

    assert rows(tmp_path / "out", "window_scores") == kept
    assert problems(tmp_path / "out") == []


def test_an_output_without_the_table_belongs_to_other_settings(
    settings: dict[str, object], tmp_path: Path
) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(1))
    run(inputs, tmp_path / "out", **settings)
    with pytest.raises(FingerprintError, match="window_scores"):
        run(inputs, tmp_path / "out", window_scores=True, **settings)


def test_the_two_ends_beside_an_embedding(models: Build, tmp_path: Path) -> None:
    """A head that reads two ends only takes nothing from the others."""
    inputs = write_texts(tmp_path / "in", some_texts(2, n_words=300))
    head = models("bert", task="classify", backbone_seed=3)
    embed = models("bert", backbone_seed=3)
    manifest = run(
        inputs,
        tmp_path / "out",
        embed=embed,
        classify=head,
        classify_pooling="head+tail",
        window=32,
    )

    backbones = manifest["rows"]["settings"]["passes"]
    assert [one["reads"] for one in backbones] == ["all", "ends"]
    assert len({one["digest"] for one in backbones}) == 1
    assert problems(tmp_path / "out") == []
    for row in rows(tmp_path / "out", "documents"):
        assert row["n_chars_covered"] == row["n_chars"]
        assert row["n_windows"] > 5


def test_the_two_ends_alone(models: Build, tmp_path: Path) -> None:
    inputs = write_texts(tmp_path / "in", some_texts(2, n_words=300))
    head = models("bert", task="classify")
    common = {"embed": "none", "classify": head, "classify_pooling": "head+tail"}

    run(inputs, tmp_path / "out", window=32, **common)

    assert problems(tmp_path / "out") == []
    for row in rows(tmp_path / "out", "documents"):
        assert 0 < row["n_chars_covered"] < row["n_chars"]
        assert row["n_windows"] == 1
    (short,) = longbert.load(embed="none", classify=str(head), precision="float32").encode(["a b"])
    ends = longbert.load(
        embed="none", classify=str(head), precision="float32", classify_pooling="head+tail"
    )
    assert ends("a b").classifications == short.classifications
