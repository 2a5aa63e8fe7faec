"""`make check` leaves out what trains, reads videos or starts a process, however deep a helper does it."""

import subprocess

from reach import modules_of


class Helper:
    def start(self) -> None:
        subprocess.run(["true"])


def through_a_class() -> None:
    Helper().start()


def through_a_function_inside() -> None:
    def inner() -> None:
        through_a_class()

    inner()


def through_an_import_inside() -> None:
    from sweeping import toy

    toy()  # type: ignore[call-arg]


def test_a_process_is_found_behind_helpers() -> None:
    for function in (through_a_class, through_a_function_inside, through_an_import_inside):
        assert "subprocess" in modules_of(function), function.__name__


def test_fixtures_count_as_code_of_the_test() -> None:
    from conftest import forgeries, tiny_cache

    assert any(name.startswith("dfdc_lightning.demo") for name in modules_of(forgeries.__wrapped__))
    assert not any(name.startswith("dfdc_lightning.demo") for name in modules_of(tiny_cache.__wrapped__))
