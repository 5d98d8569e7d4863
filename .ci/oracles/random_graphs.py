"""Hundreds of random networks, rewritten by every pass: the checker, onnxruntime and tract."""

import collections
import json
import subprocess

import numpy
import onnx

from .common import in_onnxruntime, load

# Networks a pass.
COUNT = 25
# Of the output's standard deviation: what float32 rounding makes of a few layers.
TOLERANCE = 1e-4


def check(context):
    """Rewrites in one process, checks and runs here; a line a pass."""
    folder = context.scratch / "random"
    folder.mkdir()
    command = [context.rewrite_random, str(folder), str(COUNT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        context.tally.note(False, f"rewrite_random: {done.stderr.strip()}")
    passes = collections.defaultdict(list)
    for line in done.stdout.splitlines():
        case = json.loads(line)
        passes[case["pass"]].append(case)
    for name, cases in passes.items():
        wrong, worst = [], 0.0
        for case in cases:
            error, what = one(case)
            worst = max(worst, error)
            if what:
                wrong.append(f"{case['name']}: {what}")
        sites = sum(c["sites"] for c in cases)
        told = f"{name}: {len(cases)} networks, {sites} sites; within {worst:.1e}"
        enough = len(cases) >= COUNT
        context.tally.note(not wrong and enough, "; ".join([told, *wrong[:3]]))


def one(case):
    """The largest error of a case, and what is wrong with it."""
    before, after = case["original"] + ".onnx", case["rewritten"] + ".onnx"
    try:
        onnx.checker.check_model(after, full_check=True)
    except onnx.checker.ValidationError as error:
        return 0.0, str(error)
    old, new = load(before), load(after)
    if old.ir_version != new.ir_version or list(old.opset_import) != list(new.opset_import):
        return 0.0, "another IR version or operator set"
    samples = numpy.fromfile(case["input"], "<f4").reshape(case["shape"])
    worst, which = 0.0, ""
    results = {}
    for model, stem in ((before, case["original"]), (after, case["rewritten"])):
        (ours,) = in_onnxruntime(model, samples).values()
        theirs = numpy.fromfile(stem + ".f32", "<f4").reshape(ours.shape)
        if (error := apart(ours, theirs)) > worst:
            worst, which = error, model.rsplit("-", 1)[-1]
        results[stem] = ours
    if worst > TOLERANCE:
        return worst, f"{which} in tract is {worst:.1e} from onnxruntime"
    if case["exact"]:
        error = apart(results[case["original"]], results[case["rewritten"]])
        if error > TOLERANCE:
            return error, f"it is called exact and is {error:.1e} off"
    return worst, None


def apart(expected, found):
    """The largest difference, in standard deviations; activations are of the order of 1, and
    outputs of next to nothing but zeros are held to that."""
    return float(numpy.abs(expected - found).max() / max(expected.std(), 0.01))
