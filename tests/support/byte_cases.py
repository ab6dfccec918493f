"""Runs whose tables and indexes are compared, as digests, with those of an earlier version.

Only what users see is touched, ``longbert.run`` and the files it leaves, so that the same cases run
on any version: put its checkout before this one on Python's path.

Left out is what has changed on purpose since: the messages of errors, the line numbers in sources,
the white space around entities, and how byte-level tokens share a character; cases of such models
read plain text.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import longbert

from .exact_models import build_exact_model
from .manifests import part_names_of
from .models import build_model
from .texts import long_text

Settings = Mapping[str, Any]

TABLES = ("documents", "passages", "entities", "classifications", "errors", "window_scores")

_DIGEST_CHARS = 16
_NER = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def machine() -> dict[str, str]:
    """On what the bits of a forward pass depend: the processor, and the libraries that compute."""
    libraries = ("numpy", "tokenizers", "torch", "transformers")
    capability = torch.backends.cpu.get_cpu_capability()
    return {
        "processor": f"cpu {platform.machine()} {capability}",
        **{name: importlib.metadata.version(name) for name in libraries},
    }


def _exact_all_heads(folder: Path) -> Settings:
    """Every table, from every kind of input."""
    return {
        "embed": build_exact_model(folder / "mean", "bert", sentence_transformers={}),
        "ner": build_exact_model(folder / "names", "bert", task="ner", labels=_NER),
        "classify": build_exact_model(
            folder / "grades",
            "bert",
            task="classify",
            labels=("width", "height"),
            problem_type="regression",
        ),
        "window": 24,
        "passage": 8,
        "window_scores": True,
    }


def _exact_byte_level(folder: Path) -> Settings:
    """A byte-level tokenizer, one vector a passage, other ways to stitch, decode and pool."""
    files = {"pooling": "cls", "normalize": False, "similarity": "dot"}
    labels = ("neg", "neutral", "pos")
    return {
        "embed": build_exact_model(folder / "cls", "roberta", sentence_transformers=files),
        "ner": build_exact_model(folder / "names", "roberta", task="ner", labels=_NER, seed=1),
        "classify": build_exact_model(folder / "tone", "roberta", task="classify", labels=labels),
        "window": 40,
        "overlap": 11,
        "passage": 20,
        "classify_pooling": "max",
        "entity_strategy": "average",
        "entity_stitching": "average",
        "entity_decoding": "viterbi",
        "window_scores": True,
    }


def _exact_prompts(folder: Path) -> Settings:
    """A prompt before each window, left out of the vectors, which are maxima."""
    files = {
        "pooling": "max",
        "prompts": {"query": "the question: ", "document": "the report: "},
        "default_prompt_name": "document",
        "include_prompt": False,
    }
    return {
        "embed": build_exact_model(folder / "max", "bert", sentence_transformers=files),
        "window": 30,
        "passage": 10,
    }


def _random_bert(folder: Path) -> Settings:
    files = {"max_seq_length": 48}
    labels = ("law", "money", "people")
    problem = "multi_label_classification"
    return {
        "embed": build_model(folder / "mean", "bert", sentence_transformers=files),
        "ner": build_model(folder / "names", "bert", task="ner", backbone_seed=0, seed=1),
        "classify": build_model(
            folder / "topics", "bert-cased", task="classify", labels=labels, problem_type=problem
        ),
        "window_scores": True,
    }


def _random_byte_level(folder: Path) -> Settings:
    files = {"pooling": "cls", "max_seq_length": 64}
    return {
        "embed": build_model(folder / "cls", "roberta", sentence_transformers=files),
        "ner": build_model(folder / "names", "roberta", task="ner", backbone_seed=0, seed=1),
        "classify": build_model(folder / "tone", "roberta", task="classify", backbone_seed=0),
        "classify_pooling": "head+tail",
        "entity_strategy": "max",
        "entity_stitching": "taper",
        "window": 40,
        "passage": 30,
    }


def _packaged(folder: Path) -> Settings:
    """What a bare ``longbert run`` takes."""
    return {}


@dataclass(frozen=True)
class Case:
    """A run to digest.

    Attributes:
        settings: of ``longbert.run``; models are saved to the folder that is given.
        plain: whether the documents hold ASCII on one line only.
    """

    settings: Callable[[Path], Settings]
    plain: bool = False


EXACT: Mapping[str, Case] = {
    "all heads": Case(_exact_all_heads),
    "byte-level": Case(_exact_byte_level, plain=True),
    "prompts": Case(_exact_prompts),
}
"""Cases whose rows have the same bits on every machine."""

MEASURED: Mapping[str, Case] = {
    "random bert": Case(_random_bert),
    "random byte-level": Case(_random_byte_level, plain=True),
    "packaged": Case(_packaged),
}
"""Cases whose rows have the same bits on one kind of processor and with the same libraries."""


def digests(case: Case, folder: Path) -> dict[str, str]:
    """Run a case in an empty folder and digest what it leaves.

    Returns:
        Digests by name: of each table's rows, of the indexed vectors, and of the files of tables
        of which nothing is left out, for a fresh output in one part; then of the rows of an output
        in many parts, before and after documents were added, changed and removed.
    """
    given = {
        key: str(value) if isinstance(value, Path) else value
        for key, value in case.settings(folder / "models").items()
    }
    given |= {"precision": "float32", "device": "cpu", "runner": "none"}
    # The packaged classifier's product over a window of few tokens was seen to depend on threads.
    with contextlib.chdir(folder), _one_thread():
        write = Writer(Path("docs"), case.plain)
        write.documents()
        longbert.run("docs", output="whole", unit_bytes=10_000_000, **given)
        found = {f"rows of {name}": digest for name, digest in _rows(Path("whole"))}
        found["vectors"] = _vectors(Path("whole"))
        found["files"] = _files(Path("whole"))
        longbert.run("docs", output="parts", unit_bytes=1_500, **given)
        found["rows of many parts"] = _all_rows(Path("parts"))
        write.changes()
        longbert.run("docs", output="parts", unit_bytes=1_500, **given)
        found["rows of a second run"] = _all_rows(Path("parts"))
        found["vectors of a second run"] = _vectors(Path("parts"))
    return found


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Writer:
    """Writes the documents of a case."""

    folder: Path
    plain: bool

    def documents(self) -> None:
        """Documents of every kind, long and short, and some that cannot be done."""
        (self.folder / "notes").mkdir(parents=True)
        files = {
            "a.txt": long_text(150, seed=1),
            "b.md": "# Budget\r\n\r\nMaria *paid* the\ttenant.\r\n" + long_text(40, seed=2),
            # Without title, blocks and white space, whose layout has changed on purpose.
            "c.html": f"<html><body>Court of Z&uuml;rich. {long_text(30, seed=3)}</body></html>",
            "empty.txt": "",
            "notes/d.rst": "Notes\n=====\n\nCafe\u0301, Straße, 北京, 👩\u200d🚀, \x00 the court.",
            "notes/e.txt": long_text(400, seed=4),
            "only-white.txt": " \n\t ",
            "f.txt": long_text(12, seed=5),
        }
        for name, text in files.items():
            if not (self.plain and name.endswith(".html")):
                self._write(name, text)
        (self.folder / "undecodable.txt").write_bytes(bytes(range(256)) * 8)
        records = [
            {"id": "one", "text": self._text(60, seed=6), "year": 1999, "tags": ["a", "b"]},
            {"id": "two", "text": self._text(20, seed=7), "note": None},
            {"text": "No id, and it was in the budget.", "open": True},
            {"id": "empty", "text": ""},
        ]
        lines = [json.dumps(record, ensure_ascii=False) for record in records]
        lines.insert(2, '{"id": "broken", "text": ')
        (self.folder / "g.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        zipped = json.dumps({"id": "zipped", "text": self._text(50, seed=8)})
        (self.folder / "h.jsonl.gz").write_bytes(gzip.compress(zipped.encode(), mtime=0))
        table = {"id": ["p1", "p2"], "text": [self._text(80, seed=9), "Maria."], "n": [1.5, None]}
        pq.write_table(pa.table(table), self.folder / "i.parquet")

    def changes(self) -> None:
        """A document removed, one changed, one new."""
        (self.folder / "a.txt").unlink()
        self._write("f.txt", long_text(33, seed=10))
        self._write("notes/new.txt", long_text(90, seed=11))

    def _text(self, n_words: int, seed: int) -> str:
        return self._plain(long_text(n_words, seed=seed))

    def _write(self, name: str, text: str) -> None:
        (self.folder / name).write_bytes(self._plain(text).encode())

    def _plain(self, text: str) -> str:
        return " ".join(text.encode("ascii", "ignore").decode().split()) if self.plain else text


def _digest(*parts: bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:_DIGEST_CHARS]


def _parts(output: Path, table: str) -> list[pa.Table]:
    """The parts of a table, in the order of what they hold rather than of their names."""
    parts = [pq.ParquetFile(file).read() for file in sorted((output / table).glob("*.parquet"))]
    return sorted(map(_without_changes, parts), key=_content)


def _without_changes(part: pa.Table) -> pa.Table:
    """A table less what the head of this module names."""
    if "message" in part.column_names:
        part = part.drop_columns("message")
    if "source" in part.column_names:
        place = part.column_names.index("source")
        files = [source.partition("#")[0] for source in part.column("source").to_pylist()]
        part = part.set_column(place, part.schema.field("source"), pa.array(files, pa.string()))
    if {"text", "score"} <= set(part.column_names):
        part = pa.Table.from_pylist(list(map(_trimmed, part.to_pylist())), part.schema)
    return part


def _trimmed(entity: dict[str, Any]) -> dict[str, Any]:
    text: str = entity["text"]
    return entity | {
        "char_start": entity["char_start"] + len(text) - len(text.lstrip()),
        "char_end": entity["char_end"] - len(text) + len(text.rstrip()),
        "text": text.strip(),
    }


def _content(table: pa.Table) -> str:
    """Types and values of all columns; JSON writes each float32 so that it can be told apart."""
    columns = {
        name: [str(table.schema.field(name).type), table.column(name).to_pylist()]
        for name in table.column_names
    }
    return json.dumps(columns)


def _rows(output: Path) -> Iterator[tuple[str, str]]:
    for name in TABLES:
        if (output / name).is_dir():
            (part,) = _parts(output, name)
            yield name, _digest(_content(part).encode())


def _all_rows(output: Path) -> str:
    """Of all tables, each sorted by document, since parts may be cut elsewhere one day."""
    contents = []
    for name in TABLES:
        if (output / name).is_dir():
            rows = [row for part in _parts(output, name) for row in part.to_pylist()]
            rows.sort(key=lambda row: str((row["document_id"], row.get("source"))))
            contents.append(name + json.dumps(rows))
    return _digest(*(content.encode() for content in contents))


def _files(output: Path) -> str:
    tables = (name for name in TABLES if name in ("passages", "classifications", "window_scores"))
    files = (file for name in tables for file in (output / name).glob("*.parquet"))
    return _digest(*(file.read_bytes() for file in files))


def _vectors(output: Path) -> str:
    """The vectors of the index, those of passages with the ids they stand under."""
    import faiss

    manifest = json.loads((output / "manifest.json").read_text())
    description = json.loads((output / manifest["index"]["file"]).read_text())
    live = {*part_names_of(output)}
    contents: list[bytes] = []
    for table in ("documents", "passages"):
        all_ids, all_vectors = [], []
        for segment in description[table]["segments"]:
            index = faiss.read_index(str(output / segment["file"]))
            vectors = faiss.downcast_index(index.index).reconstruct_n(0, index.ntotal)
            rows = np.concatenate(
                [np.full(part["n_rows"], part["name"] in live) for part in segment["parts"]]
            )
            all_ids.append(faiss.vector_to_array(index.id_map)[rows])
            all_vectors.append(vectors[rows])
        ids, vectors = np.concatenate(all_ids), np.concatenate(all_vectors)
        has_ids = table == "passages"
        # Parts are in the order of their content, but rows of the index in that of the parts.
        order = np.argsort(ids, kind="stable") if has_ids else np.lexsort(vectors.T)
        named = ids if has_ids else np.arange(len(ids))
        contents += [named[order].astype("<i8").tobytes(), vectors[order].astype("<f4").tobytes()]
    return _digest(*contents)


def take(file: Path, folder: Path) -> None:
    """Write the digests of the version of longbert that Python finds.

    Args:
        file: what it holds of other machines is kept.
        folder: for the runs; it must not exist.
    """
    kept = json.loads(file.read_text())["measured"] if file.exists() else []
    found: dict[str, Any] = {"exact": {}, "measured": {}}
    for kind, cases in (("exact", EXACT), ("measured", MEASURED)):
        for name, case in cases.items():
            place = folder / name
            place.mkdir(parents=True)
            found[kind][name] = digests(case, place)
    here = machine()
    measured = [one for one in kept if one["machine"] != here]
    measured.append({"machine": here, "digests": found["measured"]})
    content = {
        "pyarrow": importlib.metadata.version("pyarrow"),
        "exact": found["exact"],
        "measured": measured,
    }
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    print(f"longbert of {Path(longbert.__file__).parent}", file=sys.stderr)
    take(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute())
