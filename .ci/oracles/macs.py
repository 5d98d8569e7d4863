"""MACs of each convolution and linear layer equal PyTorch's figures to the unit."""

import json


def check(context):
    """The models of structure/ against reference.json."""
    folder = context.corpus / "structure"
    reference = json.loads((folder / "reference.json").read_text())
    equal = total = 0
    for name, figures in reference.items():
        try:
            analysis = context.analyze(folder / figures["file"])
        except RuntimeError as error:
            context.tally.note(False, f"{name}: {error}")
            continue
        macs = analysis["totals"]["macs"]
        context.tally.note(
            macs == figures["macs_conv_linear"],
            f"{name}: {macs} MACs, PyTorch {figures['macs_conv_linear']}",
        )
        ours = sorted(l["macs"] for l in analysis["layers"] if l["macs"])
        theirs = sorted(l["macs"] for l in figures["layers"])
        left = list(ours)
        for value in theirs:
            total += 1
            if value in left:
                left.remove(value)
                equal += 1
        context.tally.note(ours == theirs, f"{name}: the same {len(theirs)} layers")
    context.tally.note(equal == total, f"layers: {equal} of {total} equal")
