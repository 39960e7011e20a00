"""Imports point one way, from the command line down to the kernels."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "fields").rglob("*.py"))

# From the ground up; a module reaches none of a later line, however indirectly. Modules that are
# not named here lie between those that they import and those that import them.
LAYERS = [
    ["errors", "grid_levels"],
    ["configs", "pictures", "lens"],
    ["cameras"],
    ["shapes"],
    ["scenes"],
    ["catalogue", "extension"],
    ["ops"],
    ["encodings", "mlp"],
    ["models", "signals"],
    ["fresh", "steps", "loop"],
    ["session"],
    ["fitting"],
    ["bench"],
    ["cli"],
]
TORCH_FREE = ["errors", "grid_levels", "configs", "catalogue", "pictures", "fresh.options",
              "shapes.read", "shapes.volume", "shapes.write",
              "lens", "cameras", "scenes"]  # fmt: skip


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def is_for_types_only(node):
    test = node.test if isinstance(node, ast.If) else None
    name = getattr(test, "id", getattr(test, "attr", None))
    return name == "TYPE_CHECKING"


def statements(tree, *, inside_functions):
    """Import statements, those for type checkers left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif is_for_types_only(node):
            continue
        elif inside_functions or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from statements(node, inside_functions=inside_functions)


@cache
def imported(module, inside_functions=True):
    """Full names of what a module imports, submodules told apart from attributes."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found = set()
    for node in statements(tree, inside_functions=inside_functions):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        assert node.level == 0, f"{module} has a relative import"
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            found.add(full if full in MODULES else node.module)
    return found


def reachable(module):
    """Every module of ours that importing `module`, or calling what it holds, can import."""
    seen, waiting = set(), [module]
    while waiting:
        for name in imported(waiting.pop()) & MODULES.keys() - seen:
            if name != "fields":  # its exports are lazy
                seen.add(name)
                waiting.append(name)
    return seen


def belongs(module, group):
    return module == f"fields.{group}" or module.startswith(f"fields.{group}.")


def members(group):
    return [module for module in MODULES if belongs(module, group)]


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {"fields"}))
def test_a_module_does_not_reach_itself(module):
    assert module not in reachable(module)


@pytest.mark.parametrize("height", range(len(LAYERS)), ids=lambda i: "+".join(LAYERS[i]))
def test_a_layer_reaches_no_higher_one(height):
    higher = [group for layer in LAYERS[height + 1 :] for group in layer]
    for group in LAYERS[height]:
        for module in members(group):
            up = [n for n in reachable(module) for g in higher if belongs(n, g)]
            assert not up, f"{module} reaches {', '.join(sorted(up))}"


def test_fields_know_no_task_and_signals_no_model():
    for group, others in {"models": ["signals"], "encodings": ["signals"], "mlp": ["signals"],
                          "signals": ["models", "encodings", "mlp"]}.items():  # fmt: skip
        for module in members(group):
            wrong = [n for n in reachable(module) for other in others if belongs(n, other)]
            assert not wrong, f"{module} reaches {', '.join(wrong)}"


def test_ops_is_the_only_user_of_torch_ops_and_loads_the_extension():
    for module, path in MODULES.items():
        text = path.read_text(encoding="utf-8")
        if not belongs(module, "ops"):
            assert "torch.ops.fields" not in text, module
        if "fields.extension" in imported(module):
            # Others may ask which kernels are active, and say so.
            asks = module == "fields.device" or belongs(module, "cli")
            assert asks or belongs(module, "ops"), module


def test_what_needs_no_torch_does_not_import_it():
    for group in TORCH_FREE:
        for module in members(group):
            for name in {module, *reachable(module)}:
                assert not {i for i in imported(name) if i.split(".")[0] == "torch"}, name


@pytest.mark.parametrize(
    "statement", ["import fields", "import fields.cli", "import fields.cli as c"]
)
def test_importing_the_command_line_loads_nothing_heavy(statement):
    if "fields.cli" not in MODULES and "cli" in statement:
        pytest.skip("there is no command line yet")
    heavy = ["torch", "numpy", "PIL", "skimage", "matplotlib", "rich"]
    code = f"{statement}; import sys; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_only_the_command_line_and_run_view_reach_for_scenes_and_viewer():
    for module in MODULES:
        extra = {
            i for i in imported(module) if i.split(".")[0] in ("fields_scenes", "fields_viewer")
        }
        opens = module == "fields.runs.run"  # run.view(), which a notebook wants
        assert not extra or belongs(module, "cli") or opens, module
        assert not extra & imported(module, inside_functions=False), module
