"""Runs the probes of one file, under whatever `prefect` this Python has, and prints what they give.

    python probing.py flows/mapping.py

A probe is a function whose name begins with `probe_`. It writes and runs a small flow, and returns
what somebody would look at. What it returns or raises is printed in JSON: this very file runs in
classic Prefect's environment and in ours, on Python 3.9 as on newer ones.
"""

import importlib.util
import json
import sys
import warnings
from pathlib import Path


def plain(value):  # noqa: PLR0911  # one for each kind
    """Return a value as JSON has it: what people see of it, and nothing that depends on a release."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [plain(item) for item in value]}
    if isinstance(value, (set, frozenset)) or type(value).__name__ in {"dict_keys", "KeysView"}:
        return {"set": sorted((plain(item) for item in value), key=str)}
    if isinstance(value, BaseException):
        return {"raised": type(value).__name__}
    if hasattr(value, "is_finished") and not isinstance(value, type):
        return state(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "name") and hasattr(value, "run"):
        return {type(value).__name__: value.name}
    if isinstance(value, type):
        return {"class": value.__name__}
    return {"of": type(value).__name__}


def state(value):
    """Return a state's kind and result; the children of a mapped one; not a flow's own dict."""
    told = {"state": type(value).__name__}
    children = getattr(value, "map_states", None)
    if children:
        told["children"] = [plain(child) for child in children]
    elif not isinstance(value.result, dict):
        told["result"] = plain(value.result)
    return told


def probes(path):
    """Return the probes of a file by name, in their order."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return {
        name[len("probe_") :]: found
        for name, found in vars(module).items()
        if name.startswith("probe_")
    }


def answer(probe):
    """Return what a probe gives."""
    try:
        return plain(probe())
    except Exception as error:  # noqa: BLE001  # its name is the answer
        # Of an error of a package, the one of Python's that it is: whoever catches that one catches it.
        kinds = [kind for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        return {"error": kinds[0].__name__}


def main(path):
    """Print the answers of a file."""
    warnings.simplefilter("ignore")
    answers = {name: answer(probe) for name, probe in probes(Path(path)).items()}
    sys.stdout.write("\n" + json.dumps(answers, indent=1, sort_keys=False) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
