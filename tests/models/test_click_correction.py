"""What one more click does to an answer that is there."""

import torch

from mofa.models.click_correction import corrected


def box(left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    logits = torch.full((40, 60), -4.0)
    logits[top:bottom, left:right] = 4
    return logits


def test_a_click_that_says_nothing_new_changes_nothing() -> None:
    before, other_mind = box(10, 10, 30, 30), box(40, 0, 60, 40)
    assert torch.equal(corrected(before, other_mind, (20, 20), 1), before)
    assert torch.equal(corrected(before, other_mind, (35, 50), -1), before)


def test_a_click_beside_takes_off_what_is_there_and_leaves_the_rest() -> None:
    both, nothing = box(5, 10, 45, 20), torch.full((40, 60), -4.0)
    after = corrected(both, nothing, (15, 40), -1) > 0
    assert not after[15, 40]
    assert after[10:20, 5:24].all()
    assert not (after & (both <= 0)).any()


def test_a_click_on_what_is_missing_adds_only_what_hangs_together_with_it() -> None:
    before = box(5, 10, 20, 30)
    asked = torch.maximum(box(20, 10, 35, 30), box(45, 0, 60, 40))
    after = corrected(before, asked, (20, 25), 1) > 0
    assert after[10:30, 5:35].all()
    assert not after[:, 36:].any()


def test_a_click_that_the_network_does_not_follow_is_obeyed_about_itself() -> None:
    before = box(5, 10, 25, 30)
    added, taken = corrected(before, before, (20, 40), 1) > 0, corrected(before, before, (20, 21), -1) > 0
    assert added[20, 40]
    assert not added[20, 58]
    assert not taken[20, 21]
    assert taken[20, 8]
