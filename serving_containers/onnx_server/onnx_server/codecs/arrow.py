"""Tables: Arrow IPC streams and Parquet files, with the extra ``arrow`` (pyarrow).

A column for each input, of numbers or of lists of numbers (a row's values, row-major); for a model
with one input of plain rows the columns may also be its features, in their order. Text models read
the columns ``text`` and, for pairs, ``pair``. Answers have a column for each output.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from onnx_server.checks import misfit, shown
from onnx_server.codecs import _decoded
from onnx_server.codecs._decoded import Array, Decoded, Feed
from onnx_server.errors import (
    BadRequest,
    NotAcceptable,
    ServerError,
    TooLarge,
    UnsupportedMediaType,
)
from onnx_server.manifest import Manifest, Tensor
from onnx_server.preprocess import Preprocessor

STREAM = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
MEDIA = (STREAM, PARQUET, "application/x-parquet")

UNPACKED_BYTES = 67_108_864
"""A table may not unpack to more, or to more than four times its own size: columns of one repeated
value pack well."""
MAGIC = b"PAR1"


def decode(body: bytes, manifest: Manifest, preprocessor: Preprocessor | None) -> Decoded:
    """Parquet is known by its first bytes."""
    table = _read(body)
    if table.num_rows == 0:
        raise BadRequest("The table has no row.")
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    for name, column in columns.items():
        if column.null_count:
            raise BadRequest(f"The column '{shown(name)}' holds a null.", field=shown(name))
    if preprocessor is not None and "text" in columns and preprocessor.kind == "text":
        return _decoded.from_samples(_texts(columns), "rows", preprocessor)
    names = {tensor.name for tensor in manifest.inputs}
    if len(names) == 1 and not names & set(columns):
        return _decoded.from_arrays(_features(columns, manifest.inputs[0]), "rows")
    feed = {}
    by_name = {tensor.name: tensor for tensor in manifest.inputs}
    for name, column in columns.items():
        feed[name] = _values(column, by_name[name]) if name in by_name else np.empty(0)
    return _decoded.from_arrays(feed, "rows")


def encode(outputs: Feed, form: str, manifest: Manifest) -> bytes:
    """An Arrow IPC stream of one record batch; outputs of several axes as nested fixed lists."""
    pa = _pyarrow(NotAcceptable)
    if not all(array.ndim for array in outputs.values()):
        raise NotAcceptable("A table needs a row for each input's row; an output has none.")
    columns = {name: _column(pa, array) for name, array in outputs.items()}
    try:
        table = pa.table(columns)
    except pa.ArrowInvalid:
        raise NotAcceptable("A table needs outputs of the same number of rows.") from None
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def _pyarrow(refusal: type[ServerError] = UnsupportedMediaType) -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
        import pyarrow.parquet
    except ImportError:
        raise refusal("Tables need pyarrow, which this server was installed without.") from None
    return pyarrow


def _read(body: bytes) -> Any:
    pa = _pyarrow()
    try:
        limit = max(UNPACKED_BYTES, 4 * len(body))
        batches = _parquet(pa, body, limit) if body[:4] == MAGIC else _stream(pa, body)
        schema, kept, size = None, [], 0
        for batch in batches:
            schema, size = batch.schema, size + batch.nbytes
            if size > limit:
                raise TooLarge(f"The table unpacks to more than {limit} bytes.")
            batch.validate(full=True)  # offsets are the client's: unchecked, they point anywhere
            kept.append(batch)
        if schema is None:
            raise BadRequest("The table has no row.")
        table = pa.Table.from_batches(kept, schema)
    except (pa.ArrowException, OSError, ValueError, OverflowError, struct.error) as error:
        raise BadRequest(f"The table cannot be read: {type(error).__name__}.") from None
    if len(set(table.column_names)) != len(table.column_names):
        raise BadRequest("The table has two columns of one name.")
    return table


def _parquet(pa: Any, body: bytes, limit: int) -> Iterator[Any]:
    """Record batches so short that even rows which all repeat the whole body fit the limit.

    One page may say that it unpacks to 2 GB, which Parquet allows and pyarrow makes room for.
    """
    file = pa.parquet.ParquetFile(pa.BufferReader(body))
    yield from file.iter_batches(max(1, limit // len(body)), use_threads=False)


def _stream(pa: Any, body: bytes) -> Iterator[Any]:
    """Record batches of an IPC stream, which may not be compressed: nothing bounds its buffers."""
    for message in pa.ipc.MessageReader.open_stream(body):
        if message.type == "record batch" and _is_compressed(message.metadata.to_pybytes()):
            raise BadRequest("The Arrow stream must not be compressed.")
    with pa.ipc.open_stream(body) as reader:
        yield from reader


def _is_compressed(metadata: bytes) -> bool:
    """Whether a record batch's message has the field ``compression``.

    Flatbuffers: a table starts with the distance back to its vtable, which has the offset of each
    field. Message.fbs has the header third, RecordBatch the compression fourth.
    """

    def field(table: int, index: int) -> int:
        vtable = table - struct.unpack_from("<i", metadata, table)[0]
        place = 4 + 2 * index
        if place >= struct.unpack_from("<H", metadata, vtable)[0]:
            return 0
        offset = int(struct.unpack_from("<H", metadata, vtable + place)[0])
        return table + offset if offset else 0

    header = field(int(struct.unpack_from("<I", metadata)[0]), 2)
    batch = header + int(struct.unpack_from("<I", metadata, header)[0])
    return bool(field(batch, 3))


def _texts(columns: dict[str, Any]) -> list[Any]:
    texts: list[Any] = columns["text"].to_pylist()
    samples = texts
    if "pair" in columns:
        samples = list(zip(texts, columns["pair"].to_pylist(), strict=True))
    for row, sample in enumerate(samples):
        parts = sample if isinstance(sample, tuple) else (sample,)
        if not all(isinstance(part, str) for part in parts):
            raise BadRequest(f"Row {row} of 'text' is no text.", field="text")
    return samples


def _features(columns: dict[str, Any], tensor: Tensor) -> Feed:
    if len(tensor.shape) != 2:
        wanted = f"a column '{tensor.name}' of lists"
        raise BadRequest(f"The table must have {wanted}.", field=tensor.name)
    return {tensor.name: np.stack([_numbers(c, tensor) for c in columns.values()], axis=1)}


def _values(column: Any, tensor: Tensor) -> Array:
    """A column as an array of the input's rank."""
    rows, lengths = len(column), []
    flat = column
    while _is_list(flat):
        size = _even(flat, tensor)
        lengths.append(size)
        flat = flat.flatten()
    values = _numbers(flat, tensor) if len(flat) else np.empty(0, tensor.dtype)
    if math.prod([rows, *lengths]) != len(values):
        raise misfit(tensor, "lists that do not fit")
    sizes = tensor.shape[1:]
    if len(lengths) == 1 and len(sizes) > 1 and all(isinstance(s, int) for s in sizes):
        if math.prod(s for s in sizes if isinstance(s, int)) != lengths[0]:
            raise misfit(tensor, f"{lengths[0]} values a row")
        return values.reshape(rows, *sizes)
    return values.reshape(rows, *lengths)


def _is_list(column: Any) -> bool:
    types = _pyarrow().types
    kind = column.type
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _even(column: Any, tensor: Tensor) -> int:
    """The length that all lists of a column have."""
    import pyarrow.compute as pc

    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    if len(lengths) != 1 or lengths[0] is None:
        raise misfit(tensor, "lists of differing lengths")
    return int(lengths[0])


def _numbers(column: Any, tensor: Tensor) -> Array:
    types = _pyarrow().types
    kind = column.type
    if column.null_count:
        raise misfit(tensor, "a null")
    if types.is_string(kind) or types.is_large_string(kind):
        return np.array(column.to_pylist(), object)
    if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise misfit(tensor, f"a column of {kind}")
    array: Array = column.to_numpy(zero_copy_only=False)
    return array


def _column(pa: Any, array: Array) -> Any:
    column = pa.array(np.ascontiguousarray(array).reshape(-1))
    for size in reversed(array.shape[1:]):
        column = pa.FixedSizeListArray.from_arrays(column, size)
    return column
