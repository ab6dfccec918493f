"""The similarity index: built from committed tables, searched exactly. Only here is FAISS used."""

from longbert.index.build import BuiltIndex, build_index
from longbert.index.search import Hit, HitPassage, Index
from longbert.index.tables import Files
from longbert.index.verify import index_problems

__all__ = ["BuiltIndex", "Files", "Hit", "HitPassage", "Index", "build_index", "index_problems"]
