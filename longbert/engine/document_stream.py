"""One document through the models piece by piece, so that none of it grows with its length.

What is written of it is what :func:`longbert.engine.encode.encode_documents` makes of the whole.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from longbert.arrays import FloatMatrix, FloatVector
from longbert.core.coverage import UnknownChars
from longbert.core.passages import PassageStream, SpanStream
from longbert.core.text_stream import TextStream
from longbert.encoders.batch import TokenWindow
from longbert.encoders.heads.base import HeadResult
from longbert.encoders.models import Models
from longbert.encoders.passes import Pass
from longbert.encoders.tokenizers.base import TokenizedText
from longbert.encoders.tokenizers.stream import tokens_between
from longbert.engine.encode import (
    encode_slots,
    guarded,
    no_tokens_error,
    not_covered_error,
)
from longbert.engine.meter import Meter, timed
from longbert.engine.spool import Spool
from longbert.records import Classification, Document, DocumentResult, Entity, Passage, WindowScore
