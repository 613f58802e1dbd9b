"""Build the wheel and the sdist, and use them in new environments.

    python scripts/check_release.py python3.11 python3.12 python3.13

The sdist must build the same wheel. In an environment with everything, `pip check` must be content, a run is
trained, reported and diagnosed, and all versions agree. Where there is no CPU build of torch for an
interpreter, all else is installed and what needs no torch is used: the help, and report and diagnosis of a
run that was trained elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
RUN = REPOSITORY / "tests" / "folders_of_0_1" / "single"
CONSTRAINTS = REPOSITORY / "constraints.txt"
LEFT_OUT = "docs/lab/"  # of the sdist


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command far from the checkout; ends this script with all that it printed where it fails."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False, env=environment
    )
    if check and done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def built(source: Path, out: Path) -> tuple[Path, Path]:
    """The wheel and the sdist of a source tree; of an sdist the wheel alone is looked at."""
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source, cwd=out)
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def check_sdist(sdist: Path, wheel: Path, place: Path) -> str:
    """What is in it, and that it builds the same wheel; its version."""
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
        archive.extractall(place, filter="data")
    assert not [name for name in names if name.startswith(LEFT_OUT)], "the sdist holds what it should not"
    assert {"vanishgrad/cli/__init__.py", "conf/config.yaml", "tests/conftest.py"} <= set(names)
    (place / "again").mkdir()
    again, _ = built(next(place.glob("vanishgrad-*")), place / "again")
    assert contents(again) == contents(wheel), "the sdist builds another wheel"
    return wheel.name.split("-")[1]


def contents(wheel: Path) -> dict[str, int]:
    """The checksum of every file but the list of them."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            item.filename: item.CRC for item in archive.infolist() if not item.filename.endswith("RECORD")
        }


def environment(interpreter: str, place: Path) -> Path:
    """The Python of a new environment."""
    run(interpreter, "-m", "venv", place / "venv", cwd=place)
    return place / "venv" / "bin" / "python"


def check_wheel(python: Path, wheel: Path, version: str, place: Path) -> str:
    """Install the wheel and use it; what was found."""
    whole = has_cpu_torch(python, place)
    if whole:
        run(python, "-m", "pip", "install", "-q", "-c", CONSTRAINTS, wheel, cwd=place)
    else:
        names = [text for text in requirements() if not text.startswith("torch")]
        run(python, "-m", "pip", "install", "-q", "-c", CONSTRAINTS, *names, cwd=place)
        run(python, "-m", "pip", "install", "-q", "--no-deps", wheel, cwd=place)
    command = python.parent / "vanishgrad"
    assert run(command, "--version", cwd=place).stdout == f"vanishgrad {version}\n"
    shutil.copytree(RUN, place / "run")
    for words in (["train", "--help"], ["diagnose", "runs=run", "format=json"]):
        run(command, *words, cwd=place)
    run(python, "-c", "import vanishgrad.report as report; report.write_report(['run'], 'page')", cwd=place)
    if not whole:
        return "no CPU build of torch for it: help, report and diagnose work without"
    run(python, "-m", "pip", "check", cwd=place)
    run(command, "train", "depth=1", "max_steps=2", "hydra.run.dir=new", cwd=place)
    record = json.loads((place / "new" / "run.json").read_text())
    assert record["versions"]["vanishgrad"] == version
    run(command, "report", "runs=new", cwd=place)
    return "pip check, train, report and diagnose work"


def has_cpu_torch(python: Path, place: Path) -> bool:
    """Whether a build of the tested torch is to be had that brings no CUDA."""
    pinned = next(line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch=="))
    done = run(
        python, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "-d", place / "torch",
        f"{pinned}+cpu", cwd=place, check=False,
    )  # fmt: skip
    return done.returncode == 0


def requirements() -> list[str]:
    return list(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("interpreters", nargs="+", help="such as python3.12")
    wanted = parser.parse_args().interpreters
    with tempfile.TemporaryDirectory(prefix="release-") as name:
        place = Path(name)
        (place / "dist").mkdir()
        wheel, sdist = built(REPOSITORY, place / "dist")
        version = check_sdist(sdist, wheel, place)
        print(
            f"{wheel.name} {wheel.stat().st_size:,} bytes, {sdist.name} {sdist.stat().st_size:,} bytes",
            flush=True,
        )
        for interpreter in wanted:
            if shutil.which(interpreter) is None:
                print(f"{interpreter}: not on this machine", flush=True)
                continue
            own = place / interpreter
            own.mkdir()
            print(
                f"{interpreter}: {check_wheel(environment(interpreter, own), wheel, version, own)}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
