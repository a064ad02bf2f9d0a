from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from mofa.errors import WeightsError
from mofa.weights.face_model_files import MODEL_FILE, STANDARD_FILE, face_model_folder, read_face_model


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOFA_HOME", str(tmp_path))
    face_model_folder().mkdir(parents=True)


def write_model(**changes: object) -> None:
    fields = {
        "meanshape": np.zeros((1, 300)),
        "idBase": np.ones((300, 80)),
        "exBase": np.ones((300, 64)),
        "keypoints": np.arange(1, 69)[None],
    }
    savemat(face_model_folder() / MODEL_FILE, fields | changes)
    savemat(face_model_folder() / STANDARD_FILE, {"lm": np.ones((68, 3))})


def test_the_published_layout_is_read() -> None:
    write_model()
    files = read_face_model()
    assert files.mean.shape == (300,)
    assert files.identity.shape == (300, 80)
    assert files.expression.shape == (300, 64)
    assert files.keypoints.tolist() == [*range(68)]
    assert files.standard.shape == (68, 3)


def test_absent_files_are_explained() -> None:
    with pytest.raises(WeightsError, match=r"accept its terms at https://faces\.dmi\.unibas\.ch/bfm/.*bfm"):
        read_face_model()


def test_other_files_are_refused() -> None:
    write_model(idBase=np.ones((300, 79)))
    with pytest.raises(WeightsError, match="is another file"):
        read_face_model()
    write_model(keypoints=np.full((1, 68), 101))
    with pytest.raises(WeightsError, match="is another file"):
        read_face_model()
    (face_model_folder() / MODEL_FILE).write_bytes(b"nothing" * 100)
    with pytest.raises(WeightsError, match="damaged or no MATLAB file"):
        read_face_model()
