"""What the code of a test reaches through its helpers and fixtures: from this follows whether it is slow."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

TESTS = Path(__file__).parent

# Modules that start processes, train, decode or encode videos, trace networks, or show pages in a browser.
_SLOW = (
    "dfdc_lightning.demo",
    "dfdc_lightning.export",
    "dfdc_lightning.faces.build",
    "dfdc_lightning.video.frames",
    "av",
    "benchmarks",
    "lightning",
    "multiprocessing",
    "playwright",
    "subprocess",
)
_SLOW_FIXTURES = {"shared"}  # the real videos


def slow(test: pytest.Function) -> bool:
    """Whether a test trains, traces a network, reads or writes videos, shows a page or starts a process."""
    fixtures = test._fixtureinfo.name2fixturedefs
    reached = modules_of(test.function, *(each.func for several in fixtures.values() for each in several))
    below = tuple(f"{module}." for module in _SLOW)
    return bool(_SLOW_FIXTURES & set(fixtures)) or any(f"{name}.".startswith(below) for name in reached)


def modules_of(*functions: Any) -> set[str]:
    """The modules that functions use, themselves or through other functions and classes of the tests."""
    seen: set[Any] = set()
    return {name for function in functions for name in _reached(function, seen)}


def _reached(function: Any, seen: set[Any]) -> Iterator[str]:
    function = getattr(function, "__func__", function)
    if not isinstance(function, FunctionType) or function in seen:
        return
    seen.add(function)
    names, known = set(_names(function.__code__)), dict(function.__globals__)
    for name in names:
        if (TESTS / f"{name}.py").exists():  # imported inside the function
            known |= vars(import_module(name))
    for name in names:
        value = known.get(name)
        home = value.__name__ if isinstance(value, ModuleType) else str(getattr(value, "__module__", name))
        yield home
        if str(getattr(sys.modules.get(home), "__file__", "")).startswith(str(TESTS)):
            for member in vars(value).values() if isinstance(value, type) else [value]:
                yield from _reached(member, seen)


def _names(code: CodeType) -> Iterator[str]:
    """Yield every name that code looks up, also in the functions inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
