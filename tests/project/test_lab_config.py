"""What `make lab` passes to Jupyter."""

import runpy
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "tools" / "lab" / "jupyter_server_config.py"
VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(scope="module")
def config():
    settings = Config()
    runpy.run_path(str(CONFIG), init_globals={"get_config": lambda: settings})
    return settings


def output(**data):
    return new_output("display_data", {kind.replace("_", "/"): content for kind, content in data.items()})


def saved(config, notebook, kind="notebook"):
    config.ContentsManager.pre_save_hook(model={"type": kind, "content": notebook}, path="a.ipynb")
    return notebook


def test_make_lab_serves_the_repository_and_opens_the_first_chapter(config):
    assert CONFIG.relative_to(ROOT).as_posix() in (ROOT / "Makefile").read_text()
    assert Path(config.ServerApp.root_dir) == ROOT
    page = config.LabApp.default_url.removeprefix("/lab/tree/")
    assert (ROOT / page).is_file()


def test_a_saved_notebook_has_the_picture_and_not_the_widget(config):
    picture, alone = output(image_png="iVBOR", text_plain="a"), output()
    picture.data[VIEW] = alone.data[VIEW] = {"model_id": "1"}
    notebook = new_notebook(cells=[new_code_cell("explore()", outputs=[picture, alone])])
    notebook.metadata = nbformat.from_dict({"widgets": {"state": {}}, "kernelspec": {"name": "python3"}})
    saved(config, notebook)
    assert [set(out.data) for out in notebook.cells[0].outputs] == [{"image/png", "text/plain"}, {VIEW}]
    assert "widgets" not in notebook.metadata


def test_saving_a_committed_chapter_that_a_kernel_has_run_changes_nothing(config):
    path = sorted((ROOT / "notebooks").glob("*.ipynb"))[0]
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec.display_name = "Python 3 (ipykernel)"
    notebook.metadata.language_info.version = "3.99"
    assert nbformat.writes(saved(config, notebook)) + "\n" == path.read_text(encoding="utf-8")


def test_notebooks_of_other_kernels_and_other_files_are_left_alone(config):
    notebook = new_notebook(metadata={"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}})
    before = nbformat.writes(notebook)
    assert nbformat.writes(saved(config, notebook)) == before
    assert saved(config, "text", kind="file") == "text"
