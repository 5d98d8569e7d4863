"""The usual forms of a convolution without training and without data, in numpy and tensorly.

Each is fitted to the kernel alone; what convfold makes is compared with them.
"""

import itertools

import numpy
import onnx
from onnx import helper, numpy_helper
from tensorly.decomposition import partial_tucker


class Tucker2:
    """1x1, k x k, 1x1: the channels compressed, the spatial kernel kept (HOOI)."""

    name = "Tucker-2"

    @staticmethod
    def options(kernel):
        """(weights, share of the energy lost, ranks) of every pair of ranks.

        The loss is that of truncated bases, which HOOI starts from.
        """
        outputs, inputs, *spatial = kernel.shape
        core = kernel.astype(float)
        for mode in (0, 1):
            unfolded = numpy.moveaxis(core, mode, 0).reshape(kernel.shape[mode], -1)
            basis = numpy.linalg.svd(unfolded)[0]
            core = numpy.moveaxis(numpy.tensordot(basis.T, core, (1, mode)), 0, mode)
        kept = (core**2).reshape(outputs, inputs, -1).sum(2).cumsum(0).cumsum(1)
        for ranks in itertools.product(range(1, outputs + 1), range(1, inputs + 1)):
            weights = int(numpy.prod(spatial)) * ranks[0] * ranks[1]
            # A mode at its full rank needs no 1x1.
            weights += sum(r * n for r, n in zip(ranks, (outputs, inputs)) if r < n)
            yield weights, 1.0 - kept[ranks[0] - 1, ranks[1] - 1] / kept[-1, -1], ranks

    @staticmethod
    def factors(kernel, ranks):
        """The kernels of the chain."""
        modes = [m for m in (0, 1) if ranks[m] < kernel.shape[m]]
        if not modes:
            return [kernel]
        rank = [ranks[m] for m in modes]
        (core, bases), _ = partial_tucker(kernel.astype(float), rank=rank, modes=modes)
        by_mode = dict(zip(modes, bases))
        chain = [core]
        if 1 in by_mode:
            chain.insert(0, by_mode[1].T[:, :, None, None])
        if 0 in by_mode:
            chain.append(by_mode[0][:, :, None, None])
        return chain


class Separable:
    """k x 1, then 1 x k: the SVD of the kernel as a (Cin*kh) x (Cout*kw) matrix."""

    name = "SVD-separable"

    @staticmethod
    def matrix(kernel):
        """Rows (input, y), columns (output, x)."""
        outputs, inputs, height, width = kernel.shape
        return kernel.astype(float).transpose(1, 2, 0, 3).reshape(inputs * height, outputs * width)

    @classmethod
    def options(cls, kernel):
        """(weights, share of the energy lost, rank) of every rank."""
        matrix = cls.matrix(kernel)
        kept = numpy.cumsum(numpy.linalg.svd(matrix, compute_uv=False) ** 2)
        for index, energy in enumerate(kept):
            yield (index + 1) * sum(matrix.shape), 1.0 - energy / kept[-1], index + 1

    @classmethod
    def factors(cls, kernel, rank):
        """The kernels of the chain."""
        outputs, inputs, height, width = kernel.shape
        u, s, v = numpy.linalg.svd(cls.matrix(kernel), full_matrices=False)
        root = numpy.sqrt(s[:rank])
        first = (u[:, :rank] * root).T.reshape(rank, inputs, height, 1)
        second = (v[:rank] * root[:, None]).reshape(rank, outputs, 1, width)
        return [first, second.transpose(1, 0, 2, 3)]


FORMS = [Tucker2, Separable]


def kernels(model, targets):
    """The kernels of the convolutions that are to be rewritten, by the node's output."""
    constants = {t.name: t for t in model.graph.initializer}
    return {
        n.output[0]: numpy_helper.to_array(constants[n.input[1]])
        for n in model.graph.node
        if n.op_type == "Conv" and targets(n, constants[n.input[1]].dims)
    }


def rewritten(model, chains):
    """A copy in which convolutions (by output) are chains of these kernels."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        chain = chains.get(node.output[0])
        graph.node.extend([node] if chain is None else serial(made, node, chain))
    return made


def window_of(node):
    """The attributes of a convolution, its padding resolved."""
    window = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    size = window["kernel_shape"]
    if window.get("auto_pad", b"NOTSET") == b"SAME_UPPER":
        # At stride 1, which is all that has such padding here.
        window["pads"] = [(k - 1) // 2 for k in size] + [k // 2 for k in size]
    return window


def serial(model, node, chain):
    """The nodes of a chain in place of a convolution; its padding is each axis' own factor's."""
    window = window_of(node)
    source = node.input[0]
    for index, kernel in enumerate(chain):
        last = index == len(chain) - 1
        weight = f"{node.output[0]}_factor{index}"
        model.graph.initializer.append(
            numpy_helper.from_array(numpy.ascontiguousarray(kernel, numpy.float32), weight)
        )
        if model.ir_version < 4:
            model.graph.input.append(
                helper.make_tensor_value_info(weight, onnx.TensorProto.FLOAT, kernel.shape)
            )
        output = node.output[0] if last else f"{weight}_map"
        own = [k > 1 for k in kernel.shape[2:]]
        yield helper.make_node(
            "Conv",
            [source, weight, *(node.input[2:] if last else [])],
            [output],
            kernel_shape=kernel.shape[2:],
            pads=[p * o for p, o in zip(window["pads"], own * 2)],
            strides=[s if o else 1 for s, o in zip(window["strides"], own)],
        )
        source = output


def choices(kernel, form):
    """What a layer may become, the cheapest first; the last is to keep it."""
    smaller = (option for option in form.options(kernel) if option[0] < kernel.size)
    return [*front(smaller), (kernel.size, 0.0, None)]


def starts(layers, limit):
    """Ways to share a number of weights over layers' choices: an index a layer.

    A like share for every layer that is not kept, for each choice of those (of
    many layers, the first ones); and what loses the least energy over all.
    """
    whole = [options[-1][0] for options in layers]
    for count in range(len(layers)):
        few = len(layers) <= 4
        for kept in itertools.combinations(range(len(layers)), count) if few else [range(count)]:
            rest = sum(whole) - sum(whole[i] for i in kept)
            share = (limit - sum(whole[i] for i in kept)) / rest
            picks = [
                len(options) - 1 if i in kept else within(options[:-1], share * whole[i])
                for i, options in enumerate(layers)
            ]
            if min(picks) >= 0:
                yield picks
    chosen = [(0, 0.0, [])]
    for options in layers:
        chosen = front(
            (weights + option[0], lost + option[1], [*picks, index])
            for weights, lost, picks in chosen
            for index, option in enumerate(options)
            if weights + option[0] <= limit
        )
    if chosen:
        yield chosen[-1][2]


def improved(layers, picks, limit, loss, trials):
    """Moves weights from one layer to another while the loss sinks."""
    random, best = numpy.random.default_rng(0), loss(picks)
    for _ in range(trials if len(layers) > 1 else 0):
        giver, taker = random.choice(len(layers), 2, replace=False)
        trial = list(picks)
        trial[giver] = max(0, trial[giver] - random.integers(0, 6))
        spent = sum(o[i][0] for o, i in zip(layers, trial)) - layers[taker][trial[taker]][0]
        trial[taker] = within(layers[taker], limit - spent)
        if trial != picks and trial[taker] >= 0 and (found := loss(trial)) < best:
            picks, best = trial, found
    return picks


def within(options, weights):
    """The last choice of at most so many weights; -1 where there is none."""
    return sum(option[0] <= weights for option in options) - 1


def front(options):
    """What no cheaper one matches, the cheapest first."""
    best, kept = numpy.inf, []
    for option in sorted(options, key=lambda o: o[:2]):
        if option[1] < best:
            best = option[1]
            kept.append(option)
    return kept
