"""The house rules that a reader relies on, read off the source."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "splatworld"
LAYERS = (
    ("core",),
    (
        *("files", "documents", "world_json", "body_tensors", "ply", "store", "episodes", "node_episodes"),
        *("recordings", "unfinished", "pictures"),
    ),
    ("native",),
    ("render",),
    ("geometry",),
    ("capture",),
    ("reconstruct",),
    ("bodies",),
    ("robot",),
    ("simulate",),
    ("dynamics",),
    ("plan",),
    ("evaluate",),
    ("viewer",),
    ("cli",),
)
"""From the bottom up; imports point downward, or sideways within a layer."""
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
FORBIDDEN = {
    ("reconstruct", "dynamics"): "they meet in World",
    ("dynamics", "reconstruct"): "they meet in World",
    ("dynamics", "simulate"): "the oracle must not leak into what it judges",
    ("plan", "simulate"): "the oracle must not leak into what it judges",
    ("plan", "dynamics"): "plan takes dynamics as a callable",
}
MODULES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "viewer").rglob("*.py")])


def dotted(path: Path) -> tuple[str, ...]:
    """The parts of a module's name below `splatworld`."""
    relative = path.relative_to(PACKAGE) if path.is_relative_to(PACKAGE) else path.relative_to(ROOT)
    parts = relative.with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def imports(path: Path) -> list[tuple[str, ...]]:
    """Every import of `path` as parts of a dotted name, relative ones resolved."""
    home = ("splatworld", *dotted(path))
    package = home if path.name == "__init__.py" else home[:-1]
    found: list[tuple[str, ...]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) + 1 - node.level] if node.level else ()
            name = (*base, *(node.module or "").split(".")) if node.module else base
            # `from splatworld import store` names a module; of other packages the first part is enough.
            found += [(*name, alias.name) for alias in node.names] if name == ("splatworld",) else [name]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downward(path):
    here = dotted(path)
    if not here:
        return
    layer = here[0]
    assert layer in HEIGHT, f"{layer} has no place in LAYERS"
    for name in imports(path):
        if name[0] != "splatworld":
            continue
        assert len(name) > 1, f"{path} imports the root"
        assert name[1] in HEIGHT, f"{path} imports {'.'.join(name)}, which is the root's re-export, not its home"
        assert HEIGHT[name[1]] <= HEIGHT[layer], f"{path} imports upward: {'.'.join(name)}"
        assert (layer, name[1]) not in FORBIDDEN, f"{path} imports {name[1]}: {FORBIDDEN.get((layer, name[1]))}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=lambda path: path.name)
def test_core_needs_torch_and_numpy_only(path):
    allowed = {"torch", "numpy", "splatworld", *sys.stdlib_module_names}
    assert {name[0] for name in imports(path)} <= allowed


def test_the_rasterizer_and_its_tests_need_only_torch():
    """So that they run on a machine with a GPU and little else."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    others = {re.split(r"[<>=!~ ]", name)[0] for name in project["dependencies"]} - {"torch", "numpy"}
    modules = {"opencv-python-headless": "cv2", "PyYAML": "yaml"}
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({sorted(modules.get(o, o) for o in others)!r})); import pytest; "
        "sys.exit(pytest.main(['-q', '--collect-only', 'tests/core', 'tests/render', 'tests/native']))"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def test_the_root_is_light_and_finds_its_names():
    script = (
        "import sys, splatworld; assert not {'torch', 'numpy', 'cv2', 'pycolmap'} & set(sys.modules); "
        "assert splatworld.InputError and splatworld.load_world and 'torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_every_re_export_has_a_home():
    import splatworld

    assert sorted(splatworld._HOMES) == splatworld.__all__
    for name, home in splatworld._HOMES.items():
        source = PACKAGE.joinpath(*home.split(".")).with_suffix(".py")
        assert source.exists(), f"{name}: {source} is missing"
    with pytest.raises(AttributeError, match="it offers Camera"):
        _ = splatworld.Kamera


def test_files_stay_readable():
    sources = [p for folder in ("splatworld", "viewer", "cuda", "tests") for p in (ROOT / folder).rglob("*.*")]
    for path in sources:
        if path.suffix in {".py", ".cpp", ".cu", ".h"}:
            count = len(path.read_text().splitlines())
            assert count <= 500, f"{path} has {count} lines; split it"
        assert path.stem not in {"utils", "util", "helpers", "misc"}, f"{path} says nothing by its name"


def test_versions_agree():
    import tomllib

    import splatworld

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == splatworld.__version__


def test_every_direct_dependency_is_pinned():
    import tomllib

    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*document["build-system"]["requires"], *document["project"]["dependencies"]]
    for extra in document["project"]["optional-dependencies"].values():
        wanted += extra
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    assert {re.split(r"[<>=!~ ]", name)[0] for name in wanted} <= pinned
