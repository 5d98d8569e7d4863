"""Every dependency comes from the public registry, and what is shipped under a licence that deny.toml allows."""

import json
import pathlib
import re
import subprocess
import tomllib

ROOT = pathlib.Path(__file__).parents[2]


def check(context):
    """What `cargo deny check licenses sources` would say, where it is not installed."""
    rules = tomllib.loads((ROOT / "deny.toml").read_text())
    allowed = set(rules["licenses"]["allow"])
    excepted = {e["crate"]: set(e["allow"]) for e in rules["licenses"].get("exceptions", [])}
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--locked", "--format-version", "1"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
    )
    members = set(metadata["workspace_members"])
    built = shipped_packages(metadata, members)
    wrong = []
    count = 0
    for package in metadata["packages"]:
        if package["id"] in members:
            continue
        count += 1
        licence = package["license"] or "none"
        shipped = package["id"] in built
        if shipped and not satisfied(licence, allowed | excepted.get(package["name"], set())):
            wrong.append(f"{package['name']}: {licence}")
        if not re.match(r"registry\+.*/crates\.io-index$", package["source"]):
            wrong.append(f"{package['name']}: from {package['source']}")
    context.tally.note(not wrong, f"{count} dependencies, {len(built - members)} of them shipped; {', '.join(wrong) or 'all allowed'}")


def shipped_packages(metadata, members):
    """What the members need to be built, the needs of tests and benches left out (as deny.toml does)."""
    needs = {
        node["id"]: [
            dep["pkg"] for dep in node["deps"] if any(k["kind"] != "dev" for k in dep["dep_kinds"])
        ]
        for node in metadata["resolve"]["nodes"]
    }
    seen, waiting = set(), list(members)
    while waiting:
        package = waiting.pop()
        if package not in seen:
            seen.add(package)
            waiting.extend(needs[package])
    return seen


def satisfied(expression, allowed):
    """Whether an SPDX expression (or the old form with slashes) is met."""
    words = re.findall(r"\(|\)|[^\s()/]+|/", expression.replace(" WITH ", "-WITH-"))
    code = []
    for word in words:
        if word in "()":
            code.append(word)
        elif word in ("OR", "/"):
            code.append("or")
        elif word == "AND":
            code.append("and")
        else:
            code.append(str(word.replace("-WITH-", " WITH ") in allowed))
    return eval(" ".join(code), {"__builtins__": {}})  # noqa: S307 (True, False, and, or, brackets)
