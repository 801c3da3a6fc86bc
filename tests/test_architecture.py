"""The shape of the package, held by a test: floors, no cycles, short files, one home for each foreign library."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 500
MAX_LOOP_LINES = 200  # training/loop.py is the one loop of all recipes: it has to be readable in one go
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "misc"}

# A room is a folder or a file directly under the package; each model is a room of its own. A module imports from its
# own room and from lower floors, never from another room of its own floor. errors.py and files.py share one room.
FLOORS: dict[str, int] = {
    "errors": 0, "files": 0,
    "signal": 1,
    "features": 2, "language": 2,
    "layers": 3, "objectives": 3,
    "models/audio_mae": 4, "models/gram": 4, "models/spatial_ast": 4, "models/dspast": 4, "models/wavjepa": 4,
    "simulation": 4,
    "models/elsa": 5, "models/spatial_captioner": 5, "models/bat": 5, "models/checkpoints": 5,
    "data": 5, "captions": 5,
    "metrics": 6, "question_answering": 6,
    "training": 7, "pipelines": 7,
    "hub": 8, "viz": 8,
    "cli": 9,
}  # fmt: skip
TOP = 10  # the package's own __init__ names everything; nothing inside imports it
EVALUATE_MODULES = "metrics/evaluate_modules"  # a folder a module; `evaluate` itself loads them, by path
SUBFOLDERS = {"models", "models/packaged", EVALUATE_MODULES}  # folders that are neither rooms nor unknown
DATA_FOLDERS = {"models/packaged"}  # checkpoints: no code below

# The converters' table names every system, and only when one is asked for.
LAZY_ONLY = {("models/checkpoints", "models/elsa"), ("models/checkpoints", "models/bat"),
             ("models/checkpoints", "models/spatial_captioner")}  # fmt: skip

# Foreign libraries known in one place each (a file, or a folder ending in "/").
HOME_OF: dict[str, tuple[str, ...]] = {
    "pyroomacoustics": ("simulation/rirs.py",),
    "llama_cpp": ("captions/rewriting.py",),
    "soundfile": ("signal/sound_files.py", "signal/spatial_audio.py"),
    "matplotlib": ("viz/",),
    "torchaudio": (),  # its wheel fails beside a CPU torch and takes transformers down with it
}
# Extras: imported inside the function that needs them, so that the package works without.
OPTIONAL = {"sofar", "llama_cpp", "evaluate", "aac_metrics", "sentence_transformers", "tensorboard", "trackio",
            "datatrove", "gradio", "torchcodec"}  # fmt: skip
HOME_OF_ANGLES = "signal/conventions.py"
ANGLE_FUNCTIONS = {"deg2rad", "rad2deg", "radians"}
MATHS = {"math", "np", "numpy", "torch"}


def room_of(relative: Path) -> str | None:
    """Name of the room that a file of the package lies in; None if it is in no known room."""
    parts = relative.with_suffix("").parts
    if parts == ("__init__",):
        return ""
    if parts[0] == "models":
        return f"models/{parts[1]}" if f"models/{parts[1]}" in FLOORS else "models" if parts[1] == "__init__" else None
    return parts[0] if parts[0] in FLOORS else None


def module_name(package: Path, path: Path) -> str:
    """Dotted name of a file, "spatial_audio_lm.signal.mel"; a folder's __init__ has the folder's name."""
    return ".".join((package.name, *path.relative_to(package).with_suffix("").parts)).removesuffix(".__init__")


def imports(tree: ast.Module) -> Iterator[tuple[int, str, tuple[str, ...], bool]]:
    """All imports of a file as (line, module with its leading dots, imported names, whether inside a function)."""
    inside = {
        id(child)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.walk(function)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            yield node.lineno, "." * node.level + (node.module or ""), names, id(node) in inside
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, (), id(node) in inside


def room_of_module(package: Path, module: str) -> str | None:
    """Room of a dotted module name of the package; "" for the package itself, None for what is in no room."""
    parts = module.split(".")[1:]
    if not parts:
        return ""
    return room_of(Path(*parts)) if parts != ["models"] else "models"


def targets(package: Path, module: str, names: tuple[str, ...], modules: set[str]) -> list[str]:
    """Modules that an import statement reaches: `from a.b import c` reaches a.b.c where that is a module, else a.b."""
    found = [f"{module}.{name}" for name in names if f"{module}.{name}" in modules]
    return found if names and len(found) == len(names) else [*found, module]


def folder_problems(package: Path) -> Iterator[str]:
    """Folders and files whose place or name is not one of the house's."""
    for path in sorted(package.rglob("*")):
        relative = path.relative_to(package)
        if "__pycache__" in relative.parts:
            continue
        within_data = any(relative.is_relative_to(folder) for folder in DATA_FOLDERS)
        if path.is_dir():
            is_module = relative.parent.as_posix() == EVALUATE_MODULES
            if not within_data and not is_module and relative.as_posix() not in FLOORS.keys() | SUBFOLDERS:
                yield f"{relative}/: unknown folder; give it a floor in tests/test_architecture.py"
        elif path.suffix == ".py":
            if within_data:
                yield f"{relative}: code among checkpoints"
            elif room_of(relative) is None:
                yield f"{relative}: unknown file; give it a floor in tests/test_architecture.py"


def import_problems(package: Path) -> Iterator[str]:
    """Relative imports, imports upwards or sideways, foreign libraries outside their home, and cycles."""
    files = {module_name(package, path): path for path in sorted(package.rglob("*.py"))}
    graph: dict[str, set[str]] = {name: set() for name in files}
    for name, path in files.items():
        relative = path.relative_to(package)
        room = room_of(relative)
        floor = TOP if room == "" else FLOORS.get(room or "", TOP)
        for line, module, names, lazy in imports(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{relative}:{line}"
            library = module.split(".")[0]
            if module.startswith("."):
                yield f"{where}: relative import {module}; write the full path"
            elif library == package.name:
                for target in targets(package, module, names, set(files)):
                    other = room_of_module(package, target)
                    if target in graph and target != name:
                        graph[name].add(target)
                    ground = {room, other} <= {"errors", "files"}
                    if other == room or other == "models" or ground:
                        continue
                    if other is None:
                        yield f"{where}: imports {target}, which has no floor"
                    elif (room, other) in LAZY_ONLY:
                        if not lazy:
                            yield f"{where}: imports {target} at the top of the file; import it where it is used"
                    elif (TOP if other == "" else FLOORS[other]) >= floor:
                        yield f"{where}: {room} (floor {floor}) imports {target} (floor {FLOORS.get(other, TOP)})"
            elif library in HOME_OF and not any(
                relative.as_posix() == home or (home.endswith("/") and relative.as_posix().startswith(home))
                for home in HOME_OF[library]
            ):
                yield f"{where}: {library} is imported only in {' and '.join(HOME_OF[library]) or 'no file'}"
            of_evaluate = library == "evaluate" and relative.as_posix().startswith(f"{EVALUATE_MODULES}/")
            if library in OPTIONAL and not lazy and not of_evaluate:
                yield f"{where}: {library} is optional: import it in the function that needs it"
    for cycle in cycles(graph):
        yield "import cycle: " + " -> ".join(cycle)


def cycles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Each import cycle found by a depth-first walk, as the list of modules from start to start."""
    done: set[str] = set()

    def walk(module: str, trail: list[str]) -> Iterator[list[str]]:
        if module in trail:
            yield [*trail[trail.index(module) :], module]
        elif module not in done:
            for target in sorted(graph[module]):
                yield from walk(target, [*trail, module])
            done.add(module)

    for module in sorted(graph):
        yield from walk(module, [])


def angle_problems(package: Path) -> Iterator[str]:
    """Conversions between degrees and radians outside the page of conventions, written as a call or as pi / 180."""
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        if relative.as_posix() == HOME_OF_ANGLES:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found = None
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.attr in ANGLE_FUNCTIONS or (node.attr == "degrees" and node.value.id in MATHS):
                    found = f"{node.value.id}.{node.attr}"
            elif isinstance(node, ast.ImportFrom) and node.module in {"math", "numpy", "torch"}:
                found = next((a.name for a in node.names if a.name in ANGLE_FUNCTIONS | {"degrees"}), None)
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                sides = {ast.unparse(node.left).split(".")[-1], ast.unparse(node.right).split(".")[-1]}
                if "pi" in sides and sides & {"180", "0"} and "180" in ast.unparse(node):
                    found = ast.unparse(node)
            if found:
                yield f"{relative}:{node.lineno}: {found}; angles are converted in {HOME_OF_ANGLES} only"


def file_problems(root: Path) -> Iterator[str]:
    """Files that are too long, or whose name says nothing, in the package and in the folders beside it."""
    for folder in ("spatial_audio_lm", "recipes", "benchmarks", "tests"):
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root)
            lines = path.read_text(encoding="utf-8").count("\n")
            limit = MAX_LOOP_LINES if relative.as_posix() == "spatial_audio_lm/training/loop.py" else MAX_LINES
            if lines > limit:
                yield f"{relative}: {lines} lines, at most {limit}"
            if BANNED_NAMES & {part.removesuffix(".py") for part in relative.parts}:
                yield f"{relative}: a name that says nothing; name it after its one idea"


def problems(root: Path) -> list[str]:
    """Everything that breaks a rule of the house in a repository."""
    package = root / "spatial_audio_lm"
    return [*folder_problems(package), *import_problems(package), *angle_problems(package), *file_problems(root)]


def test_the_house_keeps_its_rules() -> None:
    found = problems(ROOT)
    assert not found, "\n".join(found)


PLANTED = [  # (file, its text, what the complaint says)
    ("acoustics/__init__.py", "", "unknown folder"),
    ("models/whale/__init__.py", "", "unknown folder"),
    ("signal/deep/__init__.py", "", "unknown folder"),
    ("speed.py", "", "unknown file"),
    ("models/tricks.py", "", "unknown file"),
    ("models/packaged/elsa-tiny/modeling.py", "", "code among checkpoints"),
    ("signal/extra.py", "from spatial_audio_lm.models.elsa import modeling_elsa\n", "signal (floor 1) imports"),
    ("signal/extra.py", "def f():\n    import spatial_audio_lm.cli.main\n", "imports spatial_audio_lm.cli.main"),
    ("features/extra.py", "from spatial_audio_lm.language import vocabulary\n", "features (floor 2) imports"),
    ("models/gram/extra.py", "from spatial_audio_lm.models.dspast import extra\n", "models/gram (floor 4) imports"),
    ("models/elsa/extra.py", "from spatial_audio_lm.models import checkpoints\n", "models/elsa (floor 5) imports"),
    ("models/checkpoints.py", "from spatial_audio_lm.models.elsa import modeling_elsa\n", "import it where it is used"),
    ("models/gram/extra.py", "from spatial_audio_lm.models import elsa\n", "imports spatial_audio_lm.models.elsa"),
    ("cli/extra.py", "import spatial_audio_lm\n", "cli (floor 9) imports spatial_audio_lm"),
    ("cli/extra.py", "from spatial_audio_lm.attic import box\n", "which has no floor"),
    ("signal/extra.py", "from .mel import mel_filters\n", "relative import"),
    ("signal/extra.py", "import pyroomacoustics as pra\n", "only in simulation/rirs.py"),
    ("simulation/rooms.py", "def f():\n    import pyroomacoustics\n", "only in simulation/rirs.py"),
    ("captions/extra.py", "def f():\n    from llama_cpp import Llama\n", "only in captions/rewriting.py"),
    ("captions/rewriting.py", "import llama_cpp\n", "llama_cpp is optional"),
    ("data/extra.py", "import soundfile as sf\n", "only in signal/sound_files.py"),
    ("pipelines/extra.py", "from matplotlib import pyplot\n", "only in viz/"),
    ("features/extra.py", "def f():\n    import torchaudio\n", "in no file"),
    ("hub/extra.py", "import gradio\n", "gradio is optional"),
    ("metrics/extra.py", "import evaluate\n", "evaluate is optional"),
    ("metrics/evaluate_modules/score/score.py", "import aac_metrics\n", "aac_metrics is optional"),
    ("metrics/evaluate_modules/score/deep/score.py", "", "unknown folder"),
    ("features/extra.py", "import torch\nx = torch.deg2rad(torch.ones(1))\n", "angles are converted in"),
    ("viz/extra.py", "import numpy as np\nx = np.degrees(1.0)\n", "angles are converted in"),
    ("viz/extra.py", "from math import radians\n", "angles are converted in"),
    ("viz/extra.py", "import math\nx = 45.0 * (math.pi / 180.0)\n", "angles are converted in"),
    ("signal/long.py", "# line\n" * (MAX_LINES + 1), "at most 500"),
    ("training/loop.py", "# line\n" * (MAX_LOOP_LINES + 1), "at most 200"),
    ("signal/utils.py", "", "says nothing"),
    ("signal/helpers.py", "", "says nothing"),
    ("signal/common.py", "", "says nothing"),
    ("signal/misc.py", "", "says nothing"),
]  # fmt: skip


@pytest.fixture
def small_house(tmp_path: Path) -> Path:
    """A repository that keeps every rule, with one module for most of the allowed ways to import."""
    allowed = {
        "__init__.py": "def f():\n    from spatial_audio_lm.pipelines import zero_shot\n",
        "errors.py": "import json\n",
        "files.py": "from spatial_audio_lm.errors import ConfigError\n",
        "signal/__init__.py": "",
        "signal/conventions.py": "import math\nx = math.radians(90.0)\ny = math.pi / 180\n",
        "signal/mel.py": "from spatial_audio_lm.signal import conventions\nfrom spatial_audio_lm import errors\n",
        "simulation/__init__.py": "",
        "simulation/rirs.py": "import pyroomacoustics\nimport numpy as np\nx = np.pi / 2\n",
        "viz/__init__.py": "",
        "viz/scenes.py": "from matplotlib import pyplot\nfrom spatial_audio_lm.models.elsa import modeling_elsa\n",
        "models/__init__.py": "",
        "models/elsa/__init__.py": "",
        "models/elsa/modeling_elsa.py": "import spatial_audio_lm.signal.mel\n",
        "models/checkpoints.py": "def f():\n    from spatial_audio_lm.models.elsa import modeling_elsa\n",
        "pipelines/__init__.py": "",
        "pipelines/zero_shot.py": "from spatial_audio_lm.models.checkpoints import f\n",
        "captions/rewriting.py": "def f():\n    import llama_cpp\n",
        "metrics/evaluate_modules/score/score.py": "import evaluate\n",
        "models/packaged/elsa-tiny/config.json": "{}",
    }
    for name, text in allowed.items():
        plant(tmp_path, name, text)
    return tmp_path


def plant(root: Path, name: str, text: str) -> None:
    """Write a file of the package."""
    path = root / "spatial_audio_lm" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_house_that_keeps_the_rules_passes(small_house: Path) -> None:
    assert problems(small_house) == []


@pytest.mark.parametrize(("name", "text", "complaint"), PLANTED, ids=[f"{p[0]}: {p[2]}" for p in PLANTED])
def test_a_planted_violation_is_found(small_house: Path, name: str, text: str, complaint: str) -> None:
    plant(small_house, name, text)
    assert any(complaint in problem for problem in problems(small_house)), problems(small_house)


def test_a_cycle_within_a_room_is_found(small_house: Path) -> None:
    plant(small_house, "signal/first.py", "from spatial_audio_lm.signal.second import b\n")
    plant(small_house, "signal/second.py", "def f():\n    from spatial_audio_lm.signal import third\n")
    plant(small_house, "signal/third.py", "from spatial_audio_lm.signal import first\n")
    assert [p for p in problems(small_house) if p.startswith("import cycle")] == [
        "import cycle: spatial_audio_lm.signal.first -> spatial_audio_lm.signal.second -> spatial_audio_lm.signal.third"
        " -> spatial_audio_lm.signal.first"
    ]
