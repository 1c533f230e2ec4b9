"""The protobuf messages of TensorFlow files, as one table.

The descriptors are built on first use in a pool of their own, so they never meet TensorFlow's registration of the same
messages in the same process. Field numbers are those of `tensorflow/core/framework/*.proto` and
`tensorflow/core/protobuf/*.proto`; fields that nobody here reads are left out (protobuf skips them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import message, text_format

from reprise.errors import DamagedFile
from reprise.wire import text
from reprise.wire.schema import Schema

_MESSAGES = """
Dim
  1 size int64
TensorShapeProto
  2 dim Dim*
  3 unknown_rank bool
TensorProto
  1 dtype DataType
  2 tensor_shape TensorShapeProto
  4 tensor_content bytes
  5 float_val float*
  6 double_val double*
  7 int_val int32*
  8 string_val bytes*
  9 scomplex_val float*
  10 int64_val int64*
  11 bool_val bool*
  12 dcomplex_val double*
  13 half_val int32*
  16 uint32_val uint32*
  17 uint64_val uint64*
NameAttrList
  1 name string
ListValue
  2 s bytes*
  3 i int64*
  4 f float*
  5 b bool*
  6 type DataType*
  7 shape TensorShapeProto*
  8 tensor TensorProto*
  9 func NameAttrList*
AttrValue
  1 list ListValue|
  2 s bytes|
  3 i int64|
  4 f float|
  5 b bool|
  6 type DataType|
  7 shape TensorShapeProto|
  8 tensor TensorProto|
  9 placeholder string|
  10 func NameAttrList|
NodeDef
  1 name string
  2 op string
  3 input string*
  5 attr map:AttrValue
ArgDef
  1 name string
  3 type DataType
  4 type_attr string
  5 number_attr string
  6 type_list_attr string
OpDef
  1 name string
  2 input_arg ArgDef*
  3 output_arg ArgDef*
FunctionDef
  1 signature OpDef
  3 node_def NodeDef*
  4 ret map:string
FunctionDefLibrary
  1 function FunctionDef*
VersionDef
  1 producer int32
  2 min_consumer int32
GraphDef
  1 node NodeDef*
  2 library FunctionDefLibrary
  4 versions VersionDef
TensorInfo
  1 name string
  2 dtype DataType
  3 tensor_shape TensorShapeProto
SignatureDef
  1 inputs map:TensorInfo
  2 outputs map:TensorInfo
  3 method_name string
SaverDef
  1 filename_tensor_name string
  2 save_tensor_name string
  3 restore_op_name string
  5 sharded bool
BytesList
  1 value bytes*
CollectionDef
  2 bytes_list BytesList
MetaInfoDef
  1 meta_graph_version string
  4 tags string*
  5 tensorflow_version string
AssetFileDef
  2 filename string
TensorSpecProto
  1 name string
  2 shape TensorShapeProto
  3 dtype DataType
StructuredValue
  11 float64_value double|
  12 int64_value sint64|
  13 string_value string|
  14 bool_value bool|
  33 tensor_spec_value TensorSpecProto|
  35 bounded_tensor_spec_value TensorSpecProto|
  51 list_value StructuredValues|
  52 tuple_value StructuredValues|
  53 dict_value StructuredFields|
  54 named_tuple_value StructuredPairs|
StructuredValues
  1 values StructuredValue*
StructuredFields
  1 fields map:StructuredValue
StructuredPair
  1 key string
  2 value StructuredValue
StructuredPairs
  2 values StructuredPair*
ObjectReference
  1 node_id int32
  2 local_name string
SavedFunction
  1 concrete_functions string*
SavedBareConcreteFunction
  1 concrete_function_name string
  2 argument_keywords string*
SavedVariable
  1 dtype DataType
  2 shape TensorShapeProto
  6 name string
SavedConstant
  1 operation string
SavedAsset
  1 asset_file_def_index int32
SavedResource
  1 device string
SavedObject
  1 children ObjectReference*
  5 asset SavedAsset|
  6 function SavedFunction|
  7 variable SavedVariable|
  8 bare_concrete_function SavedBareConcreteFunction|
  9 constant SavedConstant|
  10 resource SavedResource|
SavedConcreteFunction
  2 bound_inputs int32*
  3 canonicalized_input_signature StructuredValue
  4 output_signature StructuredValue
SavedObjectGraph
  1 nodes SavedObject*
  2 concrete_functions map:SavedConcreteFunction
SerializedTensor
  1 name string
  2 full_name string
  3 checkpoint_key string
TrackableObject
  1 children ObjectReference*
  2 attributes SerializedTensor*
TrackableObjectGraph
  1 nodes TrackableObject*
MetaGraphDef
  1 meta_info_def MetaInfoDef
  2 graph_def GraphDef
  3 saver_def SaverDef
  4 collection_def map:CollectionDef
  5 signature_def map:SignatureDef
  6 asset_file_def AssetFileDef*
  7 object_graph_def SavedObjectGraph
KerasObject
  3 node_path string
  5 metadata string
KerasMetadata
  1 nodes KerasObject*
SavedModel
  1 saved_model_schema_version int64
  2 meta_graphs MetaGraphDef*
Extent
  1 start int64
  2 length int64
TensorSliceProto
  1 extent Extent*
BundleHeaderProto
  1 num_shards int32
  2 endianness int32
BundleEntryProto
  1 dtype DataType
  2 shape TensorShapeProto
  3 shard_id int32
  4 offset int64
  5 size int64
  6 crc32c fixed32
  7 slices TensorSliceProto*
SavedSliceMeta
  1 name string
  2 shape TensorShapeProto
  3 type DataType
  4 slice TensorSliceProto*
SavedTensorSliceMeta
  1 tensor SavedSliceMeta*
SavedSlice
  1 name string
  2 slice TensorSliceProto
  3 data TensorProto
SavedTensorSlices
  1 meta SavedTensorSliceMeta
  2 data SavedSlice
CheckpointState
  1 model_checkpoint_path string
  2 all_model_checkpoint_paths string*
  3 all_model_checkpoint_timestamps double*
  4 last_preserved_timestamp double
"""

#: The members of TensorFlow's enumeration DataType in the order of their numbers, from 0. A reference to a variable of
#: a type has the number of the type plus 100.
_DATA_TYPES = (
    *("INVALID", "FLOAT", "DOUBLE", "INT32", "UINT8", "INT16", "INT8", "STRING", "COMPLEX64", "INT64", "BOOL", "QINT8"),
    *("QUINT8", "QINT32", "BFLOAT16", "QINT16", "QUINT16", "UINT16", "COMPLEX128", "HALF", "RESOURCE", "VARIANT"),
    *("UINT32", "UINT64"),
)


def parse(name: str, data: Any, path: Path) -> Any:  # generated classes have no static type
    """The message `name` of the schema in `data` (bytes or a buffer).

    Raises:
        DamagedFile: The bytes are not such a message.
    """
    try:
        return message_class(name).FromString(bytes(data))
    except (message.DecodeError, UnicodeDecodeError) as error:
        raise DamagedFile(
            f"{path}: expected a {name} message, but its {len(data)} bytes do not parse ({error}). "
            "The file is cut or changed; copy it again from where it was made."
        ) from error


def parse_text(name: str, data: bytes, path: Path) -> Any:
    """The message `name` in protobuf's text form; fields that the schema leaves out are skipped.

    Raises:
        DamagedFile: The text is not such a message.
    """
    made = message_class(name)
    try:
        content = data.decode()
        plain = text.encoded(made.DESCRIPTOR, content)
        return text_format.Parse(content, made(), allow_unknown_field=True) if plain is None else made.FromString(plain)
    except (text_format.ParseError, message.DecodeError, RecursionError, ValueError) as error:
        raise DamagedFile(
            f"{path}: expected a {name} message as text ({error}). The file is cut or changed; copy it again."
        ) from error


def _data_types() -> dict[str, int]:
    names = {f"DT_{name}": number for number, name in enumerate(_DATA_TYPES)}
    return names | {f"DT_{name}_REF": number for number, name in enumerate(_DATA_TYPES[1:], 101)}


_SCHEMA = Schema("reprise.wire.tensorflow", _MESSAGES, {"DataType": _data_types()})


def message_class(name: str) -> Any:
    """The class of a message of the schema."""
    return _SCHEMA.message(name)
