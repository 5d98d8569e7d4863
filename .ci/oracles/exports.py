"""Every rewritten model passes the checker and runs alike in onnxruntime and tract."""

import numpy
import onnx

from .common import TRAINED, in_onnxruntime, load

# Passes that have something to do in each model, and calibration data where there are.
REWRITES = {
    "mnist": [["5x5-to-3x3"], ["fold-bias", "large-to-3x3"], ["5x5-to-3x3", "3x3-to-2x2"]],
    "cifar10_cnn": [["5x5-to-3x3"], ["large-to-3x3"]],
    "super_resolution": [["5x5-to-3x3"], ["large-to-3x3", "3x3-to-2x2"]],
    "candy": [["large-to-3x3"]],
    "blazeface": [["large-to-3x3"]],
    "ultraface-slim-320": [["fold-batchnorm"], ["fold-batchnorm", "3x3-to-2x2"]],
    "yunet_n_320": [["3x3-to-2x2"]],
    "squeezenet": [["3x3-to-2x2"]],
}
CALIBRATION = {
    "mnist": ["--calibrate", "mnist-calib.npz"],
    "cifar10_cnn": ["--calibrate", "cifar10-calib.npz", "--scale", "1/127.5", "--mean", "1"],
    "candy": ["--calibrate", "golden"],
}
# Of the output's standard deviation. Where the two programs differ on the
# original itself, as after candy's normalizations and in yunet's outputs near
# zero, a rewritten model may differ by so many times as much.
TOLERANCE = 1e-4
TIMES_ORIGINAL = 4
# ONNX dropped these long ago: the checker does not know them, onnxruntime does.
EXPERIMENTAL = {"ImageScaler", "Crop", "Affine"}


def check(context):
    """Rewrites, checks, runs."""
    known = context.run("passes", "--format", "csv")
    for name in TRAINED:
        for passes in REWRITES[name]:
            what = f"{name} {' '.join(passes)}"
            missing = [p for p in passes if p not in known]
            if missing:
                context.tally.skip(f"{what}: no pass {missing[0]}")
                continue
            try:
                one(context, name, passes, what)
            except (RuntimeError, ValueError, onnx.checker.ValidationError) as error:
                context.tally.note(False, f"{what}: {error}")


def one(context, name, passes, what):
    """One model, one list of passes."""
    out = context.scratch / f"{name}-rewritten.onnx"
    options = [o for p in passes for o in ("--pass", p)]
    samples = context.golden(name)[:4]
    golden = context.scratch / "golden.npz"
    numpy.savez(golden, input=samples)
    files = {"golden": golden}
    calibration = [
        files.get(o, context.corpus / o) if o == "golden" or o.endswith(".npz") else o
        for o in CALIBRATION.get(name, [])
    ]
    source = context.corpus / f"{name}.onnx"
    context.run("factorize", source, "-o", out, *options, *calibration)
    model, original = load(out), load(source)
    if (model.ir_version, *model.opset_import) != (original.ir_version, *original.opset_import):
        raise RuntimeError("another IR version or operator set")
    if not EXPERIMENTAL & {n.op_type for n in model.graph.node}:
        onnx.checker.check_model(model, full_check=True)
    ours = in_onnxruntime(out, samples)
    try:
        theirs = context.in_tract(out, samples)
    except RuntimeError as error:
        context.tally.skip(f"{what}: checked, runs in onnxruntime; {error}")
        return
    worst = apart(ours, theirs)
    limit = TOLERANCE
    if worst > TOLERANCE:
        own = apart(in_onnxruntime(source, samples), context.in_tract(source, samples))
        limit = max(limit, TIMES_ORIGINAL * own)
        what = f"{what} (the original itself: {own:.1e})"
    context.tally.note(
        worst <= limit, f"{what}: checked; tract within {worst:.1e} of onnxruntime"
    )


def apart(ours, theirs):
    """The largest difference over all outputs, in standard deviations of each."""
    errors = (
        numpy.abs(theirs[name].reshape(expected.shape) - expected).max() / (expected.std() or 1.0)
        for name, expected in ours.items()
    )
    return float(max(errors))
