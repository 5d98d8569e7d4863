"""Holds convfold against independent programs: onnx, onnxruntime, PyTorch's figures.

Prints a line a check and ends on "N passed, N failed, N skipped".
"""

import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from oracles import (  # noqa: E402
    aliasing,
    conformance,
    exports,
    fits,
    licences,
    lint,
    macs,
    peers,
    perturbation,
    random_graphs,
    roundtrip,
    shapes,
)
from oracles.common import Context  # noqa: E402

ORACLES = [
    licences,
    macs,
    shapes,
    conformance,
    aliasing,
    perturbation,
    roundtrip,
    exports,
    fits,
    random_graphs,
    lint,
    peers,
]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--convfold", required=True, help="the program")
    parser.add_argument("--run-tract", required=True, help="the example of that name")
    parser.add_argument("--rewrite-random", required=True, help="the example of that name")
    parser.add_argument("--fit-layer", required=True, help="the example of that name")
    parser.add_argument("--corpus", required=True, type=pathlib.Path, help="models and data")
    parser.add_argument("--only", help="run one oracle")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        context = Context(
            arguments.corpus,
            pathlib.Path(scratch),
            convfold=arguments.convfold,
            run_tract=arguments.run_tract,
            rewrite_random=arguments.rewrite_random,
            fit_layer=arguments.fit_layer,
        )
        for oracle in ORACLES:
            name = oracle.__name__.split(".")[-1]
            if arguments.only in (None, name):
                print(f"== {name}: {oracle.__doc__.splitlines()[0]}", flush=True)
                oracle.check(context)
    print(context.tally)
    sys.exit(1 if context.tally.failed else 0)


if __name__ == "__main__":
    main()
