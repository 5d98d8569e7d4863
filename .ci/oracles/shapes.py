"""Shapes equal onnxruntime's where it runs, and onnx's own inference elsewhere."""

import onnx
import onnxruntime

from .common import TRAINED, feed_name, in_onnxruntime, load


def check(context):
    """All models of the corpus."""
    models = [(context.corpus / f"{name}.onnx", context.golden(name)[:1]) for name in TRAINED]
    for folder in ("structure", "light"):
        models += [(path, None) for path in sorted((context.corpus / folder).glob("*.onnx"))]
    counts = [compare(context, *model) for model in models]
    equal, total = map(sum, zip(*counts, strict=True))
    print(f"{equal} of {total} shapes equal")


def compare(context, path, sample):
    """One model; with a sample, what onnxruntime computes is the truth. Equal shapes, and all."""
    try:
        model = load(path)
        options = []
        if sample is not None:
            shape = "x".join(map(str, sample.shape))
            options = ["--input-shape", f"{feed_name(model)}={shape}"]
            truth = computed(model, sample)
        else:
            truth = inferred(model)
        layers = context.analyze(path, *options)["layers"]
    except (RuntimeError, ValueError) as error:
        context.tally.note(False, f"{path.stem}: {error}")
        return 0, 0
    ours = {l["outputs"][0]: l["shape"] for l in layers if l["outputs"] and known(l["shape"])}
    both = [v for v in ours if v in truth]
    wrong = [v for v in both if ours[v] != truth[v]]
    ok = not wrong and len(both) > 0
    detail = f"; {wrong[0]} {ours[wrong[0]]} is {truth[wrong[0]]}" if wrong else ""
    source = "onnxruntime" if sample is not None else "onnx"
    context.tally.note(
        ok, f"{path.stem}: {len(both) - len(wrong)} of {len(both)} equal {source}{detail}"
    )
    return len(both) - len(wrong), len(both)


def known(shape):
    """Whether a shape has numbers only."""
    return shape is not None and all(isinstance(d, int) for d in shape)


def computed(model, sample):
    """The shape of every tensor that onnxruntime computes."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    outputs = {o.name for o in probe.graph.output}
    for node in probe.graph.node:
        for name in node.output:
            if name and name not in outputs:
                probe.graph.output.append(onnx.ValueInfoProto(name=name))
    # onnxruntime finds the types itself; where it cannot, the model says them.
    try:
        values = in_onnxruntime(probe.SerializeToString(), sample)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        return inferred(model)
    return {name: list(value.shape[1:]) for name, value in values.items()}


def inferred(model):
    """The shapes that onnx's shape inference finds."""
    found = onnx.shape_inference.infer_shapes(model, data_prop=True)
    values = [*found.graph.value_info, *found.graph.output]
    shapes = {}
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            shapes[value.name] = [d.dim_value for d in dims]
    return shapes
