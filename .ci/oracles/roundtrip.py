"""Import and export without a pass keep every bit of a trained model's outputs."""

import numpy

from .common import TRAINED, in_onnxruntime, load


def check(context):
    """Reads and writes each model with a pass that matches nothing."""
    for name in TRAINED:
        model, out = context.corpus / f"{name}.onnx", context.scratch / f"{name}-same.onnx"
        try:
            context.run(
                "factorize", model, "-o", out, "--pass", "5x5-to-3x3", "--only", "no such node"
            )
            samples = context.golden(name)
            before, after = in_onnxruntime(model, samples), in_onnxruntime(out, samples)
            same = before.keys() == after.keys() and all(
                numpy.array_equal(before[k], after[k], equal_nan=True) for k in before
            )
            a, b = load(model), load(out)
            same &= a.ir_version == b.ir_version and list(a.opset_import) == list(b.opset_import)
            same &= list(a.graph.node) == list(b.graph.node)
            context.tally.note(same, f"{name}: outputs bit-identical, nodes and versions kept")
        except (RuntimeError, ValueError) as error:
            context.tally.note(False, f"{name}: {error}")
