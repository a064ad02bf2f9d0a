"""What a command loads is not looked through for garbage."""

import gc
import subprocess
import sys

import pytest

from mofa.apps.quick_start import quick_start


def test_garbage_is_left_alone_inside_and_collected_again_after() -> None:
    assert gc.isenabled()
    with quick_start():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_was_made_inside_is_not_looked_through_again() -> None:
    with quick_start():
        made: list[list[int]] = [[] for _ in range(1000)]
    try:
        assert gc.get_freeze_count() >= len(made)
    finally:
        gc.unfreeze()


def test_an_import_that_fails_leaves_the_collector_as_it_was() -> None:
    with pytest.raises(ImportError), quick_start():
        raise ImportError("no such module")
    assert gc.isenabled()


def test_a_collector_that_was_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with quick_start():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.slow
def test_a_warp_clip_waits_for_no_library_of_diffusion_models() -> None:
    names = "{'diffusers', 'transformers'}"
    asked = f"import sys, mofa.pipeline.outputs; print(*sorted({names} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
