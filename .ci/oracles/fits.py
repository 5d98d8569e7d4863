"""convfold's fit of a layer loses no more than one in numpy, and tells what numpy computes."""

from . import descent

# Relative, of the told error.
SAME = 1e-4
SAMPLES = 32


def check(context):
    """Every 5x5 layer of the trained networks, two starts each."""
    effort = descent.Effort(sweeps=20)
    for name in descent.WIDTHS:
        for layer in descent.layers_of(context, name, SAMPLES):
            covariance = descent.covariance_of(layer)
            theirs = descent.Fit(layer.kernel, covariance, layer.width).run(effort)
            theirs = descent.lost_by(layer.kernel, covariance, *theirs)
            try:
                *own, _, told = descent.convfold(context, layer, effort.starts, 1e-2)
            except RuntimeError as error:
                context.tally.note(False, f"{name} {layer.shape}: {error}")
                continue
            lost = descent.lost_by(layer.kernel, covariance, *own)
            context.tally.note(
                lost <= theirs and abs(told - lost) <= SAME * lost,
                f"{name} {layer.shape} by {layer.width}: told {told:.5f}, "
                f"in numpy {lost:.5f}, numpy's own fit {theirs:.5f}",
            )
