"""Changed pixels reach exactly the units whose reported field holds them, run in tract."""

import itertools

import numpy
import onnx

from .common import load
from .probe import GLOBAL, WINDOWS, Probe

# candy's convolutions take any size, and there its field still has room.
SMALLER = {"candy": 240}


def check(context):
    """Every convolution and pool of every model of the corpus, first, middle and last unit."""
    totals = numpy.zeros(4, int)
    for folder in ("", "structure", "light"):
        for path in sorted((context.corpus / folder).glob("*.onnx")):
            try:
                counts = one(context, path)
            except (RuntimeError, ValueError, KeyError) as error:
                context.tally.note(False, f"{path.stem}: {type(error).__name__} {error}")
                continue
            totals += counts
            units, right, formulas, agreed = counts
            context.tally.note(
                right == units > 0 and agreed == formulas,
                f"{path.stem}: {right} of {units} fields of units and "
                f"{agreed} of {formulas} closed forms equal what changed pixels reach",
            )
    print(f"{totals[1]} of {totals[0]} units' fields, {totals[3]} of {totals[2]} closed forms equal")


def one(context, path):
    """One model: units and those right, closed forms and those right, an axis each."""
    model, size = load(path), SMALLER.get(path.stem)
    if size:
        shrink(model, size)
        path = context.scratch / path.name
        onnx.save(model, path)
    probe = Probe(model)
    windows = [n.name or n.output[0] for n in model.graph.node if n.op_type in WINDOWS | GLOBAL]
    if missed := [w for w in windows if w not in probe.layers]:
        raise ValueError(f"not probed: {missed[:3]}")
    units = []
    sizes = probe.sizes()
    for layer, (h, w) in sizes.items():
        places = dict.fromkeys([(0, 0), (h // 2, w // 2), (h - 1, w - 1)])
        units += [(layer, y, x) for y, x in places]
    asked = [o for layer, y, x in units for o in ("--unit", f"{layer}:{y},{x}")]
    analysis = context.analyze(path, *asked)
    # A unit that reads padding alone sees nothing: an end before its beginning.
    nothing = [[n, n - 1] for n in probe.size]
    reported = [u["rectangle"] or nothing for u in analysis["units"]]
    layers = {l["node"]: l for l in analysis["layers"]}
    right, formulas, agreed = 0, 0, 0
    truth = observed(context, probe, units, reported)
    for unit, rectangle, ends in zip(units, reported, truth, strict=True):
        layer = layers[unit[0]]
        for axis in range(2):
            right += ends[axis] == rectangle[axis]
            middle = unit[1 + axis] == sizes[unit[0]][axis] // 2
            # Near a mirrored border units see other pixels than the closed form's.
            if probe.upsampled & set(layer["outputs"]) or probe.mirrors > middle:
                continue
            for end, place in enumerate(closed(layer["receptive_field"], unit[1 + axis], axis)):
                # Where a field ends inside the image no padding has cut it.
                if 0 <= place < probe.size[axis]:
                    formulas += 1
                    agreed += place == rectangle[axis][end] == ends[axis][end]
    return numpy.array([2 * len(units), right, formulas, agreed])


def observed(context, probe, units, reported):
    """First and last pixel that reach each unit, an axis each.

    A reported end is confirmed by two runs: with its row or column changed,
    which must reach the unit, and with all beyond it changed, which must not.
    Where one of them says otherwise the end is None.
    """

    def spans(axis, lo, hi):
        """The end itself, and all beyond it; twice."""
        last = probe.size[axis] - 1
        inside = [(lo, lo), (hi, hi)] if lo <= hi else [(0, -1)] * 2
        return zip(inside, [(0, lo - 1), (hi + 1, last)], strict=True)

    changes = {}
    for rectangle in reported:
        for axis, ends in enumerate(rectangle):
            for span in itertools.chain.from_iterable(spans(axis, *ends)):
                if span[0] <= span[1]:
                    changes.setdefault((axis, *span), len(changes))
    samples = numpy.zeros([len(changes), 1, *probe.size], numpy.float32)
    for (axis, lo, hi), row in changes.items():
        numpy.moveaxis(samples[row, 0], axis, 0)[lo : hi + 1] = 1
    model = context.scratch / "probe.onnx"
    onnx.save(probe.at(units), model)
    (reached,) = context.in_tract(model, samples).values()
    reached = reached.reshape(len(changes), len(units)) > 0

    def confirmed(unit, axis, inside, beyond):
        """Whether the end reaches a unit, if there is one, and what is beyond does not."""
        does = inside[0] > inside[1] or reached[changes[axis, *inside], unit]
        return does and not (beyond[0] <= beyond[1] and reached[changes[axis, *beyond], unit])

    return [
        [
            [e if confirmed(unit, a, *s) else None for e, s in zip(ends, spans(a, *ends), strict=True)]
            for a, ends in enumerate(rectangle)
        ]
        for unit, rectangle in enumerate(reported)
    ]


def closed(field, unit, axis):
    """First and last pixel by size, jump and centre; nothing where the whole axis is seen."""
    if not field["size"] or field["size"][axis] is None:
        return []
    middle = field["centre"][axis] + field["jump"][axis] * unit
    half = (field["size"][axis] - 1) / 2
    return [middle - half, middle + half]


def shrink(model, size):
    """Makes candy's image smaller; its transposed convolutions say their outputs' sizes."""
    weights = {t.name for t in model.graph.initializer}
    (image,) = [i for i in model.graph.input if i.name not in weights]
    before = image.type.tensor_type.shape.dim[2].dim_value
    for dim in image.type.tensor_type.shape.dim[2:]:
        dim.dim_value = size
    for attribute in (a for n in model.graph.node for a in n.attribute):
        if attribute.name == "output_shape":
            attribute.ints[:] = [(v - 2) * size // before + 2 for v in attribute.ints]
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
