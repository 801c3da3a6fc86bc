"""No file that is read can run code: no pickle, no eval, no unpacking of archives, and one door for old checkpoints."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = ("spatial_audio_lm", "recipes", "benchmarks", "docs")
# Published checkpoints come as .pt and .ckpt files. One file reads them, with weights_only=True.
DOOR_OF_OLD_CHECKPOINTS = "spatial_audio_lm/layers/published_weights.py"

PICKLING_MODULES = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
PICKLING_EXCEPTIONS = {"UnpicklingError"}  # what torch.load(weights_only=True) raises: to be caught by name
CODE_FROM_TEXT = {"eval", "exec", "compile", "__import__"}
WRONG_KEYWORDS = {  # (name of the call, or * for any; keyword; value) -> what to do instead
    ("*", "trust_remote_code", True): "never run code that comes with a checkpoint",
    ("*", "weights_only", False): "weights_only=False runs the pickle in the file",
    ("*", "allow_pickle", True): "allow_pickle=True runs the pickle in the file",
    ("*", "shell", True): "shell=True lets a file name be a command",
    ("load_state_dict", "strict", False): "account for every key, in both directions",
}
WRONG_METHODS = {
    "extractall": "an archive names its own paths: open the members that are wanted",
    "unpack_archive": "an archive names its own paths: open the members that are wanted",
    "read_pickle": "runs the pickle in the file",
    "to_pickle": "write safetensors, JSON or NPY",
    "unsafe_load": "use yaml.safe_load",
    "full_load": "use yaml.safe_load",
    "system": "use subprocess with a list of arguments",
}


def call_name(call: ast.Call) -> str:
    """Dotted name of what is called, "torch.load"; the last part alone where the object has no name."""
    function = call.func
    if isinstance(function, ast.Name):
        return function.id
    if isinstance(function, ast.Attribute):
        return f"{function.value.id}.{function.attr}" if isinstance(function.value, ast.Name) else f"?.{function.attr}"
    return "?"


def keyword(call: ast.Call, name: str) -> object:
    """Constant value of a keyword argument; None if it is missing or not a constant."""
    value = next((k.value for k in call.keywords if k.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else None


def names_of(node: ast.ImportFrom) -> set[str]:
    """Names that a `from ... import` statement takes."""
    return {alias.name for alias in node.names}


def problems_of(text: str) -> Iterator[tuple[int, str]]:
    """Each unsafe way of reading in a source file, as (line, what is wrong)."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                exceptions_only = isinstance(node, ast.ImportFrom) and names_of(node) <= PICKLING_EXCEPTIONS
                if module.split(".")[0] in PICKLING_MODULES and not exceptions_only:
                    yield node.lineno, f"import {module}: write safetensors, JSON or NPY"
            if isinstance(node, ast.ImportFrom) and node.module == "torch" and {"load", "save"} & names_of(node):
                yield node.lineno, "call torch.load by its full name, so that it is seen"
        elif isinstance(node, ast.Call):
            yield from ((node.lineno, wrong) for wrong in call_problems(node))


def call_problems(call: ast.Call) -> Iterator[str]:
    """What is wrong with one call."""
    name = call_name(call)
    owner, _, method = name.rpartition(".")
    if name in CODE_FROM_TEXT:
        yield f"{name}(...) runs text as code"
    if method in WRONG_METHODS and owner and not (method == "system" and owner != "os"):
        yield f"{name}(...): {WRONG_METHODS[method]}"
    for (function, argument, value), advice in WRONG_KEYWORDS.items():
        if function in ("*", method) and keyword(call, argument) is value:
            yield f"{name}({argument}={value}): {advice}"
    if name == "torch.load" and keyword(call, "weights_only") is not True:
        yield "torch.load(...) without weights_only=True"
    if name == "torch.save":
        yield "torch.save(...) writes a pickle: use safetensors"
    if name in {"np.load", "numpy.load"} and keyword(call, "allow_pickle") is not False:
        yield f"{name}(...) without allow_pickle=False"
    if name in {"yaml.load", "yaml.load_all"}:
        yield f"{name}(...): use yaml.safe_load"
    if owner == "accelerator" and method in {"save_state", "load_state"}:
        yield f"{name}(...) goes through pickle"


def sources() -> list[Path]:
    """The Python files that read what users give them."""
    return [*(path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))), *sorted(ROOT.glob("*.py"))]


def test_no_file_is_read_in_a_way_that_can_run_code() -> None:
    files = sources()
    assert len(files) > 20
    found = [
        f"{path.relative_to(ROOT)}:{line}: {wrong}"
        for path in files
        for line, wrong in problems_of(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n".join(found)


def test_old_checkpoints_have_one_door() -> None:
    doors = {
        path.relative_to(ROOT).as_posix()
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and call_name(node) == "torch.load"
    }
    assert doors == {DOOR_OF_OLD_CHECKPOINTS}


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import dill",
        "from torch import load",
        "eval('1 + 1')",
        "exec(open('x').read())",
        "archive.extractall('folder')",
        "shutil.unpack_archive('x.zip')",
        "torch.load('x.pt')",
        "torch.load('x.pt', weights_only=False)",
        "torch.load('x.pt', weights_only=flag)",
        "torch.save({}, 'x.pt')",
        "np.load('x.npy')",
        "np.load('x.npy', allow_pickle=True)",
        "yaml.load(text)",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "model.load_state_dict(state, strict=False)",
        "accelerator.load_state('folder')",
        "subprocess.run('ls', shell=True)",
        "os.system('ls')",
        "pandas.read_pickle('x')",
    ],
)
def test_a_planted_way_to_run_code_is_found(text: str) -> None:
    assert list(problems_of(text))


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()",
        "re.compile('x')",
        "torch.compile(model)",
        "torch.load('x.pt', weights_only=True, map_location='cpu')",
        "np.load('x.npy', allow_pickle=False)",
        "yaml.safe_load(text)",
        "model.load_state_dict(state)",
        "zip(a, b, strict=False)",
        "platform.system()",
        "from pickle import UnpicklingError",
    ],
)
def test_a_safe_call_is_let_through(text: str) -> None:
    assert list(problems_of(text)) == []
