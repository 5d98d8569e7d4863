"""What convfold reaches without training, beside the usual forms at the same share of weights.

Tucker-2 and SVD-separable are fitted to the kernels by tensorly and numpy, at the allocation
over the layers that is best on the calibration data. All models run in onnxruntime. Prints
top-1 / agreement in percent, agreement alone, or PSNR in dB, and the share of the weights.
Needs what .ci/requirements.txt lists.
"""

import argparse
import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from oracles import forms, quality  # noqa: E402
from oracles.common import Context  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--convfold", required=True, help="the program")
    parser.add_argument("--corpus", required=True, type=pathlib.Path, help="models and data")
    parser.add_argument("--slow", action="store_true", help="the large models too")
    parser.add_argument("--only", help="cases whose name begins so, slow or not")
    parser.add_argument("--crops", type=int, default=40, help="to calibrate squeezenet on")
    parser.add_argument("--smallest", type=float, default=0.4, help="crop, as a share of the side")
    parser.add_argument("--samples", type=int, default=1000, help="at most, to calibrate on")
    parser.add_argument("--no-peers", action="store_true", help="convfold alone")
    arguments = parser.parse_args()
    columns = [form.name for form in forms.FORMS]
    print(row("model", "budget", "convfold", "its own figures", "seconds", *columns), flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch)
        context = Context(arguments.corpus, folder, convfold=arguments.convfold)
        for case in quality.cases(arguments.crops, smallest_crop=arguments.smallest):
            asked = arguments.only
            if not (case.name.startswith(asked) if asked else arguments.slow or not case.slow):
                continue
            judge = quality.Judge(context, case, arguments.samples)
            for budget in case.budgets:
                started = time.monotonic()
                try:
                    ours = judge.convfold(budget)
                except RuntimeError as error:
                    print(f"{case.name} at {budget}: {error}", flush=True)
                    continue
                seconds = f"{time.monotonic() - started:.0f}"
                told = " / ".join(f"{v:.2f}" for v in ours.told.values()) or "-"
                peers = [] if arguments.no_peers else forms.FORMS
                peers = [judge.peer(form, budget) for form in peers]
                print(row(case.name, f"{budget:.2f}", ours, told, seconds, *peers), flush=True)


def row(model, budget, ours, told, seconds, *peers):
    """A line of the table."""
    peers = "".join(f"{'-' if p is None else str(p):>25}" for p in peers)
    return f"{model:20}{budget:>7}{ours!s:>25}{told:>16}{seconds:>8}{peers}"


if __name__ == "__main__":
    main()
