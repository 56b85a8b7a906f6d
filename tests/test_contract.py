"""The house: who may import whom, as pyproject.toml says."""

from pathlib import Path

from importlinter.cli import lint_imports


def test_packages_import_downwards_and_through_doors(monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parents[1])
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0, capsys.readouterr().out
