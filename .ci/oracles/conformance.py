"""The ONNX project's own tests: each gives a report or a clear error, and its outputs' shapes are right."""

import json
import pathlib
import subprocess
import warnings

import numpy
import onnx
from onnx import numpy_helper

# Of all cases at least so many must give a report.
SHARE = 0.98
DATA = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data"


def check(context):
    """All model files of the backend test data, all cases of single nodes."""
    files = model_files(context.scratch / "files")
    cases, inputs = node_cases(context.scratch / "nodes")
    told(context, "model files", files)
    open_ones = told(context, "cases of nodes", cases)
    # Where a shape depends on what an input holds, networks hold it as a constant.
    folder = context.scratch / "constants"
    folder.mkdir()
    fixed = {}
    for path in open_ones:
        fixed[folder / path.name] = cases[path]
        onnx.save(with_constants(onnx.load(path), inputs[path]), folder / path.name)
    told(context, "of these with further inputs as constants", fixed)


def model_files(folder):
    """The model files, what they declare of their outputs' shapes taken out."""
    folder.mkdir()
    written = {}
    for path in sorted(DATA.rglob("*.onnx")):
        model = onnx.load(path, load_external_data=False)
        copy = folder / ("-".join(path.relative_to(DATA).parts[:2]).removesuffix(".onnx") + ".onnx")
        written[copy] = expected_of_file(path, model)
        onnx.save(undeclared(model), copy)
    return written


def undeclared(model):
    """A model that does not say what shape its outputs have."""
    del model.graph.value_info[:]
    for output in model.graph.output:
        if output.type.WhichOneof("value") == "tensor_type":
            output.type.tensor_type.ClearField("shape")
    return model


def expected_of_file(path, model):
    """The shapes of the outputs of a model file's first data set."""
    names = [o.name for o in model.graph.output]
    beside = [path.with_name(f"{path.stem}_output_{i}.pb") for i in range(len(names))]
    inside = [path.parent / "test_data_set_0" / f"output_{i}.pb" for i in range(len(names))]
    found = {}
    for name, files in zip(names, zip(beside, inside, strict=True), strict=True):
        for file in files:
            if file.exists():
                found[name] = list(onnx.load_tensor(file).dims)
    for file in sorted(path.parent.glob("test_data_*.npz"))[:1]:
        outputs = numpy.load(file, allow_pickle=True, encoding="bytes")["outputs"]
        found |= {n: list(v.shape) for n, v in zip(names, outputs, strict=False)}
    return found


def node_cases(folder):
    """Writes the cases of single nodes: file to shapes of the outputs, file to inputs."""
    folder.mkdir()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    expected, inputs = {}, {}
    for case in cases:
        path = folder / f"{case.name}.onnx"
        onnx.save(undeclared(case.model), path)
        given, outputs = case.data_sets[0]
        named = zip(case.model.graph.output, outputs, strict=True)
        shapes = {o.name: shape_of(v) for o, v in named}
        expected[path] = {name: shape for name, shape in shapes.items() if shape is not None}
        inputs[path] = given
    return expected, inputs


def with_constants(model, values):
    """A model whose inputs behind the first, or the only one, are constants."""
    first = min(1, len(model.graph.input) - 1)
    for info, value in list(zip(model.graph.input, values, strict=True))[first:]:
        if isinstance(value, numpy.ndarray | numpy.generic):
            value = numpy_helper.from_array(numpy.asarray(value))
        if isinstance(value, onnx.TensorProto):
            constant = model.graph.initializer.add()
            constant.CopyFrom(value)
            constant.name = info.name
            model.graph.input.remove(info)
    return model


def shape_of(value):
    """The shape of an expected output; nothing for a sequence or what may be absent."""
    if isinstance(value, onnx.TensorProto):
        return list(numpy_helper.to_array(value).shape)
    if isinstance(value, numpy.ndarray | numpy.generic):
        return list(value.shape)
    return None


def analyses(context, models):
    """The reports of many models by file, and the lines that tell why others have none."""
    command = [context.convfold, "--quiet", "analyze", "--format", "json", *map(str, models)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stderr.splitlines()
    if done.returncode not in (0, 2) or (done.returncode == 2) != bool(lines):
        raise RuntimeError(f"exit {done.returncode}: {done.stderr[-300:]}")
    return {pathlib.Path(a["model"]["path"]): a for a in json.loads(done.stdout or "[]")}, lines


def told(context, what, models):
    """Notes what came of some models; those of which a shape is not known in full."""
    reports, errors = analyses(context, list(models))
    silent = [m for m in models if m not in reports and not any(str(m) in e for e in errors)]
    odd = [e for e in errors if not e.startswith("error: ") or "internal" in e]
    context.tally.note(
        len(reports) >= SHARE * len(models) and not silent and not odd,
        f"{len(reports)} of {len(models)} {what} give a report, {len(errors)} an error of one line"
        + "".join(f"\n     {e}" for e in errors[:20] + [str(m) for m in silent[:5]]),
    )
    equal = partly = 0
    wrong, open_ones = [], {}
    for path, report in reports.items():
        for output in report["model"]["outputs"]:
            expected = models[path].get(output["name"])
            if expected is None:
                continue
            shape = output["shape"]
            if not fits(shape, expected):
                wrong.append(f"{path.stem} {output['name']}: {shape} is {expected}")
            elif shape is not None and all(isinstance(d, int) for d in shape):
                equal += 1
            else:
                partly += 1
                open_ones[path] = None
    context.tally.note(
        not wrong and equal > 0,
        f"{what}: {equal} of {equal + len(wrong)} shapes of outputs equal the expected output's, "
        f"{partly} more depend on what inputs hold or are gaps"
        + "".join(f"\n     {w}" for w in wrong[:20]),
    )
    return list(open_ones)


def fits(shape, expected):
    """Whether what is known of a shape is right."""
    if shape is None:
        return True
    return len(shape) == len(expected) and all(
        a == b for a, b in zip(shape, expected, strict=True) if isinstance(a, int)
    )
