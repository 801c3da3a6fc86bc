"""What every test starts from: no network, one thread, no display, and `--data DIR` for real recordings."""

import os
from pathlib import Path

# Before torch, transformers or matplotlib are imported by any test.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["MPLBACKEND"] = "Agg"
for _threads in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_threads] = "1"

import pytest  # noqa: E402
import torch  # noqa: E402

ROOT = Path(__file__).parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--data DIR`: recordings that the repository does not carry."""
    parser.addoption("--data", type=Path, metavar="DIR", help="folder of real recordings, for the tests that need them")


def pytest_configure(config: pytest.Config) -> None:
    """Keep torch to one thread: tests run side by side, and sums in another order differ in the last bit."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """Folder given by `--data`; a test that asks for it is skipped without one."""
    folder = request.config.getoption("--data")
    if folder is None:
        pytest.skip("needs real recordings: pytest --data DIR")
    if not folder.is_dir():
        pytest.fail(f"--data {folder} is not a folder")
    return folder


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the repository."""
    return ROOT
