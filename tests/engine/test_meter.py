"""Meters: what several processes add, and what counts once however often it is done."""

from __future__ import annotations

from pathlib import Path

from longbert.engine.meter import FileMeter, FileMeterReader, meet


def test_what_is_of_one_thing_counts_once(tmp_path: Path) -> None:
    meter, reader = FileMeter(str(tmp_path)), FileMeterReader(str(tmp_path))
    for _ in range(2):
        meter.add({"windows": 3})
        meter.add({"unknown_script": 2}, once="000001-a")
        assert reader.totals()["unknown_script"] == 2
    meter.add({"unknown_script": 1}, once="000002-b")
    assert dict(reader.totals()) == {"windows": 6, "unknown_script": 3}
    assert dict(meter.totals()) == {"windows": 6, "unknown_script": 3}


def test_what_was_not_met_is_not_written(tmp_path: Path) -> None:
    meter = FileMeter(str(tmp_path))
    meet(meter, "000001-a", unknown_script=0, tokenized_whole=False)
    assert list(tmp_path.iterdir()) == []
    meet(meter, "000001-a", unknown_script=0, tokenized_whole=True)
    assert dict(meter.totals()) == {"tokenized_whole": 1}
