"""Builds the notebooks from their text twins: pairs, runs and cleans them.

    python -m helpers.build_notebooks            # all
    python -m helpers.build_notebooks 01 05      # those whose names begin so

The twin under `notebooks/text/` is what people edit and review; the `.ipynb` beside it holds the outputs.
"""

import argparse
import os
import sys
from pathlib import Path

import jupytext
import matplotlib
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from helpers import files

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
_LIVE_ONLY = "application/vnd.jupyter.widget-view+json"  # refers to a model that is gone when the kernel is


def read_text(twin: Path):
    """Return the notebook that the py:percent file `twin` describes, without outputs."""
    notebook = jupytext.read(twin, fmt="py:percent")
    notebook.metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number:02d}"  # the same at every build, so that a diff shows what changed
    return notebook


def clean(notebook):
    """Drop from `notebook`, in place, what changes between two equal runs, and number its executions 1..n."""
    notebook.metadata = {k: v for k, v in notebook.metadata.items() if k in ("kernelspec", "language_info")}
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    executed = 0
    for cell in notebook.cells:
        cell.metadata = {"tags": list(cell.metadata["tags"])} if cell.metadata.get("tags") else {}
        if cell.cell_type != "code":
            continue
        executed += 1
        cell.execution_count = executed
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = executed
            output.get("data", {}).pop(_LIVE_ONLY, None)
            kept = {"alt", "width", "height"}
            for kind, facts in list(output.get("metadata", {}).items()):
                output.metadata[kind] = {k: v for k, v in facts.items() if k in kept}
    return notebook


def write(notebook, path: Path):
    """Write `notebook` to `path`, under a temporary name first, so that no half of it can be left there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(nbformat.writes(notebook, version=4) + "\n", encoding="utf-8", newline="\n")
        files.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def build(twin: Path, timeout=180) -> Path:
    """Run the notebook that `twin` describes and write it, cleaned, beside its fellows; return its path.

    Raises CellExecutionError where a cell fails and ValueError where one warns, as with a stand-in for missing data;
    the notebook that was there stays as it was.
    """
    notebook = read_text(twin)
    matplotlib.get_configdir()  # where a home cannot be written, it makes a folder, and the kernel need not warn
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOKS)}}
    )
    client.execute(env={**os.environ, "WORKBOOK_PROGRESS": ""})  # what someone answered is not for the outputs
    warned = [
        output.text for cell in notebook.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"
    ]
    if warned:
        raise ValueError(f"{twin.stem} warned, so the stored notebook is unchanged: {warned[0].strip()}")
    path = NOTEBOOKS / f"{twin.stem}.ipynb"
    write(clean(notebook), path)
    return path


def main(arguments=None):
    """Build the notebooks named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m helpers.build_notebooks", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="how the notebooks' names begin, such as 01; all when left out")
    names = parser.parse_args(arguments).names
    twins = sorted((NOTEBOOKS / "text").glob("*.py"))
    chosen = [twin for twin in twins if not names or any(twin.stem.startswith(name) for name in names)]
    if not chosen:
        parser.error(f"no notebook begins with {' or '.join(names)}; there are {', '.join(t.stem for t in twins)}")
    for twin in chosen:
        if files.finish(lambda twin=twin: _built(twin), NOTEBOOKS):
            return 1
    return 0


def _built(twin):
    try:
        path = build(twin)
    except CellExecutionError as error:
        raise ValueError(f"{twin.stem}: a cell failed, the stored notebook is unchanged\n{error}") from None
    return f"{path.name}: {path.stat().st_size / 1000:.0f} kB"


if __name__ == "__main__":
    sys.exit(main())
