"""Stage 2 as the paper has it: the sparse-to-dense network is tuned along with the adapter."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mofa.models.backbone import Backbone
from mofa.models.motion_adapter import MotionAdapter
from mofa.models.motion_encoder import make_motion_encoder
from mofa.models.sparse_to_dense import ConditionalMotionPropagation
from mofa.models.svd_xt import TOY, make_image_encoder, make_unet, make_vae
from mofa.models.tiny import TINY_ADAPTER, TINY_SPARSE_TO_DENSE
from mofa.training.adapters import AdapterObjective
from mofa.training.protocol import Draws, stack
from mofa.training.shown_motion import MotionSettings
from mofa.training.sources import SyntheticClips
from mofa.training.synthetic import SceneSettings
from mofa.weights.networks import files_in, load_sparse_to_dense


@pytest.mark.slow
def test_the_sparse_to_dense_network_learns_from_the_denoising_and_is_written_beside_the_adapter(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    sizes = replace(TOY, vae_layers=1)
    learner = AdapterObjective(
        Backbone(make_unet(sizes), make_vae(sizes), make_image_encoder(sizes)),
        make_motion_encoder("trajectory", TINY_ADAPTER),
        MotionAdapter(TINY_ADAPTER),
        MotionSettings("sparse"),
        sparse_to_dense=ConditionalMotionPropagation(TINY_SPARSE_TO_DENSE),
    )
    clip = stack([SyntheticClips(SceneSettings(height=64, width=64, num_frames=3)).build(0)[0]])
    optimiser = torch.optim.AdamW(learner.trained.values(), lr=1e-3)
    learner(clip, Draws(0, 0, 1, 0, 1)).per_example.mean().backward()
    tuned = {name: p for name, p in learner.trained.items() if name.startswith("sparse_to_dense.")}
    reached = [name for name, p in tuned.items() if p.grad is not None and p.grad.any()]
    assert len(reached) > len(tuned) / 2
    optimiser.step()
    learner.write(tmp_path / "checkpoint")
    written = load_sparse_to_dense(files_in(tmp_path / "checkpoint/sparse-to-dense")).state_dict()
    assert learner.sparse_to_dense is not None
    for name, value in learner.sparse_to_dense.state_dict().items():
        assert torch.equal(written[name], value), name
