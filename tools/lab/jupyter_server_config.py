"""How `make lab` runs JupyterLab on this collection: jupyter lab --config=tools/lab/jupyter_server_config.py"""

import warnings
from pathlib import Path

warnings.filterwarnings("ignore", "Overriding existing pre_save_hook")  # Jupyter reads this file twice
VIEW = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"},
}


def without_live_state(model, **_):
    """Drop from a notebook about to be saved what lives in a kernel alone.

    Opened again, a widget's view without its kernel is an error message; without the view, the picture or the table
    of players beside it in the same output is shown. The kernel's versions go too: running a chapter is no change.
    """
    notebook = model["content"]
    if model["type"] != "notebook" or notebook["nbformat"] != 4:
        return
    notebook["metadata"].pop("widgets", None)
    if notebook["metadata"].get("kernelspec", {}).get("name") == "python3":
        notebook["metadata"] |= METADATA
    for cell in notebook["cells"]:
        for output in cell.get("outputs", ()):
            if len(output.get("data", ())) > 1:
                output["data"].pop(VIEW, None)


c = get_config()  # noqa: F821  (Jupyter provides it)
c.ServerApp.root_dir = str(Path(__file__).resolve().parents[2])  # the notebooks play ../figures and link to ../data
c.LabApp.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.LabApp.app_settings_dir = str(Path(__file__).parent)  # overrides.json: no news over the first page
c.ContentsManager.pre_save_hook = without_live_state
c.ServerApp.tornado_settings = {"websocket_max_message_size": 2**29}  # chapter 12 takes files of 512 MB, not 10
