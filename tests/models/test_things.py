"""The network that tells things apart: what must hold before it has learned anything."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mofa.models.things import LEVELS, Answers, Embedding, Prompts, ThingsNet, folded, start_from_imagenet
from mofa.models.things_in_picture import ThingsSense


@pytest.fixture(scope="module")
def net() -> ThingsNet:
    torch.manual_seed(0)
    return ThingsNet().eval().requires_grad_(False)


def one_question(points: list[tuple[float, float]], signs: list[float]) -> Prompts:
    return Prompts(torch.tensor([[points]]).float(), torch.tensor([[signs]]).float())


def test_order_and_empty_places_of_clicks_do_not_matter(net: ThingsNet) -> None:
    seen = net.embed(torch.rand(1, 3, 64, 96))
    plain = net.answer(seen, one_question([(20, 30), (70, 40)], [1, -1]))
    shuffled = net.answer(seen, one_question([(5, 5), (70, 40), (20, 30)], [0, -1, 1]))
    torch.testing.assert_close(plain.logits, shuffled.logits)
    torch.testing.assert_close(plain.scores, shuffled.scores)


def test_a_click_beside_the_thing_and_one_on_it_are_told_apart(net: ThingsNet) -> None:
    seen = net.embed(torch.rand(1, 3, 64, 96))
    on = net.answer(seen, one_question([(20, 30), (70, 40)], [1, 1]))
    beside = net.answer(seen, one_question([(20, 30), (70, 40)], [1, -1]))
    assert (on.logits - beside.logits).abs().max() > 1e-4


def test_answers_to_questions_do_not_depend_on_each_other(net: ThingsNet) -> None:
    seen = net.embed(torch.rand(1, 3, 64, 64))
    both = net.answer(seen, Prompts(torch.tensor([[[[9.0, 9.0]], [[40.0, 50.0]]]]), torch.ones(1, 2, 1)))
    alone = net.answer(seen, one_question([(40, 50)], [1]))
    torch.testing.assert_close(both.logits[:, 1:], alone.logits)


def test_a_picture_of_any_shape_is_asked_in_its_own_pixels(net: ThingsNet) -> None:
    picture = torch.rand(3, 75, 130)
    mirrored = ThingsSense(net, side=96)(picture.flip(-1)).ask(
        torch.tensor([[[109.0, 30]]]), torch.ones(1, 1)
    )
    look = ThingsSense(net, side=96)(picture)
    answer = look.ask(torch.tensor([[[20.0, 30]]]), torch.ones(1, 1))
    assert answer.logits.shape == mirrored.logits.shape == (1, len(LEVELS), 32, 48)
    assert look.whole.scale == (96 / 130, 64 / 75)
    assert 0 <= answer.is_thing.item() <= 1
    assert answer.scores.min() >= 0


def test_imagenet_weights_give_what_convolution_and_batch_norm_give() -> None:
    torch.manual_seed(1)
    net = ThingsNet()
    names = {"_conv_stem": "_bn0"}
    for n in range(15):
        names |= {f"_blocks.{n}._expand_conv": f"_blocks.{n}._bn0"} if n else {}
        names |= {f"_blocks.{n}._depthwise_conv": f"_blocks.{n}._bn1"}
        names |= {f"_blocks.{n}._project_conv": f"_blocks.{n}._bn2"}
    modules = [net.encoder.stem, *(layer for block in net.encoder.blocks for layer in block.children())]
    published, norms = {}, []
    for module, (convolution, norm) in zip(modules, names.items(), strict=True):
        weight = torch.randn_like(module.conv.weight) * 0.1
        bn = nn.BatchNorm2d(len(weight), eps=1e-3).eval()
        bn.load_state_dict(
            {
                "weight": torch.rand(len(weight)) + 0.5,
                "bias": torch.randn(len(weight)) * 0.1,
                "running_mean": torch.randn(len(weight)) * 0.1,
                "running_var": torch.rand(len(weight)) + 0.5,
                "num_batches_tracked": torch.tensor(1),
            }
        )
        published[f"{convolution}.weight"] = weight
        published |= {f"{norm}.{key}": value for key, value in bn.state_dict().items()}
        norms.append(bn)
    start_from_imagenet(net.encoder, published)
    picture = torch.randn(1, 3, 32, 32)
    expected = F.relu6(
        norms[0](F.conv2d(F.pad(picture, (0, 1, 0, 1)), published["_conv_stem.weight"], stride=2))
    )
    torch.testing.assert_close(net.encoder.stem(picture), expected, rtol=1e-4, atol=1e-4)


def test_a_small_thing_is_looked_at_again_closer(net: ThingsNet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies outside the closer window does not belong, and what is found there lies where it is."""
    look = ThingsSense(net, side=96)(torch.rand(3, 96, 192))
    answers = []

    def small_then_all(seen: Embedding, prompts: Prompts) -> Answers:
        logits = torch.full((1, 1, 3, *seen.fine.grid), -1.0)
        if answers:
            logits[..., 2:-2, 2:-2] = 1
        else:
            logits[..., 5:7, 4:6] = 1
        answers.append(prompts.positions)
        return Answers(logits, torch.zeros(1, 1, 3), torch.zeros(1, 1))

    monkeypatch.setattr(net, "answer", small_then_all)
    found = look.ask(torch.tensor([[[40.0, 48.0]]]), torch.ones(1, 1)).logits[0, 1] > 0
    assert len(answers) == 2
    rows, columns = found.nonzero().unbind(1)
    centre = torch.stack([columns, rows], 1).float().mean(0) * 192 / found.shape[1]
    assert (centre - torch.tensor([40.0, 48.0])).norm() < 12
    assert 0.01 < found.float().mean() < 0.2


def test_clicks_beside_the_thing_take_nothing_from_elsewhere(net: ThingsNet) -> None:
    look = ThingsSense(net, side=96)(torch.rand(3, 64, 96))
    on, beside = [30.0, 30.0], [70.0, 20.0]
    plain = look.ask(torch.tensor([[on]]), torch.ones(1, 1)).logits
    padded = look.ask(torch.tensor([[on, [0.0, 0.0]]]), torch.tensor([[1.0, 0.0]])).logits
    told = look.ask(torch.tensor([[on, beside]]), torch.tensor([[1.0, -1.0]])).logits
    assert torch.equal(plain, padded)
    assert not ((told > 0) & (plain <= 0)).any()


def test_clicks_close_to_each_other_share_one_closer_look(
    net: ThingsNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = ThingsSense(net, side=96)(torch.rand(3, 96, 192))

    def small(seen: Embedding, prompts: Prompts) -> Answers:
        logits = torch.full((1, 1, 3, *seen.fine.grid), -1.0)
        logits[..., 5:7, 4:6] = 1
        return Answers(logits, torch.zeros(1, 1, 3), torch.zeros(1, 1))

    monkeypatch.setattr(net, "answer", small)
    for x in (36.0, 40.0, 43.0):
        look.ask(torch.tensor([[[x, 48.0]]]), torch.ones(1, 1))
    assert len(look.windows) == 1


def test_a_question_asked_again_is_not_worked_out_again(
    net: ThingsNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = ThingsSense(net, side=96)(torch.rand(3, 96, 192))
    question = torch.tensor([[[40.0, 48.0]]]), torch.ones(1, 1)
    first = look.ask(*question)
    monkeypatch.setattr(net, "answer", None)
    assert torch.equal(look.ask(*question).logits, first.logits)
    with pytest.raises(TypeError):
        look.ask(question[0] + 1, question[1])


def test_a_folded_network_answers_alike_and_has_no_norms_left() -> None:
    torch.manual_seed(0)
    net = ThingsNet()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    net.eval()
    picture = torch.rand(1, 3, 64, 96) * 2 - 1
    prompts = Prompts(torch.tensor([[[[40.0, 30.0]]]]), torch.ones(1, 1, 1))
    with torch.no_grad():
        quick = folded(net)
        one, other = (each.answer(each.embed(picture), prompts).logits for each in (net, quick))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in quick.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in net.modules())
