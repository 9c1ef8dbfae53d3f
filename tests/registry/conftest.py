import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    directory = tmp_path / "home"
    monkeypatch.setenv("DIFFREC_HOME", str(directory))
    return directory
