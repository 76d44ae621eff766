"""No data runs code: an unpickler, `eval`, a loader of remote code stand nowhere in the product's code."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("edge", "sim", "vla", "training", "export", "calibration", "benchmarks", "examples", "ros2")
BANNED_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads",
    "pickle.Unpickler", "marshal.loads", "marshal.load", "shelve.open", "dill.load", "dill.loads",
    "joblib.load", "cloudpickle.load", "cloudpickle.loads", "yaml.unsafe_load", "yaml.full_load",
    "yaml.load_all", "yaml.full_load_all", "yaml.unsafe_load_all", "pandas.read_pickle", "torch.jit.load",
    "pickle._load", "pickle._loads", "numpy.ctypeslib.load_library",
}  # fmt: skip
BANNED_IMPORTS = {"dill", "joblib", "cloudpickle", "marshal", "shelve"}
# Files that may name pickle: one whose unpickler builds numpy's arrays alone.
MAY_IMPORT_PICKLE = {"training/datasets/calvin.py"}
# Files that write hostile data for our readers, and read none.
MAY_WRITE_PICKLE = {"benchmarks/fuzz/datasets.py", "benchmarks/soak/faults/refusals.py"}
SAFE_LOADERS = {"_Loader", "SafeLoader", "yaml.SafeLoader", "CSafeLoader", "yaml.CSafeLoader"}


def problems(source: str, file: str = "x.py") -> Iterator[str]:
    """Yield what in a module could run code that data brings."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            for name in (each.partition(".")[0] for each in names):
                if name in BANNED_IMPORTS or (
                    name == "pickle" and file not in MAY_IMPORT_PICKLE | MAY_WRITE_PICKLE
                ):
                    yield f"{file}:{node.lineno}: imports {name}"
        elif isinstance(node, ast.Call):
            yield from _of_call(node, file)


def _of_call(node: ast.Call, file: str) -> Iterator[str]:
    name, where = ast.unparse(node.func), f"{file}:{node.lineno}"
    options = {each.arg: ast.unparse(each.value) for each in node.keywords if each.arg}
    if name in BANNED_CALLS:
        yield f"{where}: calls {name}"
    if name == "torch.load" and options.get("weights_only") != "True":
        yield f"{where}: torch.load without weights_only=True"
    writes = name in ("np.save", "numpy.save") and file in MAY_WRITE_PICKLE
    if options.get("allow_pickle", "False") != "False" and not writes:  # numpy's own default is False
        yield f"{where}: allow_pickle={options['allow_pickle']}"
    if options.get("trust_remote_code", "False") != "False":
        yield f"{where}: trust_remote_code={options['trust_remote_code']}"
    if options.get("shell", "False") != "False":
        yield f"{where}: a shell"
    loader = options.get("Loader", ast.unparse(node.args[1]) if len(node.args) > 1 else "")
    if name == "yaml.load" and loader not in SAFE_LOADERS:
        yield f"{where}: yaml.load by {loader or 'any loader'}"


def test_no_module_runs_what_data_brings():
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]
    assert len(files) > 200
    found = [
        line
        for file in files
        for line in problems(file.read_text(encoding="utf-8"), str(file.relative_to(ROOT)))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval(x)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "np.load(f, allow_pickle=True)",
        "AutoModel.from_pretrained(f, trust_remote_code=True)",
        "AutoModel.from_pretrained(f, trust_remote_code=x)",
        "yaml.load(f)",
        "yaml.load(f, yaml.Loader)",
        "yaml.unsafe_load(f)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
    ],
)
def test_the_walk_would_notice(source: str):
    assert list(problems(source)) != []
