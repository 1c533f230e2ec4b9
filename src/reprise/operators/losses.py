"""Losses, decoders, and what a graph does beside its results."""

from __future__ import annotations

from reprise.operators.rules.record import Operator, Tag

OPERATORS = (
    Operator(
        "SparseSoftmaxCrossEntropyWithLogits SoftmaxCrossEntropyWithLogits",
        2,
        tags=(Tag.LOSS,),
        outputs="loss backprop",
    ),
    Operator("CTCLoss", 4, tags=(Tag.LOSS,), outputs="loss gradient"),
    Operator(
        "CTCGreedyDecoder",
        2,
        tags=(Tag.DISCRETE,),
        outputs="decoded_indices decoded_values decoded_shape log_probability",
    ),
    Operator(
        "CTCBeamSearchDecoder",
        2,
        tags=(Tag.DISCRETE,),
        outputs="decoded_indices*top_paths decoded_values*top_paths decoded_shape*top_paths log_probability",
    ),
    Operator("NoOp ControlTrigger Abort", 0, tags=(Tag.SIDE_EFFECT,), outputs=""),
    Operator("StringFormat", 0, tags=(Tag.SIDE_EFFECT,)),
    Operator("PrintV2", 1, tags=(Tag.SIDE_EFFECT,), outputs=""),
    Operator("MergeSummary TensorSummary", 1, tags=(Tag.SIDE_EFFECT,)),
    Operator("Assert", 2, tags=(Tag.SIDE_EFFECT,), outputs=""),
    Operator("ScalarSummary HistogramSummary ImageSummary AudioSummary", 2, tags=(Tag.SIDE_EFFECT,)),
    Operator("Save", 3, tags=(Tag.SIDE_EFFECT,), outputs=""),
    Operator("TensorSummaryV2", 3, tags=(Tag.SIDE_EFFECT,)),
    Operator("SaveV2 SaveSlices WriteScalarSummary WriteHistogramSummary", 4, tags=(Tag.SIDE_EFFECT,), outputs=""),
    Operator("WriteSummary", 5, tags=(Tag.SIDE_EFFECT,), outputs=""),
)
