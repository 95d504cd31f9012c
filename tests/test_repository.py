"""What holds for the repository as a whole: nothing of one machine in it, no file too long, none untested."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 500

# Put together here, so that this file does not hold what it looks for.
INDEX_HOST = re.compile(
    "|".join([r"pypi\.(?:org|python)", "python" + "hosted", r"--(?:extra-)?index" + r"-url[ =]https"])
)
MACHINE_PATH = re.compile(r"(?<![\w.~}>-])/(?:" + "|".join(["work", "root", "Users", "home"]) + r")/\w")


def files() -> list[Path]:
    """What is, or would be, committed."""
    if shutil.which("git") and (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        return [path for name in listed.decode().split("\0") if name and (path := ROOT / name).is_file()]
    kept = ("svcmock", "protocols", "tests", "configs", "docs", "benchmarks")
    return [path for folder in kept for path in (ROOT / folder).rglob("*") if path.is_file()]


def modules() -> list[Path]:
    return [path for folder in ("svcmock", "protocols") for path in sorted((ROOT / folder).rglob("*.py"))]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in files():
        try:
            found.append((path.relative_to(ROOT), path.read_text("utf-8")))
        except UnicodeDecodeError:
            continue
    return found


def test_nothing_of_one_machine_is_in_a_file() -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if str(ROOT) in line or MACHINE_PATH.search(line) or INDEX_HOST.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ("see /" + "home/ann/project", True),
        ("https://pypi" + ".org/simple", True),
        ("GET /homework HTTP/1.1", False),
        ("src/" + "work/x", False),
    ],
)
def test_the_patterns_find_what_they_are_for(line: str, is_found: bool) -> None:
    assert bool(MACHINE_PATH.search(line) or INDEX_HOST.search(line)) is is_found


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def own_tests(module: Path) -> list[str]:
    """Where a module's own tests may stand: beside its name, or split into `test_<name>_<part>.py`."""
    parts = list(module.relative_to(ROOT).with_suffix("").parts)
    folder = ["protocols", *parts[2:-1]] if parts[0] == "protocols" else parts[1:-1]
    # A protocol's `__init__` is its plugin object.
    name = "plugin" if parts[-1] == "__init__" else parts[-1]
    where = ROOT.joinpath("tests", *folder)
    return [path.name for pattern in (f"test_{name}.py", f"test_{name}_*.py") for path in where.glob(pattern)]


def has_code(module: Path) -> bool:
    """More than a docstring, imports and plain constants."""
    body = ast.parse(module.read_text()).body
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in body)


def test_every_module_with_code_has_tests_of_its_own() -> None:
    untested = [
        str(path.relative_to(ROOT))
        for path in modules()
        if path.name != "__main__.py" and has_code(path) and not own_tests(path)
    ]
    assert untested == []


def test_every_requirement_is_pinned_and_names_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert [
        line
        for line in pins
        if not re.fullmatch(
            r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+(; python_version [<>=]+ \"3\.\d+\")?", line
        )
    ] == []


def test_ci_runs_make_ci_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    commands = [
        line for line in script.read_text().splitlines() if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec make ci"]


def test_under_ci_a_skipped_test_has_failed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makepyfile(
        test_sample="import pytest\n"
        "@pytest.mark.skip(reason='not here')\n"
        "def test_skipped(): pass\n"
        "@pytest.mark.xfail(strict=True)\n"
        "def test_expected(): assert False\n"
        "def test_passed(): pass\n",
        test_module="import pytest\npytest.importorskip('no_such_module')\n",
    )
    monkeypatch.delenv("CI", raising=False)
    pytester.runpytest_subprocess("-p", "no:xdist").assert_outcomes(passed=1, skipped=2, xfailed=1)
    monkeypatch.setenv("CI", "true")
    result = pytester.runpytest_subprocess("-p", "no:xdist", "--continue-on-collection-errors")
    result.assert_outcomes(passed=1, errors=2, xfailed=1)
    result.stdout.fnmatch_lines(["*skipped, and CI is set: Skipped: not here*"])
