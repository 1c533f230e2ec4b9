"""Bytes become primitive structures here: protobuf messages, sorted string tables, snappy blocks, pickle opcodes."""
