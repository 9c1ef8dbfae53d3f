"""The house has floors: a room imports lower ones only."""

import ast
from pathlib import Path

import pytest

import diffrec_cli

ROOT = Path(diffrec_cli.__file__).parent

#: Lowest floor first; rooms on the same floor do not import each other.
FLOORS = [
    {"errors", "shapes", "visible"},
    {"paths", "launch"},
    {"system_errors", "holds"},
    {"files", "config", "memory"},
    {"catalogue", "data", "transactions"},
    {"diffusion", "graph"},
    {"models"},
    {"ranking"},
    {"training", "evaluation", "registry"},
    {"workflows"},
    {"reporting"},
    {"cli"},
    {"__main__"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(p for p in ROOT.rglob("*.py") if p != ROOT / "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return the absolute names that a module imports anywhere, types-only imports included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_rooms(path: Path) -> set[str]:
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("diffrec_cli.")}
    return ours & set(FLOOR)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_lower_rooms_only(path: Path) -> None:
    room = room_of(path)
    for other in own_rooms(path) - {room}:
        assert FLOOR[other] < FLOOR[room], f"{room} imports {other}"


def users_of(package: str) -> set[str]:
    return {
        room_of(path)
        for path in MODULES
        if any(name.split(".")[0] == package for name in imports(path))
    }


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_only_the_command_line_knows_the_terminal(package: str) -> None:
    assert users_of(package) == {"cli"}


#: What a command may import besides the command line's own room.
OF_COMMANDS = {"cli", "workflows", "reporting", "catalogue", "config", "paths", "errors"}
OF_COMMANDS |= {"transactions"}  # what a kill left is finished before any command
OF_COMMANDS |= {"launch", "system_errors"}  # how the program was started, and what it may not do
COMMANDS = sorted(p for p in (ROOT / "cli").glob("*.py") if not p.name.startswith("_"))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.stem)
def test_a_command_parses_calls_one_workflow_and_renders(path: Path) -> None:
    assert own_rooms(path) <= OF_COMMANDS
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef):
            assert most_workflows(node.body) <= 1, f"{path.name}: {node.name}"


def most_workflows(body: list[ast.stmt]) -> int:
    """Return how many workflows are called on the way through a body that calls most of them."""
    on_the_way, most = 0, 0
    for statement in body:
        calls = sum(map(is_workflow_call, ast.walk(statement)))
        if isinstance(statement, ast.If) and isinstance(statement.body[-1], ast.Return):
            most = max(most, on_the_way + calls)  # a way of its own
        else:
            on_the_way += calls
    return max(most, on_the_way)


def is_workflow_call(node: ast.AST) -> bool:
    function = node.func if isinstance(node, ast.Call) else None
    return isinstance(function, ast.Attribute) and ast.unparse(function.value) == "workflows"


def imported_modules(path: Path) -> set[str]:
    """Return our modules that a module imports when it is imported itself."""
    names = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & set(NAMES)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path): path for path in MODULES}


def test_no_module_imports_itself_by_way_of_others() -> None:
    imported = {name: imported_modules(path) - {name} for name, path in NAMES.items()}
    # A package's own modules import it without needing what it imports.
    for name, others in imported.items():
        others -= {other for other in others if name.startswith(f"{other}.")}
    done: set[str] = set()
    while ready := {name for name in imported if name not in done and imported[name] <= done}:
        done |= ready
    assert done == set(imported), f"in a circle, or behind one: {sorted(set(imported) - done)}"


def test_data_and_registry_know_no_torch() -> None:
    assert not users_of("torch") & {"data", "registry", "cli", "config", "catalogue", "files"}


def test_nothing_unpickles_or_evaluates() -> None:
    assert not users_of("pickle") | users_of("joblib") | users_of("marshal")
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("eval", "exec"), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                loads = (node.func.attr, ast.unparse(node.func.value))
                assert loads != ("load", "torch"), path
                if loads == ("load", "np"):
                    safe = [k for k in node.keywords if k.arg == "allow_pickle"]
                    assert safe, f"{path}:{node.lineno}: np.load without allow_pickle=False"
