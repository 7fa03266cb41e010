"""Tables of texts in files and streams: CSV, JSON Lines, Parquet, and plain text with one text a line.

They are read and written row by row, so that a table may be larger than memory. Nothing heavy is imported until a
Parquet file is opened.
"""

from __future__ import annotations

from setfit_core.tables.columns import LABEL_NAMES, TEXT_NAMES, find_column, probability_columns, text_problem
from setfit_core.tables.formats import FORMATS, Format, format_of
from setfit_core.tables.labelled import LabelledTexts, labelled_columns, labels_known_as, read_labelled
from setfit_core.tables.reading import Table, open_table
from setfit_core.tables.writing import TableWriter, check_place, write_table, written_whole

__all__ = [
    "FORMATS",
    "LABEL_NAMES",
    "TEXT_NAMES",
    "Format",
    "LabelledTexts",
    "Table",
    "TableWriter",
    "check_place",
    "find_column",
    "format_of",
    "labelled_columns",
    "labels_known_as",
    "open_table",
    "probability_columns",
    "read_labelled",
    "text_problem",
    "write_table",
    "written_whole",
]
