"""Numeric sequences for forecasting: CSV and `.npy` files as normalised series."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from tokenize import TokenError

import numpy as np

from reprise.errors import CallError, DamagedFile
from reprise.tensors import Array
from reprise.train.data.corpus import Corpus, check_val_frac, split
from reprise.train.data.dates import Fill
from reprise.train.data.documents import Document, Source, find_documents, text_encoding
from reprise.train.data.normalisation import Normalisation
from reprise.train.data.table import NumericTable, indices, numbered, read_table
from reprise.train.data.validation import WARM_UP

#: Rows of numbers in a run folder, float64 [M, D].
VALIDATION = "validation.npy"

NPY_MAGIC = b"\x93NUMPY"

#: What NumPy raises for a damaged header, which it reads as a Python literal, or a file that is too short.
NPY_ERRORS = (ValueError, OSError, TypeError, OverflowError, SyntaxError, TokenError, RecursionError, MemoryError)


def read_series(
    sources: Source | Iterable[Source],
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    fill: Fill = "",
) -> tuple[NumericTable, ...]:
    """Independent series of float64 [M, D] as they stand in the files, with their names and dates.

    Arguments and errors are those of `read_numeric`.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as spool:
        documents = find_documents(sources, Path(spool))
        read = [_read(document, columns, text_encoding(encoding), header=header, fill=fill) for document in documents]
    _check_agreed(documents, [tables[0].names for tables in read])
    return tuple(chain.from_iterable(read))


def read_numeric(
    sources: Source | Iterable[Source],
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    encoding: str = "utf-8",
    val_frac: float = 0.05,
    order: Sequence[str] = (),
    fill: Fill = "",
) -> Corpus:
    """The series of one or more files, folders or `-` for standard input; they are held in memory.

    Args:
        sources: CSV with commas, semicolons or tabs, one time step a line; or `.npy` of [M], [M, D] or, several
            series of one length, [B, M, D].
        columns: The columns to use, in this order, by name or, where they have none, by number from 1. By default all.
        header: Whether the first line of a CSV file has names. By default it does if there is text in it, and no
            number.
        encoding: How the text of CSV is written.
        val_frac: The share of all steps, at the end, that is for validation, from 0 to below 1.
        fill: How what is missing is filled: by the value before (`previous`), or on a line (`linear`). By default not.
        order: Names to put the columns in the order of, if those are their names and `columns` asks for no order.

    Raises:
        CallError: The arguments do not fit the data, or values are missing, not numbers or not finite; the message
            has line and column.
        MissingFile: A source does not exist.
        ReadError: A source is not text in `encoding`.
        DamagedFile: An `.npy` file is not one, or cut short.
    """
    check_val_frac(val_frac)
    tables = read_series(sources, columns=columns, header=header, encoding=encoding, fill=fill)
    names, raw = tables[0].names, tuple(table.rows for table in tables)
    if columns is None and sorted(order) == sorted(names) and len(set(names)) == len(names):
        places = [names.index(name) for name in order]
        names, raw = tuple(order), tuple(np.ascontiguousarray(values[:, places]) for values in raw)
    rows = np.concatenate(split(raw, val_frac)[0] or raw)
    if not len(rows):
        raise CallError("corpus: it holds no time step")
    normalisation = Normalisation.of(names, rows)
    series = tuple(normalisation.apply(values) for values in raw)
    normalisation.check_resolved(rows)
    return Corpus(series, val_frac, _fingerprint(normalisation, series), normalisation=normalisation)


def keep_validation(corpus: Corpus, folder: Path) -> None:
    """Writes the validation part of the last series, with the rows that warm a model up for it, in the source's units.

    Who forecasts from the run measures on it how large the errors are at each step ahead, and skips `WARM_UP` rows or a
    third of what is there: so many are put in front, and no error is one of rows that the model was trained on.
    """
    known, whole = corpus.normalisation, corpus.series[-1]
    if known is None or not corpus.validation:
        return
    count = len(corpus.validation[-1])
    rows = whole[max(0, len(whole) - count - min(WARM_UP, count // 2)) :] * np.array(known.std) + known.mean
    fresh = folder / f".writing-{VALIDATION}"
    with fresh.open("wb") as file:
        np.save(file, rows)
    fresh.replace(folder / VALIDATION)


def _read(
    document: Document, columns: Sequence[str] | None, encoding: str, *, header: bool | None, fill: Fill
) -> tuple[NumericTable, ...]:
    with document.path.open("rb") as file:
        is_npy = file.read(len(NPY_MAGIC)) == NPY_MAGIC
    if not is_npy:
        return (read_table(document, columns, encoding, header=header, fill=fill),)
    series = _npy_series(document)
    names = numbered(series.shape[2])
    wanted = indices(document.name, names, columns)
    series = series[:, :, wanted].astype(np.float64)
    if not np.isfinite(series).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(series))[0])
        raise CallError(f"{document.name}: series {at[0]}, step {at[1]}, column {names[wanted[at[2]]]} is {series[at]}")
    return tuple(NumericTable(tuple(names[i] for i in wanted), rows) for rows in series)


def _npy_series(document: Document) -> Array:
    """The array of an `.npy` file as [B, M, D], mapped from the file."""
    try:
        values: Array = np.lib.format.open_memmap(document.path, mode="r")
    except NPY_ERRORS as error:
        raise DamagedFile(f"{document.name}: not a complete .npy file of numbers ({error})") from error
    if values.dtype.kind not in "fiu" or values.ndim not in (1, 2, 3) or not values.size:
        raise CallError(
            f"{document.name}: an array of {values.dtype} {list(values.shape)}; expected real numbers of shape "
            "[steps], [steps, columns] or [series, steps, columns]"
        )
    return values.reshape((1, -1, 1) if values.ndim == 1 else (-1, *values.shape[-2:]))


def _check_agreed(documents: tuple[Document, ...], names: list[tuple[str, ...]]) -> None:
    for document, found in zip(documents, names, strict=True):
        if found != names[0]:
            raise CallError(
                f"{document.name}: columns {list(found)}, but {documents[0].name} has {list(names[0])}. "
                "Choose the same ones with --columns."
            )


def _fingerprint(normalisation: Normalisation, series: tuple[Array, ...]) -> str:
    digest = hashlib.sha256(json.dumps([asdict(normalisation), [len(values) for values in series]]).encode())
    for values in series:
        digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()
