"""convfold lint: SARIF against the published schema, pre-commit, the action's script, --fix in onnxruntime."""

import json
import os
import pathlib
import re
import shutil
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree

import jsonschema
import numpy
import yaml

from .common import in_onnxruntime

ROOT = pathlib.Path(__file__).parents[2]
MODELS = ["mnist", "cifar10_cnn", "super_resolution", "ultraface-slim-320", "blazeface"]
FORMATS = ["text", "json", "sarif", "github", "gitlab", "junit", "markdown", "csv", "html"]


def check(context):
    """All of it, in one scratch repository of corpus models."""
    repository = context.scratch / "lint repository"
    (repository / "models").mkdir(parents=True)
    for name in MODELS:
        shutil.copy(context.corpus / f"{name}.onnx", repository / "models")
    (repository / "models" / "pointer.onnx").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 46758048\n"
    )
    git(repository, "init", "--quiet")
    formats(context, repository)
    fixes(context, repository)
    pre_commit(context, repository)
    action(context, repository)
    gitlab(context)


def lint(context, folder, *arguments):
    """convfold lint in a folder."""
    return subprocess.run(
        [os.path.abspath(context.convfold), "lint", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


def formats(context, repository):
    """Every format is sound by an independent reader, and none changes the exit code."""
    runs = {f: lint(context, repository, "models", "--format", f) for f in FORMATS}
    codes = {f: run.returncode for f, run in runs.items()}
    context.tally.note(set(codes.values()) == {1}, f"exit codes by format: {codes}")
    report = json.loads(runs["json"].stdout)
    found = report["findings"]
    context.tally.note(
        len({f["fingerprint"] for f in found}) == len({(f["code"], f["path"], f["node"]) for f in found}) == len(found),
        f"{len(found)} findings have as many fingerprints, rules and nodes",
    )
    log = json.loads(runs["sarif"].stdout)
    errors = [e.message for e in jsonschema.Draft7Validator(sarif_schema()).iter_errors(log)]
    context.tally.note(
        not errors and len(log["runs"][0]["results"]) == len(found),
        f"SARIF against the published schema of 2.1.0: {errors[:3] or 'valid'}",
    )
    suites = xml.etree.ElementTree.fromstring(runs["junit"].stdout)
    failing = sum(f["severity"] != "information" for f in found)
    context.tally.note(
        len(suites.findall(".//failure")) == failing == int(suites.get("failures")),
        f"JUnit holds {failing} failures",
    )
    quality = json.loads(runs["gitlab"].stdout)
    severities = {"info", "minor", "major", "critical", "blocker"}
    context.tally.note(
        [q["fingerprint"] for q in quality] == [f["fingerprint"] for f in found]
        and all(q["severity"] in severities and q["location"]["lines"]["begin"] == 1 for q in quality),
        f"GitLab's code quality report has {len(quality)} entries",
    )
    annotation = re.compile(r"::(notice|warning|error) file=models/[^:,]+,title=CF\d{3} [a-z0-9-]+::.+")
    lines = runs["github"].stdout.splitlines()
    context.tally.note(
        all(annotation.fullmatch(line) for line in lines[:-1]) and len(lines) > 5,
        f"{len(lines) - 1} annotations for GitHub",
    )


def sarif_schema():
    """The schema of SARIF 2.1.0 as SchemaStore publishes it, out of the package's cache."""
    package = next(p for p in map(pathlib.Path, sys.path) if (p / "schemastore").is_dir())
    cache = sqlite3.connect(f"file:{package}/schemastore/cache.sqlite?mode=ro", uri=True)
    title = b'(SARIF) Version 2.1.0 JSON Schema"'
    for (blob,) in cache.execute("select value from responses"):
        start = blob.find(b"{", blob.find(b"_content"))
        # The value is a pickle; the JSON in it is read without unpickling.
        if title in blob[start : start + 400]:
            text = blob[start:].decode("utf-8", errors="replace")
            return json.JSONDecoder().raw_decode(text)[0]
    raise RuntimeError("the schema is not in the package")


def fixes(context, repository):
    """--fix takes its findings away, and onnxruntime computes the same."""
    for name in ["ultraface-slim-320", "mnist"]:
        path = repository / "models" / f"{name}.onnx"
        before = in_onnxruntime(path, context.golden(name))
        mine = repository / "fixed.onnx"
        shutil.copy(path, mine)
        lint(context, repository, "fixed.onnx", "--fix")
        left = json.loads(lint(context, repository, "fixed.onnx", "--format", "json").stdout)
        codes = {f["code"] for f in left["findings"]} & {"CF010", "CF030", "CF031"}
        after = in_onnxruntime(mine, context.golden(name))
        worst = max(
            float(numpy.abs(before[k] - after[k]).max() / (numpy.abs(before[k]).max() or 1)) for k in before
        )
        changed = path.read_bytes() != mine.read_bytes()
        context.tally.note(
            changed and not codes and worst < 1e-4,
            f"{name}: --fix leaves {codes or 'nothing that it could fix'}, outputs off by {worst:.1e}",
        )
        mine.unlink()


def pre_commit(context, repository):
    """pre-commit runs the hooks of this repository in the scratch repository."""
    source = context.scratch / "hooks"
    source.mkdir()
    shutil.copy(ROOT / ".pre-commit-hooks.yaml", source)
    git(source, "init", "--quiet")
    git(source, "add", ".")
    git(source, "commit", "--quiet", "-m", "hooks")
    revision = git(source, "rev-parse", "HEAD").strip()
    for model in (repository / "models").iterdir():
        if model.name != "mnist.onnx":
            model.unlink()

    def run(hook):
        # The hooks' own language builds convfold from its source; here it is built already.
        (repository / ".pre-commit-config.yaml").write_text(
            yaml.safe_dump(
                {"repos": [{"repo": str(source), "rev": revision, "hooks": [{"id": hook, "language": "system"}]}]}
            )
        )
        git(repository, "add", ".")
        environment = {
            **os.environ,
            "PATH": f"{os.path.dirname(os.path.abspath(context.convfold))}{os.pathsep}{os.environ['PATH']}",
            "PRE_COMMIT_HOME": str(context.scratch / "pre-commit"),
        }
        command = [sys.executable, "-m", "pre_commit", "run", "--all-files"]
        return subprocess.run(
            command, cwd=repository, env=environment, capture_output=True, text=True, check=False
        )

    first = run("convfold-lint")
    context.tally.note(
        first.returncode == 1 and "CF030" in first.stdout, "pre-commit stops a model with unfolded biases"
    )
    fixing = run("convfold-fix")
    context.tally.note(
        fixing.returncode == 1 and "modified by this hook" in fixing.stdout, "pre-commit tells what --fix has changed"
    )
    last = run("convfold-lint")
    context.tally.note(last.returncode == 0, f"then pre-commit passes: {last.stdout.strip()[-200:] if last.returncode else 'yes'}")


def action(context, repository):
    """action.yml is sound by GitHub's schema, and its script does what it says."""
    schema = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions", str(ROOT / "action.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    context.tally.note(schema.returncode == 0, f"action.yml: {schema.stdout.strip()}")
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    (script,) = [s["run"] for s in steps if s.get("id") == "lint"]
    shutil.copy(context.corpus / "mnist.onnx", repository / "models")
    summary = context.scratch / "summary.md"
    environment = {
        **os.environ,
        "PATH": f"{os.path.dirname(os.path.abspath(context.convfold))}{os.pathsep}{os.environ['PATH']}",
        "PATHS": "models\n",
        "ARGS": "--ignore\nCF010\n",
        "SARIF": "convfold.sarif",
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], cwd=repository, env=environment, capture_output=True, text=True, check=False
    )
    log = json.loads((repository / "convfold.sarif").read_text())
    context.tally.note(
        done.returncode == 1
        and "::warning file=models/mnist.onnx" in done.stdout
        and log["runs"][0]["results"]
        and "models/mnist.onnx" in summary.read_text(),
        f"the action's script annotates, writes SARIF and a summary, and exits {done.returncode}",
    )


def gitlab(context):
    """The GitLab example is sound by GitLab's schema."""
    example = ROOT / "examples" / "ci" / "gitlab-ci.yml"
    schema = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci", str(example)],
        capture_output=True,
        text=True,
        check=False,
    )
    context.tally.note(schema.returncode == 0, f"{example.name}: {schema.stdout.strip()}")


def git(folder, *arguments):
    """Runs git as somebody."""
    identity = ["-c", "user.name=lint", "-c", "user.email=lint@example.org"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
