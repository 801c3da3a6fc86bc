"""transformers' own common model tests, brought to a folder of the machine: they are not in its wheel.

Its source archive holds the test files of the top folder (Apache-2.0). What those import from deeper folders is left
out of the archive, and stands here as empty classes: of those, nothing is run.
"""

import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

PACKAGE = "transformers_tests"
_EMPTY = {
    "__init__.py": "",
    "exporters/test_export.py": "class ExportTesterMixin: ...\n",
    "generation/test_utils.py": "class GenerationTesterMixin: ...\n",
    "utils/test_configuration_utils.py": "config_common_kwargs = {}\n",
}


def fetch_transformers_tests(folder: Path) -> str | None:
    """Makes a package `transformers_tests` in a folder, of the installed version, and `parameterized` beside it.

    Returns:
        Why that was not possible, if there is no package index to be reached.
    """
    release = f"transformers=={version('transformers')}"
    commands = (
        ["download", "--no-deps", "--no-binary", "transformers", "--no-build-isolation", "-d", str(folder), release],
        ["install", "--no-deps", "--target", str(folder), "parameterized==0.9.0"],
    )
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "pip", *command], capture_output=True, text=True, timeout=600, check=False
        )
        if done.returncode != 0:
            return f"pip {command[0]} failed: {done.stderr.strip().splitlines()[-1:]}"
    archive = next(folder.glob("transformers-*.tar.gz"))
    package = folder / PACKAGE
    with tarfile.open(archive) as members:
        for member in members:
            path = Path(member.name)
            if member.isfile() and path.suffix == ".py" and path.parts[1:-1] == ("tests",):
                content = members.extractfile(member)
                assert content is not None
                package.mkdir(exist_ok=True)
                (package / path.name).write_bytes(content.read())
    for name, text in _EMPTY.items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    return None
