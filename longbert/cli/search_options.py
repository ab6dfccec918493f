"""Options of the commands that search."""

from __future__ import annotations

import click

from longbert.core.ranks import RANKS

filter_option = click.option(
    "--filter",
    metavar="EXPR",
    help="Find only documents that fit, such as \"label = 'neg' and score > 0.8\": by label, "
    "score, head, entity, document_id, n_chars, ... or metadata.  [default: all documents]",
)

rank_option = click.option(
    "--rank",
    type=click.Choice(RANKS),
    help="Rank documents by words (lexical), by the vector of their best passage, by the mean of "
    "their three best, by the vector of the whole document, or by words and passages together "
    "(hybrid).  [default: hybrid; lexical without vectors]",
)

rerank_option = click.option(
    "--rerank",
    metavar="MODEL",
    help="Put the first 50 documents into a new order by a cross-encoder (a checkpoint for "
    "sequence classification, as a folder or hub id), which reads the query beside each passage "
    "that is shown.  [default: none]",
)

rerank_label_option = click.option(
    "--rerank-label",
    metavar="LABEL",
    help="The label that means relevant, for a cross-encoder of several.  [default: none]",
)
