"""The data and the objective by which the network learns what things are."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mofa.media.image import save_png, to_bytes
from mofa.models.things import LEVELS, Answers, ThingsNet
from mofa.training.protocol import stack
from mofa.training.things.composites import CutOut, compose, cut_out
from mofa.training.things.objective import correct, largest_error, losses, mask_loss
from mofa.training.things.pictures import GROUP, PART, THING, Labelled, ask, crop, read_labelled

SIZE = 64


def labelled() -> Labelled:
    """Two boxes of one kind that touch, and a head on the first."""
    masks = torch.zeros(3, SIZE, SIZE)
    masks[0, 16:48, 8:32] = 1
    masks[1, 16:48, 32:56] = 1
    masks[2, 16:28, 8:32] = 1
    return Labelled(
        torch.rand(3, SIZE, SIZE), masks, torch.tensor([False, False, True]), ("cow", "cow", "head")
    )


def test_a_click_asks_for_its_part_its_thing_and_its_group() -> None:
    known = labelled()
    seen = set()
    for seed in range(30):
        asked = ask(known, np.random.default_rng(seed), count=1, clicks=2)
        x, y = asked.positions[0, 0].round().int().tolist()
        inside = known.masks[:, min(y, 63), min(x, 63)] > 0.5
        if asked.weights[0, THING].max() == 0:
            assert not inside.any()
            assert asked.is_thing[0, 0] == 0
            continue
        own = known.masks[0 if inside[0] else 1][1::4, 1::4]
        assert torch.equal(asked.targets[0, THING] > 0.5, own > 0.5)
        assert torch.equal(asked.targets[0, GROUP] > 0.5, known.masks[:2].sum(0)[1::4, 1::4] > 0.5)
        assert (asked.weights[0, PART].max() > 0) == bool(inside[2])
        seen.add(tuple(inside.tolist()))
    assert len(seen) == 3


def test_crops_keep_masks_on_their_picture() -> None:
    known = labelled()
    bright = Labelled(known.masks[:1].expand(3, -1, -1).clone(), known.masks, known.is_part, known.family)
    for seed in range(5):
        seen = crop(bright, 48, np.random.default_rng(seed))
        assert (seen.picture[0] - seen.masks[0]).abs().max() < 1e-5


def test_composites_share_every_pixel_out_once() -> None:
    rng = np.random.default_rng(3)
    thing = CutOut(torch.rand(3, 40, 30), torch.ones(1, 40, 30), torch.ones(1, 40, 30))
    thing.parts[:, 20:] = 0
    for _ in range(5):
        made = compose([thing], [torch.rand(3, 90, 120)], SIZE, rng)
        wholes = made.masks[~made.is_part]
        assert made.picture.shape == (3, SIZE, SIZE)
        assert 0 <= made.picture.min() <= made.picture.max() <= 1
        assert wholes.sum(0).max() <= 1 + 1e-5
        assert len(wholes) == len(made.masks) - int(made.is_part.sum())


def test_things_cut_by_the_border_are_no_cut_outs() -> None:
    known = labelled()
    known.masks[1, :, 32:] = 1
    assert [cut.alpha.shape for cut in cut_out(known)] == [(1, 32, 24)]


def test_the_next_click_is_in_the_middle_of_the_largest_error() -> None:
    wanted = np.zeros((20, 20), dtype=bool)
    wanted[2:18, 2:10] = True
    found = wanted.copy()
    found[5:12, 3:10] = False
    known = np.ones_like(wanted)
    assert largest_error(found, wanted, known) == (6, 8, 1)
    assert largest_error(wanted, found, known) == (6, 8, -1)
    assert largest_error(wanted, wanted, known) is None


def test_corrections_are_added_where_the_answer_is_wrong() -> None:
    batch = stack([ask(labelled(), np.random.default_rng(s), 2, 3) for s in range(6)])
    nothing = torch.full(batch.targets[:, :, THING].shape, -5.0)
    prompts = correct(nothing, batch, np.random.default_rng(0))
    added = (prompts.signs - batch.signs)[..., -1]
    assert set(added.unique().tolist()) >= {0.0, 1.0}


def test_clicks_that_tell_nothing_new_are_true() -> None:
    batch = stack([ask(labelled(), np.random.default_rng(s), 2, 3) for s in range(12)])
    perfect = batch.targets[:, :, THING] * 10 - 5
    prompts = correct(perfect, batch, np.random.default_rng(0))
    places = ((prompts.positions[:, :, -1] - 1.5) / 4).long()
    signs = prompts.signs[:, :, -1]
    for b, k in signs.nonzero().tolist():
        x, y = places[b, k].tolist()
        assert (batch.targets[b, k, THING, y, x] > 0.5) == (signs[b, k] > 0)
    assert {1.0, -1.0} <= set(signs.unique().tolist())


def test_perfect_answers_cost_next_to_nothing() -> None:
    batch = stack([ask(labelled(), np.random.default_rng(s), 2, 3) for s in range(3)])
    sure = Answers((batch.targets * 2 - 1) * 20, torch.zeros(3, 2, 3), torch.zeros(3, 2))
    wrong = Answers(-sure.logits, sure.scores, sure.is_thing)
    assert mask_loss(sure, batch).max() < 0.01
    assert mask_loss(wrong, batch).mean() > 1


@pytest.mark.slow
def test_the_network_learns_one_picture_by_heart() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = ThingsNet()
    optimiser = torch.optim.AdamW(net.parameters(), 2e-3)
    known = labelled()
    history = []
    for _ in range(40):
        batch = stack([ask(known, rng, 3, 3) for _ in range(2)])
        loss = losses(net, batch, rng)
        optimiser.zero_grad()
        loss.total.mean().backward()
        optimiser.step()
        history.append(float(loss.masks.detach().mean()))
    assert np.mean(history[-8:]) < 0.6 * np.mean(history[:4])
    assert len(LEVELS) == 3


def test_masks_are_read_with_the_photos_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    mask = torch.zeros(3, 40, 60)
    mask[:, 10:30, 10:40] = 1
    save_png(tmp_path / "masks" / "a.png", to_bytes(mask))
    save_png(tmp_path / "photo.png", to_bytes(torch.rand(3, 80, 120)))
    entry = {"mask": "a.png", "name": "cow2", "kind": "whole", "file": "photo.png"}
    (tmp_path / "masks.json").write_text(json.dumps([entry, entry | {"file": "absent.png"}]))
    (read,) = read_labelled(tmp_path, [tmp_path], side=60)
    assert read.picture.shape == (3, 40, 60)
    assert read.family == ("cow",)
    assert read.masks[0, 20, 20] > 0.9
    assert read.masks[0, 35, 50] < 0.1


@pytest.mark.slow
def test_the_recipe_trains_on_what_is_there_and_writes_what_mofa_reads(tmp_path: Path) -> None:
    """Two steps on two of the photos that the masks belong to, here noise of their names."""
    from mofa.training.config import read_recipe
    from mofa.training.protocol import Draws

    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("erase_011.png", "held_out.png"):
        save_png(photos / name, to_bytes(torch.rand(3, 250, 260)))
    (photos / "erase_011.png").rename(photos / "erase_011.webp")
    recipe = read_recipe(
        "things",
        [
            f"data.photos=[{photos}]",
            f"data.stamps={tmp_path}/none",
            "data.held_out=[held]",
            "objective.imagenet=null",
            "data.size=64",
        ],
    )
    source = recipe.data.build(1)
    assert len(source.grounds) == 1
    objective = recipe.objective.build(torch.device("cpu"), torch.float32)
    batch = stack([source[n] for n in range(2)])
    torch.testing.assert_close(batch.picture[1], source[1].picture)
    loss = objective(batch, Draws(1, 0, 2, 0, 2))
    loss.per_example.mean().backward()
    assert all(p.grad is not None for name, p in objective.trained.items() if "encoder" in name)
    objective.write(tmp_path)
    net = ThingsNet()
    net.load_state_dict({k: v.float() for k, v in load_file(tmp_path / "things.safetensors").items()})
