"""A scene survives YAML and JSON, and what is wrong in one is said in one sentence."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import mofa.control.timing  # noqa: F401  imported before hypothesis draws: torch seeds `random`
from mofa.errors import InputError
from mofa.pipeline.request import (
    AnimationRequest,
    CameraControl,
    LandmarkControl,
    MaskRegion,
    Outputs,
    ReferenceControl,
    SelectedRegion,
    TrackControl,
    json_schema,
)
from mofa.renderers.diffusion.settings import PRESETS, SvdSettings

numbers = st.floats(2, 5000).map(lambda x: round(x, 3))
coordinates = numbers | st.integers(0, 100).map(lambda p: f"{p}%")
points = st.tuples(coordinates, coordinates)
names = st.from_regex(r"[a-z]{1,8}\.(png|npy)", fullmatch=True).map(Path)
regions = st.none() | st.builds(MaskRegion, mask=names) | st.builds(SelectedRegion, select=points)
eases = st.sampled_from(["linear", "in", "out", "in-out", ((0.0, 0.0), (0.4, 0.9), (1.0, 1.0))])
common = {
    "strength": st.floats(-2, 2).map(lambda x: round(x, 3)),
    "region": regions,
    "ease": eases,
    "start": st.integers(0, 4),
    "end": st.none() | st.integers(5, 9),
    "there_and_back": st.booleans(),
}
controls = st.one_of(
    st.builds(TrackControl, points=st.lists(points, min_size=1, max_size=5).map(tuple), **common),
    st.builds(TrackControl, file=names, **common),
    st.builds(CameraControl, move=st.just("pan right 40 px, zoom 1.1"), **common),
    st.builds(ReferenceControl, video=names, **common),
    st.builds(
        LandmarkControl,
        speech=names,
        face=st.integers(1, 9) | points,
        driver=st.sampled_from(["signal", "aniportrait", "sadtalker"]),
        mouth=st.floats(0, 3).map(lambda x: round(x, 3)),
        absolute=st.booleans(),
        region=regions,
    ),
    st.builds(LandmarkControl, file=names, landmarks=st.none() | names),
)
requests = st.builds(
    AnimationRequest,
    picture=names,
    size=st.none() | st.tuples(st.integers(16, 2000), st.integers(16, 2000)),
    fit=st.sampled_from(["crop", "pad"]),
    frames=st.integers(10, 200),
    fps=st.floats(1, 60),
    seed=st.integers(0, 2**40),
    renderer=st.sampled_from([None, "warp", "diffusion"]),
    loop=st.booleans(),
    region=regions,
    controls=st.lists(controls, min_size=1, max_size=4).map(tuple),
    outputs=st.builds(Outputs, clip=names, extras=st.just(("flow", "sheet"))),
)


@pytest.mark.slow
@given(requests)
@settings(max_examples=60)
def test_a_scene_survives_yaml_and_json(request):
    assert AnimationRequest.from_text(request.to_yaml()) == request
    assert AnimationRequest.from_text(request.to_json()) == request


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda b: b.decode("latin-1")))
@settings(max_examples=150)
def test_any_text_is_a_scene_or_one_sentence(text):
    try:
        AnimationRequest.from_text(text)
    except InputError as error:
        assert "\n\n" not in str(error)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.sampled_from(["size", "fit", "frames", "fps", "region", "controls", "outputs", "picture", "x"]), junk
)
@settings(max_examples=200)
def test_any_value_in_any_place_is_taken_or_refused_in_words(key, value):
    scene = {"picture": "a.jpg", "controls": [{"kind": "track", "points": "1,2"}]} | {key: value}
    try:
        AnimationRequest.from_data(scene)
    except InputError as error:
        assert str(error).startswith("scene: ")


@given(junk)
@settings(max_examples=100)
def test_any_control_is_taken_or_refused_in_words(value):
    for control in (
        value,
        {"kind": "track", "points": value},
        {"kind": "track", "points": "1,2", "ease": value},
    ):
        try:
            AnimationRequest.from_data({"picture": "a.jpg", "controls": [control]})
        except InputError as error:
            assert str(error).startswith("scene: ")


TRACK = "{kind: track, points: '1,2 3,4'}"


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        ("'cont[[[[': 1\npicture: a\ncontrols: [" + TRACK + "]", '"cont[[[[" is not a known key'),
        ("pictur: a\ncontrols: [" + TRACK + "]", '"pictur" is not a known key: did you mean "picture"?'),
        ("picture: a\ncontrols: [{kind: track, pionts: '1,2'}]", 'did you mean "points"?'),
        ("picture: a\ncontrols: [{kind: track, points: '1,2', region: {maks: a}}]", 'did you mean "mask"?'),
        ("picture: a\noutputs: {extra: [flow]}\ncontrols: [" + TRACK + "]", 'did you mean "extras"?'),
        ("picture: a\ncontrols: [{kind: trak, points: '1,2'}]", 'did you mean "track"?'),
        ("picture: a\ncontrols: []", "nothing is asked to move"),
        ("picture: a\ncontrols: [{kind: track, points: ''}]", "no points"),
        ("picture: a\ncontrols: [{kind: track, points: '1,nan'}]", "not a finite number"),
        ("picture: a\ncontrols: [{kind: track, points: '1,2', ease: swing}]", 'easing "swing" is unknown'),
        ("picture: a\ncontrols: [{kind: track, points: '1,2', start: 5, end: 3}]", "end frame 3"),
        ("picture: a\nsize: -3x40\ncontrols: [" + TRACK + "]", "size -3x40 cannot be made"),
        ("picture: a\nframes: 1\ncontrols: [" + TRACK + "]", "frames"),
        ("picture: a\nframes: 9\ncontrols: [{kind: track, points: '1,2', end: 9}]", "frames 0..8"),
        ("picture: &a x\ncontrols: *a", "aliases are not used"),
        ("picture: a\n  controls: [", "line 2"),
    ],
)
def test_what_is_wrong_is_named(scene, says):
    with pytest.raises(InputError) as caught:
        AnimationRequest.from_text(scene)
    assert says in str(caught.value)


def test_paths_start_from_the_scene_file_and_are_named_from_where_it_lies(tmp_path):
    (tmp_path / "scene.yaml").write_text(f"picture: photos/a.jpg\ncontrols: [{TRACK}]")
    request = AnimationRequest.from_file(tmp_path / "scene.yaml")
    assert request.picture == tmp_path / "photos/a.jpg"
    assert request.beside(tmp_path).picture == Path("photos/a.jpg")
    assert request.beside(tmp_path / "elsewhere").picture == (tmp_path / "photos/a.jpg").resolve()


def test_the_published_schema_is_the_one_the_code_checks():
    published = Path(__file__).parents[2] / "docs" / "scene.schema.json"
    assert json.loads(published.read_text(encoding="utf-8")) == json_schema(), "run `make schema`"


def test_every_key_has_its_help_in_the_schema():
    schema = json_schema()
    for model in (schema, *schema["$defs"].values()):
        for name, field in model.get("properties", {}).items():
            assert name == "kind" or "$ref" in field or field.get("description"), name


def test_no_yaml_type_reaches_beyond_plain_data():
    with pytest.raises(InputError):
        AnimationRequest.from_text("!!python/object/apply:os.system ['true']")
    assert yaml.safe_load(AnimationRequest.from_text(f"picture: a\ncontrols: [{TRACK}]").to_yaml())


def test_fractions_are_refused_with_the_percent_that_they_mean():
    track = {"kind": "track", "points": "0.65,0.5 0.8,0.4"}
    with pytest.raises(InputError, match="65%,50%"):
        AnimationRequest.from_data({"picture": "a.png", "controls": [track]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!int ''", "not valid YAML"),
        ("a: !!float ''", "not valid YAML"),
        ("a: !!bool ''", "not valid YAML"),
        ("a: " + "9" * 4400, "not valid YAML"),
        ("[" * 3000, "nest"),
        ("a: &x 1\nb: *x", "aliases"),
        ("{" + '"a": 1,' * 300_000, "too long"),
        ('{"picture": "a.png", "size": "' + "x" * 5000 + '"}', "is no size"),
    ],
)
def test_hostile_scenes_get_one_short_sentence(text, words):
    with pytest.raises(InputError, match=words) as refusal:
        AnimationRequest.from_text(text)
    assert len(str(refusal.value)) < 800


@pytest.mark.slow
def test_a_scene_has_a_bounded_number_of_controls_and_points():
    one = {"kind": "track", "points": [[5, 5]]}
    with pytest.raises(InputError, match="200 are the most"):
        AnimationRequest.from_data({"picture": "a.png", "controls": [one] * 201})
    with pytest.raises(InputError, match="200 are the most"):  # counted before any of them is looked at
        AnimationRequest.from_data({"picture": "a.png", "controls": [{}] * 201})
    many = {"kind": "track", "points": [[5, 5]] * 50_001}
    with pytest.raises(InputError, match="100000 are the most"):
        AnimationRequest.from_data({"picture": "a.png", "controls": [many] * 2})


CAMERA = {"kind": "camera", "move": "zoom 1.1"}
SCENE = 'picture: käse.png\r\ncontrols:\r\n  - kind: track\r\n    points: "10,10"\r\n'


@pytest.mark.parametrize("mark", [b"", b"\xff\xfe"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_scenes_may_be_in_any_unicode_of_windows_editors(tmp_path, encoding, mark):
    content = SCENE.encode(encoding)
    (tmp_path / "scene.yaml").write_bytes(mark + content if encoding == "utf-16-le" else content)
    assert AnimationRequest.from_file(tmp_path / "scene.yaml").picture == tmp_path / "käse.png"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (SCENE.encode("latin-1"), "seems, Latin-1 (Windows-1252), from line 1 on: save it as UTF-8"),
        (("# a\n\n# \u201cnaïve\u201d\n" + SCENE).encode("cp1252"), "Latin-1 (Windows-1252), from line 3 on"),
        ("# 照片\npicture: a.png\n".encode("gbk"), "seems, GBK or another East Asian one, from line 1 on"),
        ("# Фото здесь\n".encode("cp1251"), "seems, Windows-1251 or another one of eight bits"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff", "it is not text: a scene is YAML or JSON"),
        (SCENE.encode("utf-16")[:-1], "it is not text"),
    ],
)
def test_a_scene_in_another_encoding_is_told_which_it_seems_to_be(tmp_path, content, words):
    (tmp_path / "scene.yaml").write_bytes(content)
    with pytest.raises(InputError) as refused:
        AnimationRequest.from_file(tmp_path / "scene.yaml")
    assert words in str(refused.value)
    assert str(tmp_path / "scene.yaml") in str(refused.value)


@pytest.mark.parametrize("path", [r"C:\Users\me\a.jpg", r"C:\temp\a.jpg", r"D:\xrays\a.jpg", r"\names\a.jpg"])
@pytest.mark.parametrize("form", ['picture: "{}"\ncontrols: []', '{{"picture": "{}", "controls": []}}'])
def test_backslashes_in_double_quotes_get_the_advice(path, form):
    with pytest.raises(InputError, match=r"path with / .*in single quotes"):
        AnimationRequest.from_text(form.format(path))


@pytest.mark.skipif(os.sep == "\\", reason="there they are how paths are written")
def test_paths_of_windows_lead_where_they_mean(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / r"odd\name.jpg").touch()
    wanted = {
        r".\a.jpg": tmp_path / "a.jpg",
        r"sub\a.jpg": tmp_path / "sub" / "a.jpg",
        r"..\b\a.jpg": tmp_path / ".." / "b" / "a.jpg",
        r"odd\name.jpg": tmp_path / r"odd\name.jpg",
    }
    for written, path in wanted.items():
        scene = {"picture": written, "controls": [CAMERA], "outputs": {"clip": r"out\b.mp4"}}
        request = AnimationRequest.from_data(scene).relative_to(tmp_path)
        assert request.picture == path
        assert request.outputs.clip == tmp_path / "out" / "b.mp4"
    drive = AnimationRequest.from_data({"picture": r"C:\Users\a.jpg", "controls": [CAMERA]})
    assert str(drive.relative_to(tmp_path).picture) == r"C:\Users\a.jpg"


@pytest.mark.parametrize("wrong", ["a\0b", "a\nb", "C:\temp", "a\x7f", "\ud83d"])
@pytest.mark.parametrize(
    "place",
    [
        "picture",
        "latents",
        "outputs.clip",
        "controls.0.file",
        "controls.0.visibility",
        "controls.0.region.mask",
    ],
)
def test_no_file_name_has_control_characters_or_half_a_letter(wrong, place):
    scene = {
        "picture": "a.png", "latents": "n.npy", "outputs": {"clip": "a.mp4"},
        "controls": [{"kind": "track", "file": "a.npy", "visibility": "v.npy", "region": {"mask": "m.png"}}],
    }  # fmt: skip
    AnimationRequest.from_data(scene)
    *way, last = place.split(".")
    inner = scene
    for part in way:
        inner = inner[int(part) if part.isdigit() else part]
    inner[last] = wrong
    with pytest.raises(InputError) as refused:
        AnimationRequest.from_data(scene)
    str(refused.value).encode()
    words = ("file's name", "begins an escape", "half a character")
    assert any(said in str(refused.value) for said in words)
    assert refused.value.place.startswith(place.partition(".region")[0])


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ({"mask": 3}, "region.mask: 3 is no path"),
        ({"select": "zzz"}, 'region.select: "zzz" is no point'),
        ({"border": 99}, "region.border: input should be less than or equal to 50"),
        ({"select": "9,9", "with_shadow": 7}, "region.with_shadow: .* valid boolean"),
        ({"msk": "a.png"}, 'region.msk" is not a known key: did you mean "mask"'),
        ({"mask": "a.png", "border": "no", "x": 1}, 'region.x" is not a known key'),
    ],
)
def test_of_the_forms_of_a_region_the_one_that_was_meant_is_spoken_of(region, words):
    scene = {"picture": "a.png", "controls": [{"kind": "track", "points": "9,9 20,20", "region": region}]}
    with pytest.raises(InputError, match=words):
        AnimationRequest.from_data(scene)


@pytest.mark.parametrize(
    "scene",
    [
        {"controls": [{"kind": "camera", "move": "zoom 1.1\0"}]},
        {"controls": [{"kind": "track", "points": "1,2\0 3,4"}]},
        {"controls": [{"kind": "track", "points": "9,9 20,20", "colour": "#ffffff\n"}]},
        {"controls": [{"kind": "transform", "move": "rotate 5\a", "region": {"select": "9,9"}}]},
        {"controls": [{"kind": "transform", "move": "rotate 5", "region": {"select": "9,9\ud83d"}}]},
        {"controls": [CAMERA], "outputs": {"background": "white\0"}},
        {"controls": [CAMERA], "diffusion": {"device": "cpu\0"}},
        {"controls": [CAMERA | {"ki\0nd": "camera"}]},
    ],
)
def test_no_text_of_a_scene_has_control_characters_or_half_a_letter(scene):
    with pytest.raises(InputError) as refused:
        AnimationRequest.from_data({"picture": "a.png"} | scene)
    str(refused.value).encode()


RELEASED = {"picture": "a.jpg", "compatibility": "released", "controls": [CAMERA]}


def test_a_scene_that_is_compatible_is_as_the_released_demos() -> None:
    request = AnimationRequest.from_data(RELEASED)
    assert (request.renderer, request.fps, request.short_side) == ("diffusion", 20, 512)
    settings = request.diffusion
    assert isinstance(settings, SvdSettings)
    assert not settings.normalise_for_clip
    assert (settings.guidance_rows, settings.last_window) == ("mixed", "twice")
    assert (settings.cmp_hints, settings.cmp_picture) == ("cut", "nearest")
    assert AnimationRequest.from_text(request.to_yaml()) == request


def test_what_a_compatible_scene_says_itself_goes_first() -> None:
    own = {"fps": 12, "size": "64x32", "diffusion": {"steps": 7, "cmp_picture": "smooth"}}
    request = AnimationRequest.from_data(RELEASED | own)
    assert (request.fps, request.size) == (12, (64, 32))
    assert request.diffusion == replace(PRESETS["released"], steps=7, cmp_picture="smooth")
    assert AnimationRequest.from_data(RELEASED | {"diffusion": "draft"}).diffusion == PRESETS["draft"]


@pytest.mark.parametrize("fps", [0, 1e-9, 0.005, float("nan"), 241])
def test_a_rate_that_no_clip_can_have_is_refused(fps: float) -> None:
    with pytest.raises(InputError, match="fps"):
        AnimationRequest.from_data({"picture": "a.jpg", "fps": fps, "controls": [CAMERA]})


def test_a_misspelt_compatibility_is_told() -> None:
    with pytest.raises(InputError, match="compatibility"):
        AnimationRequest.from_data(RELEASED | {"compatibility": "relased"})


@pytest.mark.parametrize("place", ["points", "ease", "\ud83d"])
def test_half_a_character_is_refused_in_a_sentence(place: str) -> None:
    control = {"kind": "track", "points": "1,1 9,9", place: "\ud83d"}
    with pytest.raises(InputError) as refused:
        AnimationRequest.from_data({"picture": "a.png", "start": "x", "controls": [control]})
    str(refused.value).encode()
