"""How long a fit takes beside one in numpy, on the same layers to the same errors.

Both get the same kernel, inputs and width (`oracles/descent.py`); the errors of both are
computed in numpy. convfold's time is that of the first of several tolerances that reaches the
other's error, "settled" that of a tolerance of 1e-2. Needs what .ci/requirements.txt lists.
"""

import argparse
import pathlib
import sys
import tempfile
import time

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from oracles import descent  # noqa: E402
from oracles.common import Context  # noqa: E402

TOLERANCES = [3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4]
SETTLED = 1e-2
LINE = "{:12}{:>12}{:>4}{:>10}{:>9}{:>10}{:>9}{:>8}{:>10}{:>9}{:>8}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fit-layer", required=True, help="the example of that name")
    parser.add_argument("--corpus", required=True, type=pathlib.Path, help="models and data")
    parser.add_argument("--samples", type=int, default=64, help="to calibrate on")
    for name, value in vars(descent.Effort()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help="of the fit in numpy")
    arguments = vars(parser.parse_args())
    program, corpus, samples = map(arguments.pop, ("fit_layer", "corpus", "samples"))
    effort = descent.Effort(**arguments)
    head = ["model", "kernel", "m", "numpy s", "error", "convfold", "error", "ratio"]
    print(LINE.format(*head, "settled", "error", "ratio"))
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(corpus, pathlib.Path(scratch), fit_layer=program)
        for name in descent.WIDTHS:
            total = numpy.zeros(3)
            for layer in descent.layers_of(context, name, samples):
                seconds, errors = timed(context, layer, effort)
                total += seconds
                print(row(name, layer.shape, layer.width, seconds, errors), flush=True)
            print(row(name, "all", "", total, [""] * 3), flush=True)


def timed(context, layer, effort):
    """Seconds and errors of the fit in numpy, of convfold's to the same error, of a settled one."""
    covariance = descent.covariance_of(layer)
    begin = time.perf_counter()
    theirs = descent.Fit(layer.kernel, covariance, layer.width).run(effort)
    seconds = [time.perf_counter() - begin]
    errors = [descent.lost_by(layer.kernel, covariance, *theirs)]

    def own(tolerance):
        *factors, taken, _ = descent.convfold(context, layer, effort.starts, tolerance)
        return taken, descent.lost_by(layer.kernel, covariance, *factors)

    for tolerance in TOLERANCES:
        taken, lost = own(tolerance)
        if lost <= errors[0]:
            break
    settled = own(SETTLED)
    seconds += [taken, settled[0]]
    errors += [lost, settled[1]]
    return numpy.array(seconds), errors


def row(name, shape, width, seconds, errors):
    """A line of the table."""
    values = []
    for taken, error in zip(seconds, errors):
        values += [f"{taken:.4f}", f"{error:.4f}" if error else ""]
        values += [f"{seconds[0] / taken:.1f}"] if len(values) > 2 else []
    return LINE.format(name, shape, width, *values)


if __name__ == "__main__":
    main()
