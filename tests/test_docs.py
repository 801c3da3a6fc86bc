"""README and docs/ tell the truth: their code runs and prints what they say, their links and their tree are right.

A ```python block runs in the namespace of the blocks before it on the same page. A ```console block runs each line
that begins with "$ " in a shell. Both run in one empty folder a page. A ```text block right after one is what it
prints: words as they stand, numbers within a tolerance, since a retrained model or another processor moves them a
little. Commands that set up the repository itself (make, git clone, pip install) are checked against the Makefile and
pyproject.toml instead of run.
"""

import contextlib
import io
import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "spatial_audio_lm" / "models"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(MODELS.glob("*/README.md")),
    *sorted(MODELS.glob("packaged/*/README.md")),  # model cards
]
IDS = [page.relative_to(ROOT).as_posix() for page in PAGES]
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w])")
LANGUAGES = {"python", "console", "text", "yaml", "json", "bibtex", ""}
NOT_COMPARED = "..."  # a line of only dots stands for any lines


@dataclass
class Block:
    """A fenced block of a page."""

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in order."""
    found, opened = [], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is None and line.startswith("```"):
            opened = Block(line[3:].strip(), "", number)
        elif opened is not None and line.startswith("```"):
            found.append(opened)
            opened = None
        elif opened is not None:
            opened.text += line + "\n"
    assert opened is None, f"{page.name}:{opened.line if opened else 0}: block without an end"
    return found


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def assert_prints(expected: str, printed: str, where: str) -> None:
    """Compare line by line: words exactly, numbers to 0.03 or 3 percent; "..." skips lines."""
    lines = [line.rstrip() for line in printed.strip().splitlines()]
    position = 0
    skipping = False
    for line in (line.rstrip() for line in expected.strip().splitlines()):
        if line.strip() == NOT_COMPARED:
            skipping = True
            continue
        while skipping and position < len(lines) and not alike(line, lines[position]):
            position += 1
        assert position < len(lines), f"{where}: {line!r} was not printed\n{printed}"
        assert alike(line, lines[position]), f"{where}: expected {line!r}, printed {lines[position]!r}\n{printed}"
        position += 1
        skipping = False
    assert skipping or position == len(lines), f"{where}: also printed {lines[position:]}"


def alike(expected: str, printed: str) -> bool:
    """Whether two lines have the same words and nearly the same numbers, whatever their spaces and bars."""
    expected, printed = expected.replace("█", " "), printed.replace("█", " ")
    if NUMBER.sub("#", " ".join(expected.split())) != NUMBER.sub("#", " ".join(printed.split())):
        return False
    pairs = zip(NUMBER.findall(expected), NUMBER.findall(printed), strict=True)
    return all(float(b) == pytest.approx(float(a), rel=0.03, abs=0.03) for a, b in pairs)


def check_set_up(command: str) -> bool:
    """Whether a command sets up the repository; if so, that what it names exists."""
    words = command.split()
    if words[:2] == ["git", "clone"] or words[0] == "cd":
        return True
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"{command}: the Makefile has {targets}"
        return True
    if words[:2] == ["pip", "install"]:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        for extra in re.findall(r"\[([\w,]+)\]", command):
            assert set(extra.split(",")) <= project["optional-dependencies"].keys(), command
        for file in re.findall(r"-c (\S+)", command):
            assert (ROOT / file).is_file(), command
        return True
    return False


def run_console(text: str, folder: Path) -> str:
    """Run the "$ " lines of a block, as a user of the installed package would; what they print."""
    # The environment's own commands first, and the repository's files by their paths from its root.
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    printed = ""
    for command in re.findall(r"^\$ (.+?)(?<!\\)$", text, flags=re.MULTILINE | re.DOTALL):
        if check_set_up(command):
            continue
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        printed += done.stdout
    return printed


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_every_code_block_runs_and_prints_what_the_page_says(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("recipes", "benchmarks", "docs"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed: str | None = None
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        assert block.language in LANGUAGES, f"{where}: say what ```{block.language} is: one of {sorted(LANGUAGES)}"
        if block.language == "python":
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                exec(compile(block.text, where, "exec"), namespace)
            printed = output.getvalue()
        elif block.language == "console":
            assert block.text.startswith("$ "), f"{where}: commands begin with '$ '"
            printed = run_console(block.text, tmp_path)
        elif block.language == "text" and printed is not None:
            assert_prints(block.text, printed, where)
            printed = None


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name}: {target} is not there"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", prose(file), flags=re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{page.name}: no heading for {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for target in re.findall(r"\]\(([^)#\s]+\.md)", prose(page)):
            linked = (page.parent / target).resolve()
            if linked.is_file() and linked not in seen:
                waiting.append(linked)
    assert set(PAGES) <= seen


def tree_of_the_readme() -> dict[str, str]:
    """Paths of the README's annotated tree (folders end in "/") with what is said of each."""
    text = next(b.text for b in blocks(ROOT / "README.md") if b.text.startswith("README.md "))
    found, folders = {}, []
    for line in text.splitlines():
        match = re.match(r"^( *)(\S+)(?:\s{2,}(.*))?$", line)
        assert match is not None, line
        depth = len(match[1]) // 2
        folders = folders[:depth]
        found["".join(folders) + match[2]] = (match[3] or "").strip()
        if match[2].endswith("/"):
            folders.append(match[2])
    return found


def tracked() -> list[str]:
    """Files that git knows, or that it would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("not a git clone")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_the_tree_in_the_readme_is_the_tree() -> None:
    tree = tree_of_the_readme()
    for path, said in tree.items():
        there = (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()
        assert there, f"README's tree has {path}, the repository does not"
        assert said, f"README's tree says nothing about {path}"
    for name in tracked():
        parts = Path(name).parts
        if parts[0].startswith("."):
            continue
        top = parts[0] + ("/" if len(parts) > 1 else "")
        assert top in tree, f"README's tree misses {top}"
        if parts[0] == "spatial_audio_lm" and len(parts) > 2:
            assert f"spatial_audio_lm/{parts[1]}/" in tree, f"README's tree misses spatial_audio_lm/{parts[1]}/"


def test_figures_of_the_docs_are_drawn_by_code(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "figures.py"), str(tmp_path)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    drawn = {Path(line).name for line in done.stdout.splitlines()}
    assert drawn == {path.name for path in tmp_path.iterdir()}
    assert all((tmp_path / name).stat().st_size > 10_000 for name in drawn)
    assert drawn <= {path.name for path in (ROOT / "docs" / "images").iterdir()}


def test_one_version_everywhere() -> None:
    import spatial_audio_lm

    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert cited is not None
    assert cited[1] == spatial_audio_lm.__version__


def test_the_comparison_of_printed_answers_can_fail() -> None:
    assert_prints("a 0.93\n...\nz 1.0", "a 0.94\nb\nc\nz 1.01", "here")
    for expected, printed in [("a 0.93", "a 0.80"), ("a", "b"), ("a\nb", "a"), ("a", "a\nb"), ("-5.0 x", "5.0 x")]:
        with pytest.raises(AssertionError):
            assert_prints(expected, printed, "here")
