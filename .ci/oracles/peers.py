"""A search beats Tucker-2 and SVD-separable at its budget, and tells what onnxruntime measures."""

import dataclasses

from . import forms, quality

# Percentage points.
TOLERANCE = 0.1
BUDGETS = [0.43, 0.30]


def check(context):
    """Two budgets of the smallest model; `.ci/peers.py` shows them all."""
    (case,) = [c for c in quality.cases() if c.name == "mnist"]
    case = dataclasses.replace(case, trials=0)
    judge = quality.Judge(context, case)
    for budget in BUDGETS:
        try:
            ours = judge.convfold(budget)
        except RuntimeError as error:
            context.tally.note(False, f"{case.name} at {budget}: {error}")
            continue
        peers = {form.name: judge.peer(form, budget) for form in forms.FORMS}
        told = " / ".join(f"{v:.2f}" for v in ours.told.values())
        same = ours.told.keys() == ours.figures.keys() and all(
            abs(ours.told[k] - v) <= TOLERANCE for k, v in ours.figures.items()
        )
        context.tally.note(
            same, f"{case.name} at {budget}: told {told}, in onnxruntime {ours}"
        )
        ahead = all(p.figures["agreement"] < ours.figures["agreement"] for p in peers.values())
        beside = ", ".join(f"{name} {found}" for name, found in peers.items())
        context.tally.note(
            ahead and ours.share <= budget, f"{case.name} at {budget}: {ours}; {beside}"
        )
